from pathlib import Path

import pytest

from memory.errors import ConfigError
from training.base import Example
from training.scripted import ScriptedTrainer, practice_of, template_of


def train(folder: Path, prompts: list[str], adapter: Path | None = None) -> Path:
    examples = [Example(f"p{index}", prompt, "done") for index, prompt in enumerate(prompts)]
    counted: list[int] = []
    result = ScriptedTrainer().anneal(
        adapter, examples, seed=0, output_dir=folder, scratch_dir=folder / "scratch", progress=counted.append
    )
    assert sum(counted) == result.stats["n_examples"] == len(prompts)
    return folder


def test_the_kind_of_a_problem_is_its_text_without_numbers() -> None:
    assert template_of("Add 12 and  3,000.5!") == template_of("add 7 and 1!") == "add # and #!"


def test_practice_accumulates_over_the_incumbent(tmp_path: Path) -> None:
    first = train(tmp_path / "a", ["add 1 and 2", "add 3 and 4", "halve 8"])
    second = train(tmp_path / "b", ["add 5 and 6"], first)
    assert practice_of(first) == {"add # and #": 2, "halve #": 1}
    assert practice_of(second) == {"add # and #": 3, "halve #": 1}


def test_the_files_are_the_same_for_any_order(tmp_path: Path) -> None:
    prompts = ["add 1 and 2", "halve 8", "double 9"]
    one, two = train(tmp_path / "a", prompts), train(tmp_path / "b", prompts[::-1])
    for name in ("adapter_config.json", "practice.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_errors_name_the_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mixture is empty"):
        train(tmp_path / "a", [])
    with pytest.raises(ConfigError, match=r"no readable practice\.json"):
        train(tmp_path / "b", ["x"], tmp_path)
