"""An adapter of zeros in the form of one to come: a server is asked to load it before anything is spent.

Owns which of its weights are written. No weights of the base are loaded: only its configuration is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.adapters import CONFIG_FILE, WEIGHTS_FILE
from training.anneal import AnnealConfig, resolve_targets


def write_zero_adapter(
    model_name_or_path: str, settings: AnnealConfig, rank: int, output_dir: Path, *, revision: str | None = None
) -> None:
    """Write a peft folder of the rank and target modules that a run's adapters will have.

    Only the first module of each target's last name carries weights (A of shape (rank, inputs), B of shape (outputs,
    rank)): a server refuses a rank or a target by the settings, and the folder stays small for a large model.

    Args:
        model_name_or_path: the base.
        settings: of training; target modules and variants are taken from here.
        rank: largest rank the run's adapters may reach.
        output_dir: where the folder is written; readable by all, as a server may be another user.
        revision: of a hub model.

    Raises:
        ConfigError: a target module matches no linear layer.
        OSError: there is no model configuration at that place.
    """
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        shape = AutoConfig.from_pretrained(model_name_or_path, revision=revision, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(shape, trust_remote_code=False)
    targets = resolve_targets(model, settings.lora_target_modules)
    tensors: dict[str, Any] = {}
    for name, module in _first_of_each(model, targets).values():
        inputs, outputs = _sizes(module)
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.zeros(rank, inputs)
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.zeros(outputs, rank)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=model_name_or_path,
        r=rank,
        lora_alpha=rank,
        target_modules=targets,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        inference_mode=True,
    ).to_dict()
    output_dir.mkdir(parents=True, exist_ok=True)
    plain = {key: _plain(value) for key, value in config.items()}
    (output_dir / CONFIG_FILE).write_text(json.dumps(plain, indent=2, sort_keys=True), encoding="utf-8")
    save_file(tensors, output_dir / WEIGHTS_FILE, metadata={"format": "pt"})
    for path, mode in ((output_dir, 0o755), (output_dir / CONFIG_FILE, 0o644), (output_dir / WEIGHTS_FILE, 0o644)):
        path.chmod(mode)


def _first_of_each(model: Any, targets: list[str]) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = {}
    for name, module in model.named_modules():
        for target in targets:
            if f".{name}".endswith(f".{target}"):
                found.setdefault(target.rpartition(".")[2], (name, module))
    return found


def _sizes(module: Any) -> tuple[int, int]:
    # GPT-2's Conv1D keeps its weight transposed.
    if hasattr(module, "in_features"):
        return int(module.in_features), int(module.out_features)
    inputs, outputs = module.weight.shape
    return int(inputs), int(outputs)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return getattr(value, "value", value)
