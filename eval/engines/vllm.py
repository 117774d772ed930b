"""A model on vLLM, in this process: for machines whose accelerator vLLM knows.

Owns the settings handed to ``vllm.LLM``, the identity of what runs, and turning its results into samples. Prompts are
rendered by `eval.engines.chat` and handed over as token ids, so that they are those of training. Knows nothing of
problems or servers; `eval.engines.base` says what an engine is. vLLM is an extra, and is imported at the first
`generate`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from eval.engines.base import Messages, Progress, Sample, Sampling
from eval.engines.chat import encode_texts, load_tokenizer, render_prompt
from eval.engines.hf import adapter_identity, model_identity
from memory.errors import ConfigError, EngineError
from memory.ids import derive_seed, fingerprint
from memory.records import Finish

#: Ranks vLLM can reserve room for; an adapter may have any rank up to the one reserved.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
#: Prompts handed over at once. vLLM batches them itself; between two calls progress is told, and a Ctrl-C is heard.
CHUNK = 512
#: What `VLLMEngine` takes by name; all else goes to ``vllm.LLM`` as it is.
SETTINGS = frozenset(
    ("max_model_len", "gpu_memory_utilization", "dtype", "max_lora_rank", "seed", "system_prompt", "revision")
)
#: Set where the user has not: results belong to standard output, and nothing is told to anyone.
_ENVIRONMENT = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH}


class VLLMEngine:
    """An `eval.engines.base.Engine` over ``vllm.LLM``; weights are loaded at the first `generate`.

    All requests go to the adapter, or none: some of vLLM's backends answer a base request that shares a batch with an
    adapter's as if it were the adapter's.

    Args:
        model_name_or_path: model folder or hub id.
        adapter: a peft folder, applied by vLLM to every request.
        max_model_len: most tokens of a prompt and its answer; None is the model's own limit.
        gpu_memory_utilization: share of the accelerator's memory vLLM may take, in (0, 1]; not used on processors.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        max_lora_rank: highest rank of an adapter that room is kept for.
        seed: of vLLM itself; samples have seeds of their own, derived from ``Sampling.seed``, prompt and number.
        system_prompt: put before chats that have none of their own.
        revision: of a hub id.
        extra: further arguments of ``vllm.LLM`` (``tensor_parallel_size``, ``enforce_eager``, ...).

    Raises:
        ConfigError: a number out of range, or ``trust_remote_code``.
    """

    def __init__(
        self,
        model_name_or_path: str,
        adapter: Path | None = None,
        *,
        max_model_len: int | None = None,
        gpu_memory_utilization: float = 0.9,
        dtype: str = "auto",
        max_lora_rank: int = 64,
        seed: int = 0,
        system_prompt: str | None = None,
        revision: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0 < gpu_memory_utilization <= 1:
            raise ConfigError(f"gpu_memory_utilization is {gpu_memory_utilization}; give a share above 0, at most 1.")
        if not 1 <= max_lora_rank <= RANKS[-1]:
            raise ConfigError(f"max_lora_rank is {max_lora_rank}; vLLM takes 1 to {RANKS[-1]}.")
        if extra and extra.get("trust_remote_code"):
            raise ConfigError("trust_remote_code stays off: no code from a model folder is run.")
        self._name, self._adapter, self._revision = model_name_or_path, adapter, revision
        self._max_model_len, self._memory, self._dtype = max_model_len, gpu_memory_utilization, dtype
        self._max_lora_rank, self._seed, self._system_prompt = max_lora_rank, seed, system_prompt
        self._extra = dict(extra or {})
        self._loaded: tuple[Any, Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weight files' hashes, the adapter's, and every setting that changes the output."""
        return fingerprint(
            {
                "engine": "vllm",
                "model": model_identity(self._name, self._revision),
                "adapter": adapter_identity(self._adapter) if self._adapter else None,
                "dtype": self._dtype,
                "max_model_len": self._max_model_len,
                "seed": self._seed,
                "system_prompt": self._system_prompt,
                "extra": self._extra,
            }
        )

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """Generate ``sampling.n`` samples for each prompt; see `eval.engines.base.Engine`.

        A prompt that leaves no room for ``max_new_tokens`` gives empty samples with finish ``ERROR``.

        Raises:
            ConfigError: vLLM is not installed, or the adapter's rank is above ``max_lora_rank``.
            EngineError: model, tokenizer or adapter cannot be loaded, or vLLM gives up.
        """
        if not prompts:
            return []
        llm, tokenizer = self._load()
        texts = [self._render(tokenizer, messages) for messages in prompts]
        asked = Counter(texts)  # the same prompt twice is answered once
        encoded = dict(zip(asked, encode_texts(tokenizer, list(asked)), strict=True))
        room = int(llm.llm_engine.model_config.max_model_len) - sampling.max_new_tokens
        distinct = 1 if sampling.temperature == 0 else sampling.n
        too_long = Sample("", 0, Finish.ERROR, error=f"the prompt and {sampling.max_new_tokens} new tokens do not fit")
        found = {text: [too_long] * distinct for text in encoded}
        fitting = sorted(
            (text for text in encoded if 0 < len(encoded[text]) <= room), key=lambda text: (len(encoded[text]), text)
        )
        if progress is not None and len(fitting) < len(found):
            progress(sum(asked[text] for text in found.keys() - set(fitting)))
        for start in range(0, len(fitting), CHUNK):
            chunk = fitting[start : start + CHUNK]
            keys = [(text, index) for text in chunk for index in range(distinct)]
            for (text, index), sample in zip(keys, self._run(keys, encoded, sampling), strict=True):
                found[text][index] = sample
            if progress is not None:
                progress(sum(asked[text] for text in chunk))
        repeat = sampling.n if distinct == 1 else 1
        return [list(found[text]) * repeat for text in texts]

    def close(self) -> None:
        """Stop vLLM and give its memory back."""
        if self._loaded is None:
            return
        llm, self._loaded = self._loaded[0], None
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        llm.llm_engine.engine_core.shutdown()
        del llm
        cleanup_dist_env_and_memory()

    def _render(self, tokenizer: Any, messages: Messages) -> str:
        if self._system_prompt and not any(message["role"] == "system" for message in messages):
            messages = [{"role": "system", "content": self._system_prompt}, *messages]
        return render_prompt(tokenizer, messages)

    def _run(
        self, keys: Sequence[tuple[str, int]], encoded: Mapping[str, list[int]], sampling: Sampling
    ) -> list[Sample]:
        from vllm.lora.request import LoRARequest

        llm, tokenizer = self._load()
        lora = LoRARequest("adapter", 1, str(self._adapter)) if self._adapter is not None else None
        try:
            outputs = llm.generate(
                [{"prompt_token_ids": encoded[text]} for text, _ in keys],
                [_parameters(sampling, text, index) for text, index in keys],
                lora_request=lora,
                use_tqdm=False,
            )
        except Exception as error:  # of many kinds, by version and backend
            raise EngineError(f"vLLM gave up on {self._name}: {type(error).__name__}: {error}") from error
        return [_to_sample(tokenizer, output.outputs[0]) for output in outputs]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is not None:
            return self._loaded
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from vllm import LLM
        except ImportError as error:
            raise ConfigError(
                "The engine 'vllm' needs vLLM, which is not installed: pip install 'remedial[vllm]'\n"
                f"Or start a vLLM server anywhere and use the engine 'openai'. ({error})"
            ) from error
        settings = self._settings()
        tokenizer = load_tokenizer(self._name, self._revision)
        try:
            llm = LLM(**settings)
        except Exception as error:  # of many kinds, by version and backend
            raise EngineError(
                f"vLLM cannot load {self._name}: {type(error).__name__}: {error}\nIts own log above says more; "
                "too little memory is cured by a smaller max_model_len or another gpu_memory_utilization."
            ) from error
        self._loaded = llm, tokenizer
        return self._loaded

    def _settings(self) -> dict[str, Any]:
        """The arguments of ``vllm.LLM``; ``extra`` wins."""
        settings: dict[str, Any] = {
            "model": self._name,
            "revision": self._revision,
            "tokenizer_revision": self._revision,
            "trust_remote_code": False,
            "dtype": self._dtype,
            "max_model_len": self._max_model_len,
            "gpu_memory_utilization": self._memory,
            "seed": self._seed,
            # Where blanks are free, a weak model fills its answer with them.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        }
        if self._adapter is not None:
            settings |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": self._reserved_rank(self._adapter)}
        return settings | self._extra

    def _reserved_rank(self, adapter: Path) -> int:
        adapter_identity(adapter)  # it is a peft folder, or an error says so
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        rank = max([int(config.get("r") or 1), *map(int, (config.get("rank_pattern") or {}).values())])
        if rank > self._max_lora_rank:
            raise ConfigError(f"The adapter {adapter} has rank {rank}; raise max_lora_rank ({self._max_lora_rank}).")
        return next(item for item in RANKS if item >= rank)


def _parameters(sampling: Sampling, text: str, index: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    schema = sampling.json_schema
    return SamplingParams(
        n=1,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_new_tokens,
        seed=None if sampling.temperature == 0 else derive_seed(sampling.seed, text, index),
        detokenize=False,
        structured_outputs=StructuredOutputsParams(json=schema) if schema is not None else None,
    )


def _to_sample(tokenizer: Any, output: Any) -> Sample:
    ids = list(output.token_ids)
    finish = _FINISH.get(output.finish_reason)
    if finish is None:
        return Sample("", len(ids), Finish.ERROR, error=f"vLLM ended this answer with '{output.finish_reason}'")
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Sample(text=text, n_tokens=len(ids), finish=finish)
