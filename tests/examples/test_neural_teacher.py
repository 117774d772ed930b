"""The neural teacher's corpus is what it claims to be, and the committed model is useful and imperfect."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from benchmarks.truth import truth
from eval.overlap import number_signatures
from memory.ids import canonical_json, sha256_text
from memory.records import TeacherReply
from synthesis.prompting import Prompts
from synthesis.strategies.envelope import Envelope, read_envelope
from synthesis.strategies.replies import Item, read_item
from training.pretrain import PretrainColumns, read_examples


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "examples/neural_teacher"


def make_corpus(root: Path, out: Path, hash_seed: str, *arguments: str) -> list[dict[str, str]]:
    script = root / "examples/neural_teacher/make_corpus.py"
    env = {"PYTHONPATH": str(root), "PYTHONHASHSEED": hash_seed, "PATH": ""}
    subprocess.run(
        [sys.executable, str(script), *arguments, "--out", str(out)], check=True, env=env, cwd=out.parent, timeout=600
    )
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def rows(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return make_corpus(root, tmp_path_factory.mktemp("corpus") / "corpus.jsonl", "1", "--examples", "600")


def problem_of(row: dict[str, str]) -> Item:
    envelope = read_envelope(TeacherReply(request_id="r", teacher="t", text=row["solution"]))
    assert isinstance(envelope, Envelope), row
    (only,) = envelope.problems
    item = read_item(only)
    assert isinstance(item, Item), item
    return item


def written(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["question"].startswith(("Write: ", "Vary: ", "Again: "))]


def test_what_it_is_taught_to_write_is_what_the_product_reads_and_true(rows: list[dict[str, str]]) -> None:
    for row in written(rows):
        item = problem_of(row)
        found = truth(item.statement)
        assert found is not None
        assert found.answer == Fraction(item.answer)
        assert item.statement not in row["question"]
    assert len(written(rows)) == 240


def test_the_first_exemplar_has_the_skill_of_what_is_written(rows: list[dict[str, str]]) -> None:
    for row in written(rows):
        first = row["question"].partition(": ")[2].partition(" | ")[0]
        shown, made = truth(first), truth(problem_of(row).statement)
        assert shown is not None
        assert made is not None
        assert shown.skill == made.skill


def test_it_is_asked_in_the_words_it_was_trained_on(folder: Path) -> None:
    prompts = Prompts(folder / "prompts")
    prompts.check()
    shown = [{"statement": text, "answer": "1", "wrong_answer": None} for text in ("A?", "B?", "C?")]
    common: dict[str, Any] = {"label": "x", "keyphrases": ("y",), "exemplars": shown, "n": 1}

    def said(name: str, **variables: Any) -> list[dict[str, str]]:
        return prompts.render(name, **variables)

    assert said("write", **common) == [{"role": "user", "content": "Write: A? | B?"}]
    assert said("write", **{**common, "exemplars": shown[:1]}) == [{"role": "user", "content": "Write: A?"}]
    assert said("variants", **common) == [{"role": "user", "content": "Vary: A?"}]
    assert said("repair", **common, reply="r", fault="f") == [{"role": "user", "content": "Again: A? | B?"}]
    assert said("solve", statement="A?") == [{"role": "user", "content": "A?"}]


def test_nothing_in_it_is_a_twin_of_a_measured_problem(root: Path, rows: list[dict[str, str]]) -> None:
    measured: set[str] = set()
    for split in ("probe", "dev", "test"):
        for line in (root / f"examples/quickstart/data/{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            measured |= number_signatures(row["question"], row["answer"])
    for row in written(rows):
        item = problem_of(row)
        assert measured.isdisjoint(number_signatures(item.statement, item.answer)), row


@pytest.mark.real
def test_the_corpus_is_the_one_it_was_trained_on(root: Path, folder: Path, tmp_path: Path) -> None:
    make_corpus(root, tmp_path / "corpus.jsonl", "2")
    pairs = read_examples(tmp_path / "corpus.jsonl", PretrainColumns())
    assert sha256_text(canonical_json(pairs)) in (folder / "model/README.md").read_text(encoding="utf-8")


@pytest.mark.real
def test_the_committed_teacher_is_useful_and_imperfect(root: Path, folder: Path) -> None:
    command = [sys.executable, str(folder / "measure.py"), "--requests", "120", "--samples", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    made, solved = found["written"], found["solved"]
    assert made["readable, one box, answer as boxed"] >= 0.9 * 120
    # The card's shares (42 % right, 62 % solved), less what 120 requests and another processor's sums may differ by.
    assert 0.25 * 120 <= made["right"] <= 0.6 * 120
    assert made["of the skill shown"] >= 0.8 * 120
    assert solved["solved greedily"] >= 0.5 * solved["problems"]
