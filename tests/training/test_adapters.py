import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory.errors import ConfigError
from training.adapters import adapter_hash, adapter_rank, concatenate, export_adapter

pytestmark = pytest.mark.real


def random_adapter(student: Path, folder: Path, seed: int, **lora: Any) -> Path:
    """A folder with a LoRA whose A and B are both random, so that it changes the logits."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **lora}
    base = AutoModelForCausalLM.from_pretrained(student)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    export_adapter(model, folder, base_name="base")
    return folder


def fresh_base(student: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(student)


@pytest.mark.parametrize(
    "stack",
    [
        [{}, {"r": 7, "lora_alpha": 3}],
        [{"use_rslora": True, "r": 3, "lora_alpha": 16}, {"r": 6}],
        [{"r": 6}, {"use_rslora": True, "r": 3, "lora_alpha": 16}],
        [{"use_rslora": True}, {"use_rslora": True, "r": 9}, {"r": 2, "lora_alpha": 1}],
        [{"target_modules": ["q_proj"]}, {"target_modules": ["v_proj", "up_proj"], "r": 5}],
        [{"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5}}, {"r": 5}],
    ],
    ids=["ranks", "rslora first", "rslora second", "three", "other targets", "patterns"],
)
def test_a_concatenation_answers_like_the_merged_stack(
    student: Path, tmp_path: Path, logits_of: Callable[..., Any], stack: list[dict[str, Any]]
) -> None:
    folders = [random_adapter(student, tmp_path / f"a{i}", i, **lora) for i, lora in enumerate(stack)]
    rank = concatenate(fresh_base(student), folders, tmp_path / "cat", base_name="base")
    assert rank == adapter_rank(tmp_path / "cat") == sum(adapter_rank(folder) for folder in folders)
    stacked, whole = logits_of(student, *folders), logits_of(student, tmp_path / "cat", merge=False)
    assert float((stacked - whole).abs().max()) < 1e-4
    # the adapters do something, so that the comparison can fail
    assert float((stacked - logits_of(student)).abs().max()) > 1e-2
    assert float((stacked - logits_of(student, folders[0])).abs().max()) > 1e-2


def test_concatenating_gives_the_base_back(student: Path, tmp_path: Path) -> None:
    import torch

    folders = [random_adapter(student, tmp_path / f"a{i}", i) for i in range(2)]
    base = fresh_base(student)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    concatenate(base, folders, tmp_path / "one", base_name="base")
    assert before.keys() == base.state_dict().keys()
    assert all(torch.equal(value, base.state_dict()[name]) for name, value in before.items())
    concatenate(base, folders, tmp_path / "two", base_name="base")
    assert adapter_hash(tmp_path / "one") == adapter_hash(tmp_path / "two")


def test_the_folder_is_plain_and_repeatable(student: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    one = random_adapter(student, tmp_path / "one", 5)
    two = random_adapter(student, tmp_path / "two", 5)
    assert sorted(path.name for path in one.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    text = (one / "adapter_config.json").read_text()
    config = json.loads(text)
    assert list(config) == sorted(config)
    assert config["target_modules"] == ["down_proj", "q_proj"]
    assert config["base_model_name_or_path"] == "base"
    assert {str(tensor.dtype) for tensor in load_file(one / "adapter_model.safetensors").values()} == {"torch.float32"}
    assert adapter_hash(one) == adapter_hash(two) != adapter_hash(random_adapter(student, tmp_path / "three", 6))


def test_what_cannot_be_stacked_is_refused(student: Path, tmp_path: Path) -> None:
    plain = random_adapter(student, tmp_path / "plain", 0)
    dora = random_adapter(student, tmp_path / "dora", 1, use_dora=True)
    with pytest.raises(ConfigError, match=r"use_dora.*plain LoRA"):
        concatenate(fresh_base(student), [plain, dora], tmp_path / "cat", base_name="base")
    config = json.loads((plain / "adapter_config.json").read_text())
    (plain / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": ["lm_head"]}))
    with pytest.raises(ConfigError, match="modules_to_save"):
        concatenate(fresh_base(student), [plain], tmp_path / "cat", base_name="base")
    with pytest.raises(ConfigError, match="at least one"):
        concatenate(fresh_base(student), [], tmp_path / "cat", base_name="base")
    with pytest.raises(ConfigError, match=r"adapter_config\.json"):
        adapter_rank(tmp_path)
    with pytest.raises(ConfigError, match=r"holds no adapter_config\.json"):
        adapter_hash(tmp_path)
