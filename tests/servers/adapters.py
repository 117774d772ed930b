"""Adapters with random weights, for tests that need one that does something, untrained."""

from pathlib import Path


def write_adapter(model_dir: Path, folder: Path, *, rank: int, scale: float = 0.02, seed: int = 0) -> Path:
    """A peft folder on all linear layers; its weights are drawn, so that answers differ from the base's."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype="float32", trust_remote_code=False)
    adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    adapted.save_pretrained(str(folder))
    return folder
