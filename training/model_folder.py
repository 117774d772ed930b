"""A model trained from scratch, as an ordinary model folder: built empty, written whole.

Owns the architecture's configuration, the files and the model card. Knows nothing of how weights were found.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from memory.ids import derive_seed
from training.tokenizer import save_tokenizer

if TYPE_CHECKING:
    from training.pretrain import PretrainConfig, StepLog


def build_model(config: PretrainConfig, tokenizer: Any) -> Any:
    """A ``LlamaForCausalLM`` in float32 with seeded initial weights and tied embeddings."""
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads or config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        initializer_range=config.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    shape._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights"))
        return LlamaForCausalLM(shape)


def write_model_folder(
    output_dir: Path,
    model: Any,
    tokenizer: Any,
    config: PretrainConfig,
    summary: Mapping[str, Any],
    log: Sequence[StepLog],
) -> None:
    """Write weights (bfloat16 safetensors), configuration, tokenizer, log and card, then rename into place."""
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    folder = output_dir.with_name(f".{output_dir.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    weights = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it readable by the owner only
    shape = model.config
    shape.dtype = torch.bfloat16
    shape.architectures = [type(model).__name__]
    shape.save_pretrained(folder)
    ids = {"bos_token_id": shape.bos_token_id, "eos_token_id": shape.eos_token_id, "pad_token_id": shape.pad_token_id}
    GenerationConfig(**ids, do_sample=False).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    lines = [json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in log]
    (folder / "training_log.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "README.md").write_text(model_card(config, summary), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _swap(folder, output_dir)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(folder: Path, output_dir: Path) -> None:
    """Rename ``folder`` to ``output_dir``; what was there is removed only afterwards."""
    old = output_dir.with_name(f".{output_dir.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if output_dir.exists():
        output_dir.rename(old)
    folder.rename(output_dir)
    shutil.rmtree(old, ignore_errors=True)


def model_card(config: PretrainConfig, summary: Mapping[str, Any]) -> str:
    """The model card: what it is, how it was made, from which data. No dates or seconds: they do not repeat."""
    recipe = config.model_dump(exclude={"train_file", "name", "about", "columns", "num_threads", "device", "log_every"})
    rows = "\n".join(f"| {key} | {value} |" for key, value in recipe.items() if value is not None)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
license: apache-2.0
tags: [remedial, trained-from-scratch, math-word-problems]
---

# {config.name}

A {summary["parameters"]:,}-parameter Llama-style model, trained from scratch by `remedial pretrain` on worked
mathematical word problems. It knows nothing outside such problems.

{config.about}

It loads through `AutoModelForCausalLM` and `AutoTokenizer`. Its answers end with `\\boxed{{...}}` where its training
solutions did.

## Data

`{Path(config.train_file).name}`: {summary["examples"]:,} examples, SHA-256 of its sorted content
`{summary["data_sha256"]}`.

## Training

{summary["steps"]:,} steps, {summary["tokens"]:,} tokens ({summary["solution_tokens"]:,} of them in solutions, which
alone carry loss), {summary["epochs"]} epoch(s). Final loss {summary["loss"]:.4f} nats per solution token (mean over the
last 5 % of steps; every step block is in `training_log.jsonl`). Trained in float32, stored in bfloat16.

| setting | value |
|---|---|
{rows}

To make it again: `remedial pretrain -c pretrain.yaml`. The same rows, in any order, and the same seed give the same
weights on the same kind of machine.
"""
