"""Adapters as files: one plain peft folder, written the same byte for byte, hashed, stacked exactly.

Owns the export format and the concatenation of stacked LoRA adapters. Knows nothing of training.
Weights are stored in float32: the adapter is trained in float32, concatenation stays exact, and an
engine casts on loading. Heavy imports are inside the functions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import ConfigError, RemedialError
from memory.ids import sha256_file, sha256_text

if TYPE_CHECKING:
    import torch

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CARD_FILE = "README.md"

#: Largest relative error allowed between the stack and its concatenation, on a random vector per module.
CAT_TOLERANCE = 1e-4


def adapter_config(folder: Path) -> dict[str, Any]:
    """The folder's ``adapter_config.json``.

    Raises:
        ConfigError: there is none, or it is not a JSON object.
    """
    path = folder / CONFIG_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give the folder of a peft adapter.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is not a JSON object; give the folder of a peft adapter.")
    return found


def adapter_rank(folder: Path) -> int:
    """The largest rank of any module: what a server's ``max_lora_rank`` must allow.

    Raises:
        ConfigError: see `adapter_config`.
    """
    config = adapter_config(folder)
    return max(int(config["r"]), *(int(rank) for rank in (config.get("rank_pattern") or {}).values()), 0)


def adapter_hash(folder: Path) -> str:
    """Hex SHA-256 over configuration and weights; the model card does not count.

    Raises:
        ConfigError: one of the two files is missing.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} holds no {name}; give the folder of a peft adapter.")
    return sha256_text(sha256_file(folder / CONFIG_FILE) + sha256_file(folder / WEIGHTS_FILE))


