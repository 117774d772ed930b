"""Annealing: one epoch of LoRA through TRL and peft, from the base or on top of the last adapter.

Owns the settings and the order of work: encode, check, load, train, export one plain peft folder.
Knows nothing of rounds, problems or the run folder. torch and its relatives are imported inside functions.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eval.engines.chat import load_tokenizer
from memory.errors import ConfigError
from memory.ids import derive_seed, fingerprint, sha256_file
from memory.strict import validate
from training.adapters import adapter_hash, check_stackable, concatenate, export_adapter, merge_adapter
from training.base import Example, TrainResult
from training.encoding import Batching, Encoded, check_lengths, encode_examples, length_stats, plan_batches

#: Every setting that does not change the resulting adapter.
WITHOUT_EFFECT = {"save_steps"}


class AnnealConfig(BaseModel):
    """Settings of one round's training, with the names peft and transformers use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_from: Literal["base", "last"] = "last"
    learning_rate: float = Field(default=2e-4, gt=0.0)
    num_train_epochs: int = Field(default=1, ge=1)
    per_device_train_batch_size: int = Field(default=8, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    batching: Batching = "length_grouped"
    tokens_per_batch: int = Field(default=8192, ge=1, description="rows x longest row, for token_budget")
    max_length: int = Field(default=1024, ge=2, description="longer examples are refused, never cut")
    warmup_steps: float = Field(default=0.05, ge=0.0, description="below 1: a share of all steps")
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(default=0.0, ge=0.0)
    max_grad_norm: float = Field(default=1.0, ge=0.0, description="0: no clipping")
    adam_beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    adam_beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    optim: Literal["adamw_torch_fused", "adamw_torch"] = "adamw_torch_fused"
    lora_r: int = Field(default=32, ge=1)
    lora_alpha: float = Field(default=64.0, gt=0.0)
    lora_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    lora_target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    use_dora: bool = False
    loraplus_lr_ratio: float | None = Field(default=None, ge=1.0, description="learning rate of B over that of A")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="of the frozen base")
    num_threads: int = Field(default=1, ge=1)
    save_steps: int = Field(default=0, ge=0, description="steps between checkpoints; 0: none")

    @model_validator(mode="after")
    def _possible(self) -> AnnealConfig:
        if self.use_dora and self.start_from == "last":
            raise ValueError(
                "use_dora rescales whole weights, so its adapters cannot be stacked exactly; "
                "set start_from: base, or use_dora: false"
            )
        if self.batching == "token_budget" and self.tokens_per_batch < self.max_length:
            raise ValueError(
                f"tokens_per_batch {self.tokens_per_batch} is below max_length {self.max_length}, "
                "so that the longest example would not fit a batch; raise tokens_per_batch"
            )
        return self


def parse_config(data: Mapping[str, Any], where: str = "anneal") -> AnnealConfig:
    """The settings from a config's ``anneal`` section.

    Raises:
        ConfigError: one line for each fault; an unknown key names the nearest known one.
    """
    return validate(AnnealConfig, data, where)


