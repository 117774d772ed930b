"""Train a small Llama-style causal language model from scratch on a JSONL file of worked problems.

Owns the configuration, the reading of examples and the training loop; `training.model_folder` writes
the result. Knows nothing of runs, benchmarks or adapters. torch is imported only when training starts.

The first step of the paper's setting: a base student trained on a validated, skewed mix.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from eval.engines.chat import encode_texts, render_prompt, to_messages
from memory.errors import DataError, UsageError
from memory.ids import canonical_json, derive_seed, sha256_text
from memory.strict import load
from training.batches import bucketed_batches
from training.tokenizer import MIN_VOCAB, train_tokenizer


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class PretrainColumns(_Section):
    """Which column of a JSONL row holds what."""

    statement: str = "question"
    solution: str = "solution"


class PretrainConfig(_Section):
    """Everything pretraining needs. Defaults are the recipe of the quickstart student."""

    name: str = "student"
    about: str = Field(
        default="It is made to be improved, not to be used: its training mix is skewed on purpose, so that it is good "
        "at some skills and bad at others.",
        description="what the model card says it is for",
    )
    train_file: str
    columns: PretrainColumns = PretrainColumns()
    seed: int = 0

    vocab_size: int = Field(default=952, ge=MIN_VOCAB, le=65536)
    hidden_size: int = Field(default=128, ge=8)
    num_hidden_layers: int = Field(default=4, ge=1)
    num_attention_heads: int = Field(default=4, ge=1)
    num_key_value_heads: int | None = Field(default=None, ge=1, description="None: as many as attention heads")
    intermediate_size: int = Field(default=384, ge=8)
    max_position_embeddings: int = Field(default=1024, ge=16)
    initializer_range: float = Field(default=0.02, gt=0)

    max_length: int = Field(default=320, ge=8, description="longest example in tokens; a longer one is an error")
    num_train_epochs: int = Field(default=1, ge=1)
    per_device_train_batch_size: int = Field(default=40, ge=1)
    learning_rate: float = Field(default=2.5e-3, gt=0)
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.98, ge=0, lt=1)
    weight_decay: float = Field(default=0.05, ge=0, description="on matrices only")
    max_grad_norm: float = Field(default=1.0, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    decay_share: float = Field(default=0.4, ge=0, le=1, description="last share of steps: linear to zero")
    matmul_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16 is faster on processors that have it; weights stay in float32"
    )
    num_threads: int = Field(default=1, ge=1)
    device: str = "cpu"
    log_every: int = Field(default=20, ge=1)


@dataclass(frozen=True)
class StepLog:
    """One optimiser step: ``loss`` per solution token in nats, counts since the start."""

    step: int
    steps: int
    loss: float
    lr: float
    tokens: int
    examples: int


@dataclass(frozen=True)
class Encoded:
    """Token ids of prompt, solution and end token; loss falls on ``ids[prompt_length:]``."""

    ids: list[int]
    prompt_length: int


def load_pretrain_config(path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> PretrainConfig:
    """Read a YAML file; ``train_file`` is relative to that file's folder.

    Raises:
        ConfigError: see `memory.strict`.
    """
    config = load(PretrainConfig, path, overrides, seed)
    return config.model_copy(update={"train_file": str((path.parent / config.train_file).resolve())})


def read_examples(path: Path, columns: PretrainColumns) -> list[tuple[str, str]]:
    """Statement and solution of every row, sorted by content: the order of rows in the file changes nothing.

    Raises:
        DataError: no such file, a malformed line or missing column (with its line), no rows.
    """
    if not path.is_file():
        raise DataError(f"No training file at {path}; set train_file to a JSONL file.")
    found = []
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                found.append(_read_row(line, f"{path}, line {number}", columns))
    if not found:
        raise DataError(f"{path} holds no rows; training needs at least one.")
    return [pair for _, pair in sorted((sha256_text(canonical_json(pair)), pair) for pair in found)]


def _read_row(line: bytes, where: str, columns: PretrainColumns) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON ({error}).") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be a JSON object, not {type(row).__name__}.")
    values = []
    for key, column in (("statement", columns.statement), ("solution", columns.solution)):
        value = row.get(column)
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"{where}: column '{column}' must hold a text; columns here: {', '.join(map(str, row))}. "
                f"Name the right one under columns.{key}."
            )
        values.append(value)
    return values[0], values[1]


def pretrain(
    config: PretrainConfig,
    *,
    output_dir: Path,
    progress: Callable[[StepLog], None] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train and write a model folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load.

    The folder appears whole or not at all. The same config and rows give the same bytes (on one kind
    of machine, with one number of threads).

    Args:
        config: the recipe.
        output_dir: where the folder shall be.
        progress: called after every step.
        overwrite: replace a folder that is there already.

    Returns:
        ``parameters``, ``examples``, ``epochs``, ``steps``, ``tokens``, ``solution_tokens``, ``loss`` (mean of the
        last 5 % of steps), ``vocab_size``, ``data_sha256``, ``seconds``.

    Raises:
        UsageError: ``output_dir`` is in use, or head counts do not divide the width.
        DataError: see `read_examples`; an example is longer than ``max_length``.
    """
    started = time.perf_counter()
    _check(config, output_dir, overwrite)
    pairs = read_examples(Path(config.train_file), config.columns)
    texts = (text for pair in pairs for text in pair)
    tokenizer = train_tokenizer(texts, config.vocab_size, config.max_position_embeddings)
    encoded = _encode(tokenizer, pairs, config.max_length)

    from training.model_folder import build_model, write_model_folder
    from training.pretrain_loop import train

    model = build_model(config, tokenizer)
    log: list[StepLog] = []

    def keep(entry: StepLog) -> None:
        log.append(entry)
        if progress is not None:
            progress(entry)

    train(model, encoded, config, pad_id=tokenizer.pad_token_id, report=keep)
    tail = log[-max(1, len(log) // 20) :]
    summary: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "examples": len(pairs),
        "epochs": config.num_train_epochs,
        "steps": len(log),
        "tokens": log[-1].tokens,
        "solution_tokens": config.num_train_epochs * sum(len(item.ids) - item.prompt_length for item in encoded),
        "loss": round(sum(entry.loss for entry in tail) / len(tail), 5),
        "vocab_size": len(tokenizer),
        "data_sha256": sha256_text(canonical_json(pairs)),
    }
    write_model_folder(output_dir, model, tokenizer, config, summary, _thin(log, config.log_every))
    return {**summary, "seconds": round(time.perf_counter() - started, 1)}


def _check(config: PretrainConfig, output_dir: Path, overwrite: bool) -> None:
    heads, groups = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
    if config.hidden_size % heads or (config.hidden_size // heads) % 2:
        raise UsageError(f"hidden_size {config.hidden_size} must be an even multiple of num_attention_heads {heads}.")
    if heads % groups:
        raise UsageError(f"num_attention_heads {heads} must be a multiple of num_key_value_heads {groups}.")
    if config.max_length > config.max_position_embeddings:
        raise UsageError(
            f"max_length {config.max_length} is above max_position_embeddings {config.max_position_embeddings}."
        )
    if output_dir.exists() and not overwrite and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise UsageError(f"{output_dir} is in use already; choose another folder or allow overwriting.")


def _encode(tokenizer: Any, pairs: Sequence[tuple[str, str]], max_length: int) -> list[Encoded]:
    prompts = encode_texts(tokenizer, [render_prompt(tokenizer, to_messages(statement)) for statement, _ in pairs])
    solutions = encode_texts(tokenizer, [solution for _, solution in pairs])
    found = []
    for (statement, _), prompt, answer in zip(pairs, prompts, solutions, strict=True):
        ids = [*prompt, *answer, tokenizer.eos_token_id]
        if len(ids) > max_length:
            raise DataError(
                f"An example has {len(ids)} tokens, more than max_length {max_length}; "
                f"raise max_length or drop it. It begins: {statement[:80]!r}"
            )
        found.append(Encoded(ids, len(prompt)))
    return found


def batches_of_epoch(encoded: Sequence[Encoded], config: PretrainConfig, epoch: int) -> list[list[int]]:
    """Indices of each batch of one epoch."""
    seed = derive_seed(config.seed, "batches", epoch)
    return bucketed_batches([len(item.ids) for item in encoded], config.per_device_train_batch_size, seed)


def learning_rate_at(step: int, steps: int, config: PretrainConfig) -> float:
    """Rate at a step counted from 0: linear warm-up, constant, then linear decay to zero over ``decay_share``."""
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    decay = steps * config.decay_share
    left = min(1.0, (steps - step) / decay) if decay else 1.0
    return config.learning_rate * min(warm, left)


def _thin(log: Sequence[StepLog], every: int) -> list[StepLog]:
    """One entry for every ``every`` steps: the last of them, with the mean loss."""
    thinned = []
    for start in range(0, len(log), every):
        part = log[start : start + every]
        last = part[-1]
        loss = sum(entry.loss for entry in part) / len(part)
        thinned.append(StepLog(last.step, last.steps, round(loss, 5), last.lr, last.tokens, last.examples))
    return thinned