def export_adapter(
    peft_model: Any,
    output_dir: Path,
    *,
    base_name: str,
    revision: str | None = None,
    adapter_name: str = "default",
) -> int:
    """Write one adapter of a peft model as a plain folder; returns its rank.

    The files depend on the weights and settings only: sorted keys and modules, no versions of
    the moment, no time stamps, safetensors in float32.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(peft_model, adapter_name=adapter_name, save_embedding_layers=False)
    tensors = {name: state[name].detach().to("cpu", torch.float32).contiguous() for name in sorted(state)}
    config = peft_model.peft_config[adapter_name].to_dict()
    config.update(base_model_name_or_path=base_name, revision=revision, inference_mode=True)
    config["target_modules"] = sorted(config["target_modules"])
    plain = {key: _plain(value) for key, value in sorted(config.items())}
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (output_dir / CONFIG_FILE).write_text(text, encoding="utf-8")
    save_file(tensors, output_dir / WEIGHTS_FILE, metadata={"format": "pt"})
    shutil.copymode(output_dir / CONFIG_FILE, output_dir / WEIGHTS_FILE)  # safetensors leaves it to the owner alone
    (output_dir / CARD_FILE).write_text(_card(plain, tensors), encoding="utf-8")
    return adapter_rank(output_dir)


def concatenate(
    base_model: Any, folders: Sequence[Path], output_dir: Path, *, base_name: str, revision: str | None = None
) -> int:
    """Write a stack of LoRA adapters as one plain adapter with the same effect; returns its rank.

    By peft's ``cat`` combination: ranks add up, and each adapter's scaling is folded into its A.
    The result is checked module by module against the stack on a random vector.

    Args:
        base_model: any instance of the base's architecture without adapters; its weights do not
            matter and it is given back as it was.
        folders: the stack, lowest first.
        output_dir: where the folder is written.
        base_name: the base as the adapter shall name it.
        revision: the base's revision.

    Raises:
        ConfigError: nothing to concatenate, or an adapter that has no exact concatenation
            (DoRA, trained biases, modules saved whole).
        RemedialError: the check failed.
    """
    import torch
    from peft import PeftModel

    if not folders:
        raise ConfigError("There are no adapters to concatenate; give at least one folder.")
    for folder in folders:
        check_stackable(folder)
    names = [f"stack{index}" for index in range(len(folders))]
    with torch.random.fork_rng(devices=[]):
        model = PeftModel.from_pretrained(base_model, str(folders[0]), adapter_name=names[0])
        for name, folder in zip(names[1:], folders[1:], strict=True):
            model.load_adapter(str(folder), adapter_name=name)
        if len(folders) == 1:
            combined = names[0]
        else:
            # peft copies the first adapter's flags into the result, whose scaling must be 1, not sqrt(rank).
            model.peft_config[names[0]].use_rslora = False
            combined = "cat"
            model.base_model.add_weighted_adapter(names, [1.0] * len(names), combined, combination_type="cat")
            _check_concatenation(model, names, combined)
    rank = export_adapter(model, output_dir, base_name=base_name, revision=revision, adapter_name=combined)
    model.unload()
    return rank


def check_stackable(folder: Path) -> None:
    """Refuse an adapter that has no exact concatenation.

    Raises:
        ConfigError: naming what stands in the way.
    """
    config = adapter_config(folder)
    faults = [
        f"peft_type {config.get('peft_type')}" if config.get("peft_type") != "LORA" else "",
        "use_dora" if config.get("use_dora") else "",
        f"bias {config.get('bias')}" if config.get("bias", "none") != "none" or config.get("lora_bias") else "",
        *(key for key in ("modules_to_save", "trainable_token_indices", "target_parameters") if config.get(key)),
    ]
    found = ", ".join(fault for fault in faults if fault)
    if found:
        raise ConfigError(
            f"The adapter in {folder} cannot be stacked exactly ({found}); "
            "train with plain LoRA, or set anneal.start_from to base."
        )


def merge_adapter(base_model: Any, folder: Path) -> Any:
    """The base with one adapter added into its weights, in memory only.

    Raises:
        ConfigError: see `adapter_config`.
    """
    from peft import PeftModel

    adapter_config(folder)
    return PeftModel.from_pretrained(base_model, str(folder)).merge_and_unload()


def _check_concatenation(model: Any, names: Sequence[str], combined: str) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    for key, layer in model.named_modules():
        lora_a = getattr(layer, "lora_A", None)
        if lora_a is None or combined not in lora_a:
            continue

        def effect(name: str, x: torch.Tensor, layer: Any = layer) -> torch.Tensor:  # (d_in,) -> (d_out,)
            a, b = layer.lora_A[name].weight.float(), layer.lora_B[name].weight.float()
            out: torch.Tensor = (b @ (a @ x)) * layer.scaling[name]
            return out

        with torch.no_grad():
            weight = lora_a[combined].weight
            x = torch.randn(weight.shape[1], generator=generator).to(weight.device)
            parts = [effect(name, x) for name in names if name in lora_a]
            wanted = torch.stack(parts).sum(dim=0)
            size = sum(float(part.abs().max()) for part in parts)
            error = float((effect(combined, x) - wanted).abs().max())
        if not error <= CAT_TOLERANCE * max(size, 1e-12):
            raise RemedialError(
                f"Concatenating {len(names)} adapters changed module {key} by {error:.2g} (size {size:.2g}); "
                "the installed peft does not concatenate exactly. Set anneal.start_from to base."
            )


def _plain(value: Any) -> Any:
    """JSON-able: sets sorted, enums by value."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return getattr(value, "value", value)


def _card(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    base = config["base_model_name_or_path"]
    modules = ", ".join(config["target_modules"])
    flags = ", ".join(name for name in ("use_rslora", "use_dora") if config.get(name)) or "none"
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return (
        f"---\nbase_model: {json.dumps(base)}\nlibrary_name: peft\ntags:\n- lora\n- remedial\n---\n\n"
        f"# LoRA adapter for {base}\n\n"
        "Trained by Remedial on verified practice for what the student got wrong, mixed with validated replay.\n"
        "Load it on the base with `peft.PeftModel.from_pretrained`, or serve it with the rank allowed.\n\n"
        f"- rank {config['r']}, alpha {config['lora_alpha']}, variants: {flags}\n"
        f"- modules: {modules}\n"
        f"- {parameters:,} parameters, float32\n"
    )
