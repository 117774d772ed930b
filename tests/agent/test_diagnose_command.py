"""``remedial diagnose`` and what is said of clusters that do not stand out."""

import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of problems; the model fails 30 of 40 of one kind, 2 of 40 of another, none of the third."""
    path = tmp_path_factory.mktemp("recorded") / "outputs.jsonl"
    rng = random.Random(0)
    kinds = {
        "A rectangle is {a} m long and {b} m wide. What is its area in square metres?": 30,
        "A train travels {a} km in {b} hours without a stop. How fast does the train travel?": 2,
        "Solve the equation {a}x + {b} = 0 for x, please.": 0,
    }
    rows = []
    for text, failing in kinds.items():
        for n in range(40):
            question = text.format(a=rng.randint(2, 99_999), b=n + 2)
            reply = f"Thinking.\n\\boxed{{{0 if n < failing else 7}}}"
            rows.append({"question": question, "gold": "so\n#### 7", "model_solution": reply, "ok": n >= failing})
    rows[39]["ok"] = False
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


COLUMNS = ("--problem", "question", "--answer", "gold", "--output", "model_solution")


def test_json_holds_outcomes_and_clusters(cli: Cli, outputs: Path, tmp_path: Path) -> None:
    command = ("diagnose", outputs, *COLUMNS, "--correct", "ok", "--embedder", "hashing", "--json")
    done = cli(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["outcomes"] == {"correct": 88, "wrong": 32, "unparsed": 0, "truncated": 0, "errored": 0}
    assert (found["n"], found["problems"]) == (120, 120)
    assert 0 <= found["stability"] <= 1
    assert sum(cluster["size"] for cluster in found["clusters"]) == 32
    assert sum(cluster["n"] for cluster in found["clusters"]) == 120
    for cluster in found["clusters"]:
        assert {"id", "label", "size", "failure_rate", "low", "high", "examples"} <= cluster.keys()
        assert 0 <= cluster["low"] <= cluster["failure_rate"] <= cluster["high"] <= 100
        assert cluster["examples"][0]["student"] == "0"
        assert cluster["examples"][0]["answer"] == "7"
    assert found["flags"]["compared"] == 120
    (apart,) = found["flags"]["disagreements"]
    assert (apart["line"], apart["recorded"], apart["ours"]) == (40, "not correct", "correct")
    again = cli(*command, "--quiet", cwd=tmp_path)
    assert (again.stdout, again.stderr) == (done.stdout, "")
    assert not list(tmp_path.iterdir())  # without a model there is nothing to cache


def test_the_table_says_what_does_not_stand_out(cli: Cli, outputs: Path) -> None:
    done = cli("diagnose", outputs, *COLUMNS, "--embedder", "hashing", "--k", "3", "-q")
    assert done.returncode == 0, done.stderr
    assert "120 outputs: correct 88, wrong 32" in done.stdout
    assert "stands out" in done.stdout
    assert "k=3 as configured" in done.stdout
    assert "do not clearly fail more than the rest" in done.stdout or "too small to tell" in done.stdout
    assert "(gold 7, model 0)" in done.stdout


def test_no_failures_is_a_sentence_and_not_an_error(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "1 + 1?", "answer": "2", "output": "2"}\n', encoding="utf-8")
    done = cli("diagnose", path, "--embedder", "hashing", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No failures to cluster: every output is correct." in done.stdout
    found = json.loads(cli("diagnose", path, "--embedder", "hashing", "--json", "-q").stdout)
    assert (found["clusters"], found["stability"], found["outcomes"]["correct"]) == ([], None, 1)


def test_hostile_text_is_shown_as_text(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    evil = "\x1b[2J[bold]\u202e <script>\ud800 " + "x" * 1_000_000
    rows = [{"question": f"{n} {evil}", "answer": "2", "output": f"A: \x1b[31m{n}", "who": evil} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = cli("diagnose", path, "--embedder", "hashing", "--model-column", "who")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    assert "[bold]" in done.stdout
    assert json.loads(cli("diagnose", path, "--embedder", "hashing", "--json").stdout)["n"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say which file: remedial diagnose"),
        (("none.jsonl",), "no such file"),
        (("{}", "--problem", "quest"), "Did you mean --problem question?"),
        (("{}", *COLUMNS, "--k", "many"), "--k many: give auto"),
        (("{}", *COLUMNS, "--model", "x"), "no model 'x'"),
        (("{}", *COLUMNS, "--embedder", "/nowhere"), "--embedder: there is no folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(cli: Cli, outputs: Path, arguments: tuple[str, ...], message: str) -> None:
    done = cli("diagnose", *(text.replace("{}", str(outputs)) for text in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_clusters_of_a_run_say_it_too(cli: Cli, unbroken: dict[str, Any]) -> None:
    found = json.loads(cli("clusters", unbroken["run"], "--round", "0", "--json").stdout)
    for cluster in found["clusters"]:
        assert cluster["standing"] in ("more", "not_more", "too_small")
        assert (cluster["remark"] is None) == (cluster["standing"] == "more")
    direct = cli(
        "diagnose", Path(unbroken["run"]) / "round-00" / "probe.jsonl", "--embedder", "hashing", "--json", "-q"
    )
    recorded = json.loads(direct.stdout)
    assert {cluster["id"] for cluster in recorded["clusters"]} == {cluster["id"] for cluster in found["clusters"]}


@pytest.mark.real
def test_a_recorded_model_on_gsm8k(cli: Cli, shared: Path, tmp_path: Path) -> None:
    """One of the four models with real embeddings: the file's flags, and two minutes of one core.

    Processor seconds, not wall seconds: the latter are also those of whatever else the machine does.
    """
    path = shared / "data" / "gsm8k" / "example_model_solutions.jsonl"
    before = sum(os.times()[2:4])  # of finished children
    done = cli("diagnose", path, "--model", "175b_verification", "--json", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sum(os.times()[2:4]) - before < 120
    found = json.loads(done.stdout)
    assert found["n"] == sum(found["outcomes"].values()) == 1319
    assert found["flags"]["compared"] == 1319
    assert found["flags"]["agreement"] >= 99.5
    assert sum(cluster["size"] for cluster in found["clusters"]) == 1319 - found["outcomes"]["correct"]
    assert found["stability"] is not None
