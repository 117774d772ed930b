"""The recipes pass validate offline, with data in their format; the script that splits it keeps splits apart."""

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from eval.overlap import text_hash
from tests.agent.paid import call

RECIPE = "qwen2.5-1.5b-qwq-32b-gsm8k.yaml"


@pytest.fixture(scope="module")
def splitter(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("split_gsm8k", root / "examples" / "recipes" / "split_gsm8k.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gsm8k_like(rng: random.Random) -> dict[str, str]:
    a, b, c = rng.randint(11, 999), rng.randint(11, 999), rng.randint(1000, 99999)
    question = f"A depot has {a} crates with {b} bolts in each, and {c} loose bolts. How many bolts are there?"
    worked = f"The crates hold {a}*{b}=<<{a}*{b}={a * b}>>{a * b} bolts.\n"
    worked += f"With the loose ones there are {a * b}+{c}=<<{a * b}+{c}={a * b + c}>>{a * b + c} bolts.\n"
    return {"question": question, "answer": f"{worked}#### {a * b + c:,}"}


def run_splitter(splitter: ModuleType, folder: Path, rows: dict[str, list[dict[str, str]]], *words: str) -> Path:
    for name, part in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    output = folder / "gsm8k"
    files = ["--train", str(folder / "train.jsonl"), "--test", str(folder / "test.jsonl")]
    before, sys.argv = sys.argv, ["split_gsm8k.py", *files, "--output-dir", str(output), *words]
    try:
        splitter.main()
    finally:
        sys.argv = before
    return output


def test_the_recipe_passes_validate_offline(splitter: ModuleType, root: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = {"train": [gsm8k_like(rng) for _ in range(6500)], "test": [gsm8k_like(rng) for _ in range(300)]}
    run_splitter(splitter, tmp_path, rows)
    config = tmp_path / RECIPE
    config.write_text((root / "examples" / "recipes" / RECIPE).read_text(encoding="utf-8"), encoding="utf-8")
    result = call("validate", "-c", config, "--offline", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["plan"]["test (sealed)"] == 300
    assert found["plan"]["replay"] >= found["plan"]["replay examples a round"]
    unchecked = {item["place"] for item in found["unchecked"]}
    assert unchecked == {"diagnose.model_name_or_path", "student.model_name_or_path", "teacher", "student"}
    # What the comment tells to start the student's server with is what the config needs.
    text = config.read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    rank = settings["anneal"]["lora_r"] * settings["loop"]["max_rounds"]
    assert f"--max-lora-rank {rank} " in text
    assert "NOT RUN HERE" in text


def test_a_split_keeps_questions_apart_and_does_not_depend_on_their_order(splitter: ModuleType, tmp_path: Path) -> None:
    rng = random.Random(1)
    train: list[dict[str, Any]] = [gsm8k_like(rng) for _ in range(60)]
    test = [gsm8k_like(rng) for _ in range(10)]
    train += [train[0], {**test[0], "question": f"  {test[0]['question']} "}]
    words = ("--probe", "20", "--dev", "15")
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    one = run_splitter(splitter, first, {"train": train, "test": test}, *words)
    other = run_splitter(splitter, second, {"train": train[::-1], "test": test}, *words)
    parts = {}
    for name in ("probe", "dev", "replay", "test"):
        assert (one / f"{name}.jsonl").read_text() == (other / f"{name}.jsonl").read_text()
        parts[name] = [json.loads(line)["question"] for line in (one / f"{name}.jsonl").read_text().splitlines()]
    assert {name: len(part) for name, part in parts.items()} == {"probe": 20, "dev": 15, "replay": 25, "test": 10}
    hashes = [text_hash(question) for part in parts.values() for question in part]
    assert len(set(hashes)) == len(hashes)


def test_a_split_that_cannot_be_made(splitter: ModuleType, tmp_path: Path) -> None:
    rows = [gsm8k_like(random.Random(2)) for _ in range(5)]
    with pytest.raises(SystemExit, match="leave nothing"):
        run_splitter(splitter, tmp_path, {"train": rows, "test": rows[:1]})
    with pytest.raises(SystemExit, match=r"train.jsonl, line 1: no GSM8K row"):
        run_splitter(splitter, tmp_path, {"train": [{"question": "x", "answer": "7"}], "test": rows})
