"""Whole loops on scripted parts: gains, hashes, stop reasons, what the status holds."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.demo import write_demo

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_three_rounds_gain_and_the_sealed_test_is_opened_once(unbroken: dict[str, Any]) -> None:
    assert unbroken["state"] == "finished"
    assert len(unbroken["rounds"]) >= 2
    assert unbroken["stop_reason"] in {"plateau", "max_rounds", "no_failures"}
    test = unbroken["test"]
    assert test["final"] - test["base"] == pytest.approx(test["difference"], abs=0.02)
    assert test["low"] > 0
    opened = [name for name in unbroken["artifacts"] if "test" in name]
    assert opened == ["final/test-1.jsonl", "final/test.jsonl"]


def test_status_holds_what_is_promised(unbroken: dict[str, Any]) -> None:
    assert {"run", "state", "stop_reason", "rounds", "test"} <= unbroken.keys()
    for entry in unbroken["rounds"]:
        assert {"index", "decision", "reason", "dev", "drafted", "accepted", "refused", "seconds"} <= entry.keys()
        keys = {"n", "accuracy", "low", "high", "difference", "difference_low", "difference_high"}
        assert keys <= entry["dev"].keys()
        assert entry["dev"]["low"] <= entry["dev"]["accuracy"] <= entry["dev"]["high"]
        assert entry["drafted"] == entry["accepted"] + sum(entry["refused"].values())
        assert entry["mixture"]["realised"]["new"] == pytest.approx(0.2, abs=1e-9)
        steps = {"probe", "diagnose", "allocate", "draft", "verify", "mix", "anneal", "measure", "guard", "round"}
        assert steps <= entry["seconds"].keys()
    assert {"n", "base", "final", "difference", "low", "high"} <= unbroken["test"].keys()


def test_the_same_seed_gives_the_same_hashes_and_permuted_files_too(
    cli: Cli, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    config = write_demo(tmp_path / "input")
    rng = random.Random(3)
    for name in ("probe", "dev", "test", "replay"):
        path = tmp_path / "input" / f"{name}.jsonl"
        lines = path.read_text().splitlines()
        rng.shuffle(lines)
        path.write_text("\n".join(lines) + "\n")
    done = cli("run", "-c", config, "-o", tmp_path / "run", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"] == unbroken["artifacts"]


def test_another_seed_gives_other_hashes(cli: Cli, demo_config: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    done = cli("run", "-c", demo_config, "-o", tmp_path / "run", "--json", "-q", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"] != unbroken["artifacts"]


@pytest.mark.parametrize(
    ("overrides", "reason", "rounds"),
    [
        (["loop.max_rounds=1"], "max_rounds", 1),
        (["loop.max_train_tokens=1", "loop.max_rounds=3"], "budget", 1),
        (["allocate.new_examples=1", "loop.max_rounds=5"], "plateau", 1),
        (["allocate.new_examples=1", "loop.max_rounds=5", "loop.patience=2"], "plateau", 2),
    ],
)
def test_stop_reasons(
    cli: Cli, demo_config: Path, tmp_path: Path, overrides: list[str], reason: str, rounds: int
) -> None:
    sets = [part for override in overrides for part in ("--set", override)]
    done = cli("run", "-c", demo_config, "-o", tmp_path / "run", "--json", "-q", *sets)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["stop_reason"], len(found["rounds"])) == (reason, rounds)


def test_no_failures_stops_at_once(cli: Cli, tmp_path: Path) -> None:
    config = write_demo(tmp_path / "input")
    student = tmp_path / "input" / "student" / "scripted.json"
    student.write_text(json.dumps(dict.fromkeys(json.loads(student.read_text()), 1.0)))
    done = cli("run", "-c", config, "-o", tmp_path / "run", "--json", "-q")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stop_reason"] == "no_failures"
    assert found["test"]["difference"] == 0
    assert found["adapter"] is None


def test_a_finished_run_is_shown_not_run_again(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    first = cli("run", "-c", demo_config, "-o", tmp_path / "run", "--json", "-q", "--set", "loop.max_rounds=1")
    again = cli("run", "-c", demo_config, "-o", tmp_path / "run", "--json", "-q", "--set", "loop.max_rounds=1")
    assert again.returncode == 0
    assert json.loads(first.stdout) == json.loads(again.stdout)
    other = cli("run", "-c", demo_config, "-o", tmp_path / "run", "--json", "-q")
    assert other.returncode == 2
    assert "another config" in other.stderr


def test_a_flipped_byte_is_noticed_on_resume(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed = cli("run", "-c", demo_config, "-o", folder, "-q", fault="round.record:2")
    assert killed.returncode < 0
    path = folder / "round-00" / "verify.jsonl"
    path.write_bytes(path.read_bytes().replace(b"pass", b"fail", 1))
    resumed = cli("resume", folder)
    assert resumed.returncode == 1
    assert "verify.jsonl is not what was written" in resumed.stderr