def check_anneal(
    model_name_or_path: str,
    config: AnnealConfig,
    examples: Sequence[Example],
    *,
    revision: str | None = None,
    system_prompt: str | None = None,
) -> dict[str, float]:
    """Find what would stop training before any weights are loaded; returns the lengths' quantiles.

    Raises:
        ConfigError: no module matches ``lora_target_modules``, or ``max_length`` is below the data.
        EngineError: there is no tokenizer at that place.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = load_tokenizer(model_name_or_path, revision)
    with _quiet(config.num_threads), torch.device("meta"):
        settings = AutoConfig.from_pretrained(model_name_or_path, revision=revision, trust_remote_code=False)
        resolve_targets(AutoModelForCausalLM.from_config(settings, trust_remote_code=False), config.lora_target_modules)
    encoded = _encode(tokenizer, examples, model_name_or_path, revision, system_prompt)
    check_lengths(encoded, config.max_length)
    return length_stats(encoded)


def resolve_targets(model: Any, wanted: Literal["all-linear"] | Sequence[str]) -> list[str]:
    """The module names LoRA is put on: as given, or the last names of all linear layers but the head.

    Raises:
        ConfigError: a name matches no linear layer, or the output head; lists the names that exist.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    linear = {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    if wanted == "all-linear":
        last = {name.rpartition(".")[2] for name in linear}
        other = {name.rpartition(".")[2] for name, _ in model.named_modules() if name not in linear}
        return sorted(linear if last & other else last)
    missing = [target for target in wanted if not any(f".{name}".endswith(f".{target}") for name in linear)]
    if missing or not wanted:
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
        raise ConfigError(
            f"anneal.lora_target_modules: {', '.join(missing) or 'the empty list'} matches no linear layer of the "
            f"model (the output head cannot be adapted). Its layers are: {known}; or write all-linear."
        )
    return sorted(set(wanted))


class LoraTrainer:
    """Implements `training.base.Trainer` with TRL's SFTTrainer and peft.

    On one thread a repetition is bit-identical, and so is a training that was interrupted and resumed.
    """

    def __init__(
        self,
        model_name_or_path: str,
        config: AnnealConfig,
        *,
        revision: str | None = None,
        system_prompt: str | None = None,
        base_name: str | None = None,
    ) -> None:
        """Nothing is loaded here. ``base_name`` is how adapters name the base (default: as it is loaded)."""
        self.config = config
        self._model = model_name_or_path
        self._revision = revision
        self._system_prompt = system_prompt
        self._base_name = base_name or model_name_or_path

    @cached_property
    def fingerprint(self) -> str:
        """Hash of base weights and all settings that change the adapter; a hub id counts by name and revision."""
        settings = self.config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
        return fingerprint([_base_hash(self._model), self._revision, self._system_prompt, settings])

    def anneal(
        self,
        adapter: Path | None,
        examples: Sequence[Example],
        *,
        seed: int,
        output_dir: Path,
        scratch_dir: Path,
        progress: Callable[[int], None] | None = None,
    ) -> TrainResult:
        """Train and export; see `training.base.Trainer.anneal`.

        With ``start_from: last`` the incumbent is merged into the base in memory, a fresh LoRA is
        trained on top, and both are written as one folder by exact concatenation; with ``base`` the
        incumbent is not used. ``stats`` hold counts, length quantiles, steps, and the mean loss of
        all steps and of the last twentieth, in nats per completion token.

        Raises:
            ConfigError: settings that cannot work with this model or these examples.
        """
        config = self.config
        incumbent = adapter if config.start_from == "last" else None
        if incumbent is not None:
            check_stackable(incumbent)
        tokenizer = load_tokenizer(self._model, self._revision)
        encoded = self._encoded(tokenizer, examples)
        check_lengths(encoded, config.max_length)
        work = scratch_dir / "anneal"
        work.mkdir(parents=True, exist_ok=True)
        with _quiet(config.num_threads):
            model = self._student(incumbent, seed)
            run_key = fingerprint(
                [
                    self.fingerprint,
                    seed,
                    adapter_hash(incumbent) if incumbent else None,
                    [[item.id, list(item.ids), item.n_prompt] for item in encoded],
                ]
            )
            losses = self._train(model, tokenizer, encoded, seed, work, run_key, progress)
            rank = self._export(model, incumbent, output_dir, work)
        shutil.rmtree(work, ignore_errors=True)
        tail = losses[-max(1, len(losses) // 20) :]
        stats = length_stats(encoded) | {
            "steps": len(losses),
            "loss_mean": math.fsum(losses) / len(losses),
            "loss_final": math.fsum(tail) / len(tail),
        }
        return TrainResult(stats=stats, rank=rank)

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each example, prompt and completion, as they are trained."""
        return [len(item.ids) for item in self._encoded(load_tokenizer(self._model, self._revision), examples)]

    def losses(
        self, adapter: Path | None, examples: Sequence[Example], progress: Callable[[int], None] | None = None
    ) -> list[float]:
        """The student's mean loss on each completion, nats per token.

        Raises:
            ConfigError: an example is longer than ``max_length``.
        """
        from training.losses import mean_losses

        encoded = self._encoded(load_tokenizer(self._model, self._revision), examples)
        check_lengths(encoded, self.config.max_length)
        import torch

        with _quiet(self.config.num_threads):
            model = self._merged(adapter).eval()
            return mean_losses(model.to("cuda") if torch.cuda.is_available() else model, encoded, progress)

    def _encoded(self, tokenizer: Any, examples: Sequence[Example]) -> list[Encoded]:
        return _encode(tokenizer, examples, self._model, self._revision, self._system_prompt)

    def _merged(self, incumbent: Path | None) -> Any:
        """Base with the incumbent merged into it."""
        import torch
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(
            self._model, revision=self._revision, dtype=getattr(torch, self.config.dtype), trust_remote_code=False
        )
        if incumbent is not None:
            base = merge_adapter(base, incumbent)
        return base

    def _student(self, incumbent: Path | None, seed: int) -> Any:
        """Base, the incumbent merged into it, and a fresh LoRA on top."""
        import torch
        from peft import LoraConfig, get_peft_model

        config = self.config
        base = self._merged(incumbent)
        targets = resolve_targets(base, config.lora_target_modules)
        torch.manual_seed(derive_seed(seed, "lora"))
        return get_peft_model(
            base,
            LoraConfig(
                task_type="CAUSAL_LM",
                r=config.lora_r,
                lora_alpha=config.lora_alpha,
                lora_dropout=config.lora_dropout,
                target_modules=targets,
                use_rslora=config.use_rslora,
                use_dora=config.use_dora,
            ),
        )

    def _train(
        self,
        model: Any,
        tokenizer: Any,
        encoded: Sequence[Encoded],
        seed: int,
        work: Path,
        run_key: str,
        progress: Callable[[int], None] | None,
    ) -> list[float]:
        """Train ``model`` in place; the loss of each step."""
        import torch
        from datasets import Dataset
        from trl import SFTConfig

        from training.sft import AnnealTrainer, last_complete, speed_up_lora

        config = self.config
        lengths = [len(item.ids) for item in encoded]
        batches = plan_batches(
            lengths,
            batching=config.batching,
            batch_size=config.per_device_train_batch_size,
            tokens_per_batch=config.tokens_per_batch,
            seed=seed,
        )
        arguments = SFTConfig(
            output_dir=str(work),
            seed=derive_seed(seed, "trainer"),
            learning_rate=config.learning_rate,
            num_train_epochs=config.num_train_epochs,
            per_device_train_batch_size=config.per_device_train_batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            warmup_steps=config.warmup_steps,
            lr_scheduler_type=config.lr_scheduler_type,
            weight_decay=config.weight_decay,
            adam_beta1=config.adam_beta1,
            adam_beta2=config.adam_beta2,
            max_grad_norm=config.max_grad_norm,
            optim=config.optim,
            max_length=None,  # checked before; TRL would cut
            dataset_kwargs={"skip_prepare_dataset": True},
            gradient_checkpointing=False,
            bf16=config.dtype == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            logging_strategy="no",
            logging_nan_inf_filter=False,
            save_strategy="steps" if config.save_steps else "no",
            save_steps=config.save_steps or 1,
            report_to="none",
            disable_tqdm=True,
        )
        first = encoded[0]
        trainer = AnnealTrainer(
            model=model,
            args=arguments,
            # TRL wants a dataset to look at; the rows come from `encoded`.
            train_dataset=Dataset.from_dict({"input_ids": [list(first.ids)], "labels": [first.labels]}),
            processing_class=tokenizer,
            encoded=encoded,
            batches=batches,
            loraplus_lr_ratio=config.loraplus_lr_ratio,
            run_key=run_key,
            progress=progress,
        )
        speed_up_lora(model)
        checkpoint = last_complete(work, run_key)
        if checkpoint is not None and progress is not None:
            progress(_examples_before(checkpoint, batches, config.gradient_accumulation_steps))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if not all(math.isfinite(loss) for loss in trainer.losses):
            raise ConfigError(
                f"The training loss became {trainer.losses[-1]} after {len(trainer.losses)} steps; "
                f"lower anneal.learning_rate (now {config.learning_rate:g}) or set anneal.max_grad_norm."
            )
        return list(trainer.losses)

    def _export(self, model: Any, incumbent: Path | None, output_dir: Path, work: Path) -> int:
        """Write one plain folder relative to the bare base; its rank."""
        shutil.rmtree(output_dir, ignore_errors=True)
        names: dict[str, Any] = {"base_name": self._base_name, "revision": self._revision}
        if incumbent is None:
            return export_adapter(model, output_dir, **names)
        fresh = work / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        export_adapter(model, fresh, **names)
        return concatenate(model.unload(), [incumbent, fresh], output_dir, **names)


def _examples_before(checkpoint: Path, batches: Sequence[Sequence[int]], accumulation: int) -> int:
    """How many examples had been trained when the checkpoint was written."""
    per_epoch = math.ceil(len(batches) / accumulation)
    epochs, steps = divmod(int(checkpoint.name.partition("-")[2]), per_epoch)
    rows = [len(batch) for batch in batches]
    return epochs * sum(rows) + sum(rows[: steps * accumulation])


def _encode(
    tokenizer: Any, examples: Sequence[Example], model: str, revision: str | None, system_prompt: str | None
) -> list[Encoded]:
    return encode_examples(tokenizer, examples, system_prompt=system_prompt, stop_ids=_stop_ids(model, revision))


def _stop_ids(model: str, revision: str | None) -> list[int]:
    """The ids on which the model's own generation config stops."""
    from transformers import GenerationConfig

    try:
        found = GenerationConfig.from_pretrained(model, revision=revision).eos_token_id
    except (OSError, ValueError):
        return []
    return [found] if isinstance(found, int) else list(found or [])


def _base_hash(model: str) -> Any:
    folder = Path(model)
    if not folder.is_dir():
        return model
    kept = sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".jinja", ".model"})
    return {path.name: sha256_file(path) for path in kept}


@contextlib.contextmanager
def _quiet(num_threads: int) -> Iterator[None]:
    """Run heavy libraries on so many threads, without their output, and leave their global state as found."""
    import numpy as np
    import torch
    from transformers.utils import logging

    verbosity, bars, threads = logging.get_verbosity(), logging.is_progress_bar_enabled(), torch.get_num_threads()
    python, numpy = random.getstate(), np.random.get_state()
    offline = os.environ.get("HF_HUB_DISABLE_TELEMETRY")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(num_threads)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        torch.set_num_threads(threads)
        random.setstate(python)
        np.random.set_state(numpy)
        if offline is None:
            del os.environ["HF_HUB_DISABLE_TELEMETRY"]
        else:
            os.environ["HF_HUB_DISABLE_TELEMETRY"] = offline
