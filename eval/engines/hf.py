"""The student on transformers: a model folder or hub id, with at most one peft adapter.

Owns loading, batching under a token budget and the identity of a student's weights. The decoding loop
is in `eval.engines.decoding`, prompt rendering in `eval.engines.chat`. Knows nothing of problems or
grading. torch, transformers and peft are imported at the first `generate`.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from eval.engines.base import Messages, Progress, Sample, Sampling
from eval.engines.chat import encode_texts, load_tokenizer, render_prompt
from memory.errors import EngineError
from memory.ids import derive_seed, fingerprint, sha256_file
from memory.records import Finish

#: Files of a model folder that change what the model says.
_MODEL_FILES = (
    "*.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "*.jinja",
    "vocab*",
    "merges.txt",
)
#: A batch to continue: prompt tokens, and the seed of a row that is sampled.
Rows = list[tuple[list[int], int | None]]
_TOO_LONG = Sample(text="", n_tokens=0, finish=Finish.ERROR)


class TransformersEngine:
    """An `eval.engines.base.Engine` over ``AutoModelForCausalLM``; weights are loaded at the first `generate`.

    Args:
        model_name_or_path: model folder or hub id.
        adapter: a peft folder, merged into the weights in memory.
        batch_tokens: most ``rows * (prompt tokens + max_new_tokens)`` in one batch.
        dtype: a torch dtype's name, or ``auto`` for the one the weights are stored in.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ...
        num_threads: of torch on the processor; more than free cores is several times slower.
        num_workers: processes that decode side by side on the processor, this one among them; each holds the weights.
            The answers do not depend on it.
        system_prompt: put before chats that have none of their own.
        chat_template: Jinja2 text in place of the model's own.
        revision: of a hub id.
    """

    def __init__(
        self,
        model_name_or_path: str,
        adapter: Path | None = None,
        *,
        batch_tokens: int = 16384,
        dtype: str = "float32",
        device: str = "auto",
        num_threads: int = 1,
        num_workers: int = 1,
        system_prompt: str | None = None,
        chat_template: str | None = None,
        revision: str | None = None,
    ) -> None:
        self._name, self._adapter, self._revision = model_name_or_path, adapter, revision
        self._batch_tokens, self._dtype, self._device = batch_tokens, dtype, device
        self._num_threads, self._system_prompt, self._chat_template = num_threads, system_prompt, chat_template
        self._num_workers = num_workers
        self._loaded: tuple[Any, Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weight files' hashes, the adapter's, and every setting that changes the output."""
        return fingerprint(
            {
                "model": model_identity(self._name, self._revision),
                "adapter": adapter_identity(self._adapter) if self._adapter else None,
                "dtype": self._dtype,
                "device": self._device,
                "batch_tokens": self._batch_tokens,
                "num_threads": self._num_threads,
                "system_prompt": self._system_prompt,
                "chat_template": self._chat_template,
            }
        )

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """Generate ``sampling.n`` samples for each prompt; see `eval.engines.base.Engine`.

        A prompt that leaves no room for ``max_new_tokens`` gives empty samples with finish ``ERROR``.

        Raises:
            EngineError: model, tokenizer or adapter cannot be loaded.
        """
        if not prompts:
            return []
        model, tokenizer = self._load()
        texts = [self._render(tokenizer, messages) for messages in prompts]
        asked = Counter(texts)  # the same prompt twice is answered once
        encoded = dict(zip(asked, encode_texts(tokenizer, list(asked)), strict=True))
        distinct = 1 if sampling.temperature == 0 else sampling.n
        room = _max_positions(model) - sampling.max_new_tokens
        samples: dict[str, list[Sample]] = {text: [_TOO_LONG] * distinct for text in encoded}
        left = dict.fromkeys(encoded, distinct)

        def finished(text: str, count: int) -> None:
            left[text] -= count
            if left[text] == 0 and progress is not None:
                progress(asked[text])

        keys = []
        for text in sorted(encoded, key=lambda item: (len(encoded[item]), item)):
            if 0 < len(encoded[text]) <= room:
                keys += [(text, index) for index in range(distinct)]
            else:
                finished(text, distinct)
        eos_ids = _eos_ids(model, tokenizer)
        batches = list(self._batches(keys, encoded, sampling.max_new_tokens))
        jobs = [_rows(batch, encoded, sampling) for batch in batches]
        for number, produced in self._decoded(jobs, sampling):
            for (text, index), ids in zip(batches[number], produced, strict=True):
                samples[text][index] = _to_sample(tokenizer, ids, eos_ids)
                finished(text, 1)
        repeat = sampling.n if distinct == 1 else 1
        return [list(samples[text]) * repeat for text in texts]

    def close(self) -> None:
        """Release the weights."""
        self._loaded = None

    def _render(self, tokenizer: Any, messages: Messages) -> str:
        if self._system_prompt and not any(message["role"] == "system" for message in messages):
            messages = [{"role": "system", "content": self._system_prompt}, *messages]
        return render_prompt(tokenizer, messages)

    def _batches(
        self, keys: Sequence[tuple[str, int]], encoded: dict[str, list[int]], max_new_tokens: int
    ) -> Iterator[list[tuple[str, int]]]:
        """Consecutive keys, sorted by length, so that the last and longest one times the rows fits the budget."""
        batch: list[tuple[str, int]] = []
        for key in keys:
            width = len(encoded[key[0]]) + max_new_tokens
            if batch and (len(batch) + 1) * width > self._batch_tokens:
                yield batch
                batch = []
            batch.append(key)
        if batch:
            yield batch

    def _decoded(self, jobs: Sequence[Rows], sampling: Sampling) -> Iterator[tuple[int, list[list[int]]]]:
        """The number of each batch with its new tokens, in the order they are finished."""
        workers = min(self._num_workers, len(jobs))
        if workers < 2 or self._load()[0].device.type != "cpu":
            for number, rows in enumerate(jobs):
                yield number, self.decode(rows, sampling)
            return
        from eval.engines.side_by_side import side_by_side

        shared = (self._name, self._adapter, self._revision, self._dtype, self._num_threads, self.fingerprint)
        there = partial(_decode_in_helper, shared, sampling)
        yield from side_by_side(jobs, lambda rows: self.decode(rows, sampling), there, workers - 1)

    def decode(self, rows: Rows, sampling: Sampling) -> list[list[int]]:
        """Continue the rows of one batch; the new tokens of each."""
        from eval.engines.decoding import Row, decode_batch

        model, tokenizer = self._load()
        return decode_batch(
            model,
            [Row(ids, seed) for ids, seed in rows],
            max_new_tokens=sampling.max_new_tokens,
            eos_ids=_eos_ids(model, tokenizer),
            pad_id=tokenizer.pad_token_id,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )

    def _load(self) -> tuple[Any, Any]:
        import torch

        torch.set_num_threads(self._num_threads)
        if self._loaded is None:
            tokenizer = self._load_tokenizer()  # first: it is quick to fail
            self._loaded = self._load_model(), tokenizer
        return self._loaded

    def _load_tokenizer(self) -> Any:
        tokenizer = load_tokenizer(self._name, self._revision)
        if self._chat_template is not None:
            tokenizer.chat_template = self._chat_template
        return tokenizer

    def _load_model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        device = self._device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        bar = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # standard error belongs to our own progress
        try:
            model = AutoModelForCausalLM.from_pretrained(
                self._name, revision=self._revision, dtype=self._dtype, trust_remote_code=False
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError(
                f"The student {self._name} cannot be loaded: {error}\nGive a model folder with config.json and "
                "safetensors weights, or the id of a model on the hub."
            ) from error
        finally:
            if bar:
                logging.enable_progress_bar()
        if self._adapter is not None:
            model = _merged(model, self._adapter)
        return model.to(device).eval()


def _rows(batch: Sequence[tuple[str, int]], encoded: dict[str, list[int]], sampling: Sampling) -> Rows:
    greedy = sampling.temperature == 0
    return [(encoded[text], None if greedy else derive_seed(sampling.seed, text, index)) for text, index in batch]


@lru_cache(maxsize=1)
def _helper_engine(
    name: str, adapter: Path | None, revision: str | None, dtype: str, num_threads: int, identity: str
) -> TransformersEngine:
    """The student in a helper; its identity tells weights apart that lie in one place one after another."""
    return TransformersEngine(name, adapter, revision=revision, dtype=dtype, device="cpu", num_threads=num_threads)


def _decode_in_helper(student: tuple[Any, ...], sampling: Sampling, rows: Rows) -> list[list[int]]:
    """What a helper process does; it keeps the last student it was asked for."""
    return _helper_engine(*student).decode(rows, sampling)


def _merged(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft's use of a name transformers will drop
            return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise EngineError(
            f"The adapter {adapter} cannot be loaded on this model: {error}\nIt must be a peft folder "
            "(adapter_config.json and adapter_model.safetensors) that was trained from the same base."
        ) from error


def _max_positions(model: Any) -> int:
    return int(getattr(model.config, "max_position_embeddings", None) or 1 << 30)


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    found = {tokenizer.eos_token_id}
    for place in (model.config, model.generation_config):
        ids = getattr(place, "eos_token_id", None)
        found.update(ids if isinstance(ids, (list, tuple)) else [ids])
    return frozenset(item for item in found if item is not None)


def _to_sample(tokenizer: Any, ids: list[int], eos_ids: frozenset[int]) -> Sample:
    ended = bool(ids) and ids[-1] in eos_ids
    kept = ids[:-1] if ended else ids
    text = tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Sample(text=text, n_tokens=len(ids), finish=Finish.STOP if ended else Finish.LENGTH)


def model_identity(model_name_or_path: str, revision: str | None = None) -> dict[str, str]:
    """What identifies a model: its files' hashes when it is a folder, else its id and commit. Nothing is loaded.

    Raises:
        EngineError: a folder without safetensors weights.
    """
    folder = Path(model_name_or_path)
    if not folder.is_dir():
        return {"id": model_name_or_path, "revision": _commit(model_name_or_path, revision)}
    files = sorted({path for pattern in _MODEL_FILES for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise EngineError(f"{folder} holds no .safetensors weights, so it is not a model folder.")
    return {path.name: sha256_file(path) for path in files}


def _commit(repo_id: str, revision: str | None) -> str:
    """The commit of the locally cached copy where there is one: its snapshot folder is named after it."""
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(repo_id, "config.json", revision=revision)
    except ValueError as error:  # not the form of a hub id
        raise EngineError(f"{repo_id} is neither a folder nor the id of a model on the hub.") from error
    return Path(cached).parent.name if isinstance(cached, str) else revision or "main"


def adapter_identity(adapter: Path) -> dict[str, str]:
    """What identifies a peft folder: weights and settings, but not where its base happened to lie.

    Raises:
        EngineError: it is not a peft folder.
    """
    weights, config = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    if not weights.is_file() or not config.is_file():
        raise EngineError(
            f"{adapter} is not a peft folder: adapter_config.json or adapter_model.safetensors is missing."
        )
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings.pop("base_model_name_or_path", None)
    return {"weights": sha256_file(weights), "config": fingerprint(settings)}
