"""The student's loss on given solutions, against transformers' own, with and without an adapter."""

import math
from pathlib import Path

import pytest

from memory.errors import ConfigError
from tests.training.test_anneal import SETTINGS, anneal, examples
from training.anneal import LoraTrainer, parse_config
from training.base import Example

pytestmark = pytest.mark.real


def trainer(student: Path, **settings: object) -> LoraTrainer:
    return LoraTrainer(str(student), parse_config(SETTINGS | settings), base_name="student")


def reference(student: Path, example: Example) -> float:
    """Transformers' own loss, one example at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(student).eval(), AutoTokenizer.from_pretrained(student)
    chat = [{"role": "user", "content": example.prompt}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(example.completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    labels = torch.tensor([[-100] * len(before) + after])
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([before + after]), labels=labels).loss)


def test_they_are_transformers_own(student: Path) -> None:
    data = examples(7)
    found = trainer(student).losses(None, data)
    assert len(found) == 7
    for loss, example in zip(found, data, strict=True):
        assert math.isclose(loss, reference(student, example), rel_tol=1e-4)


def test_a_loss_does_not_depend_on_the_examples_beside_it(student: Path) -> None:
    data = examples(12)
    together = trainer(student).losses(None, data)
    assert trainer(student).losses(None, list(reversed(data))) == pytest.approx(together[::-1], rel=1e-5)
    alone = [trainer(student).losses(None, [example])[0] for example in data[:3]]
    assert alone == pytest.approx(together[:3], rel=1e-5)


def test_what_was_trained_has_a_lower_loss(student: Path, tmp_path: Path) -> None:
    anneal(student, tmp_path)
    before = trainer(student).losses(None, examples())
    after = trainer(student).losses(tmp_path / "adapter", examples())
    assert all(new < old for new, old in zip(after, before, strict=True))


def test_lengths_are_those_of_training(student: Path, tmp_path: Path) -> None:
    found = anneal(student, tmp_path)
    assert sum(trainer(student).lengths(examples())) == found.stats["n_tokens"]


def test_an_example_beyond_max_length_is_an_error(student: Path) -> None:
    with pytest.raises(ConfigError, match="max_length"):
        trainer(student, max_length=20).losses(None, examples(3))
