"""The command line itself: speed of --help, siblings, views of a run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cli import COMMANDS

Cli = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = (
    "torch", "transformers", "faiss", "numpy", "scipy", "pydantic", "rich", "openai", "jinja2", "trl", "peft",
    "sentence_transformers",
)  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, runpy\ncode = 0\n"
        "sys.argv = ['remedial', '--help']\n"
        "try:\n    runpy.run_module('agent.cli', run_name='__main__')\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] in ("[] 0", "[] None"), done.stdout
    for command in COMMANDS:
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: remedial" in done.stdout


def test_a_foreign_sibling_package_is_refused(tmp_path: Path, root: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "__init__.py").write_text("raise SystemExit('the wrong memory was imported')")
    code = "from agent.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "'memory'" in done.stderr
    assert str(tmp_path) in done.stderr


def test_views_of_a_run(cli: Cli, unbroken: dict[str, Any]) -> None:
    run = unbroken["run"]
    table = cli("status", run)
    assert table.returncode == 0
    assert "sealed test (n = 300)" in table.stdout
    report = cli("report", run)
    assert "mixture: 100 new (20.0 %), 400 replay (80.0 %)" in report.stdout
    story = json.loads(cli("report", run, "--json").stdout)
    assert [entry["diagnosis"]["round"] for entry in story["rounds"]] == list(range(len(story["rounds"])))


def test_clusters_and_lineage(cli: Cli, unbroken: dict[str, Any]) -> None:
    run = unbroken["run"]
    found = json.loads(cli("clusters", run, "--round", "0", "--json").stdout)
    assert sum(entry["budget"] for entry in found["clusters"]) == 100
    for entry in found["clusters"]:
        assert entry["failures"] <= entry["n"]
        assert entry["low"] <= entry["failure_rate"] <= entry["high"]
        assert entry["examples"][0]["statement"]
        assert entry["examples"][0]["student"] != entry["examples"][0]["answer"]
    cluster = found["clusters"][0]
    shown = json.loads(cli("show", cluster["id"][:10], "--run", run, "--json").stdout)
    assert shown["id"] == cluster["id"]
    assert ("draft", 0) in [(step["what"], step["round"]) for step in shown["lineage"]]
    problem = json.loads(cli("show", cluster["examples"][0]["id"], "--run", run, "--json").stdout)
    assert problem["record"]["statement"] == cluster["examples"][0]["statement"]
    assert ("attempt", 0) in [(step["what"], step["round"]) for step in problem["lineage"]]
    text = cli("clusters", run)
    assert text.returncode == 0
    assert cluster["id"][:10] not in text.stdout or len(unbroken["rounds"]) == 1
    missing = cli("clusters", run, "--round", "99")
    assert missing.returncode == 2
    assert "Diagnosed rounds: 0" in missing.stderr


def test_show_says_when_an_id_is_unknown_or_short(cli: Cli, unbroken: dict[str, Any]) -> None:
    for text, message in (("p-ffffffffffffffff", "has no record"), ("p-", "too short"), ("p-1", "give more of the id")):
        done = cli("show", text, "--run", unbroken["run"])
        assert done.returncode == 2, text
        assert message in done.stderr, done.stderr
