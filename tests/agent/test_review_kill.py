"""The review on the command line: pausing, deciding, and kill -9 between and within them."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.review_runs import artifacts, waiting

Cli = Callable[..., subprocess.CompletedProcess[str]]
ONE_ROUND = ("--set", "loop.max_rounds=1")


@pytest.fixture(scope="module")
def paused(cli: Cli, demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that waits after its first diagnosis, and a file that drops its largest cluster beside it."""
    folder = tmp_path_factory.mktemp("paused") / "run"
    done = cli("run", "-c", demo_config, "-o", folder, "-q", "--json", "--pause-after", "diagnose", *ONE_ROUND)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "paused"
    assert f"  remedial review {folder}\n  remedial resume {folder}\n" in done.stderr
    shown = cli("review", folder)
    assert shown.returncode == 0, shown.stderr
    assert str(folder / "review" / "round-00-diagnose.yaml") in shown.stdout
    text = (folder / "review" / "round-00-diagnose.yaml").read_text(encoding="utf-8")
    (folder.parent / "drop.yaml").write_text(text.replace("    action: keep", "    action: drop", 1), encoding="utf-8")
    (folder / "review" / "round-00-diagnose.yaml").unlink()
    return folder


@pytest.fixture(scope="module")
def reviewed(cli: Cli, paused: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of the run whose largest cluster was dropped, undisturbed."""
    folder = Path(shutil.copytree(paused, tmp_path_factory.mktemp("reviewed") / "run"))
    assert cli("review", folder, "--apply", paused.parent / "drop.yaml", "--author", "Ada").returncode == 0
    done = cli("resume", folder, "-q", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["state"], found["review"]) == ("finished", None)
    (review,) = found["rounds"][0]["reviews"]
    assert (review["author"], review["point"], len(review["changes"])) == ("Ada", "diagnose", 1)
    assert review["changes"][0].startswith("dropped w-")
    assert "reviewed after diagnose by Ada at 2" in cli("report", folder).stdout
    return artifacts(folder)


@pytest.mark.parametrize("point", ["step.begin", "artifact.written", "artifact.renamed", "step.done", "step.done:3"])
def test_killed_after_the_review(cli: Cli, paused: Path, reviewed: dict[str, str], tmp_path: Path, point: str) -> None:
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    assert cli("review", folder, "--apply", paused.parent / "drop.yaml").returncode == 0
    decided = (folder / "round-00" / "review-diagnose.jsonl").read_bytes()
    killed = cli("resume", folder, "-q", fault=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = cli("resume", folder, "-q", "--json")
    assert done.returncode == 0, done.stderr
    assert artifacts(folder) == reviewed
    assert (folder / "round-00" / "review-diagnose.jsonl").read_bytes() == decided


@pytest.mark.parametrize(
    "point", ["artifact.written", "artifact.renamed", "artifact.written:2", "artifact.renamed:2", "step.done"]
)
def test_killed_while_submitting(cli: Cli, paused: Path, reviewed: dict[str, str], tmp_path: Path, point: str) -> None:
    """The resume submits the file in the run folder: killed there, it does so the next time, or has done so."""
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    shutil.copy(paused.parent / "drop.yaml", folder / "review" / "round-00-diagnose.yaml")
    killed = cli("resume", folder, "-q", fault=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    whole = point in ("artifact.renamed:2", "step.done")
    assert (folder / "round-00" / "review-diagnose.done").exists() == whole
    assert json.loads(cli("status", folder, "--json").stdout)["state"] == ("interrupted" if whole else "paused")
    done = cli("resume", folder, "-q", "--json")
    assert done.returncode == 0, done.stderr
    assert artifacts(folder) == reviewed
    assert len((folder / "round-00" / "review-diagnose.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_a_resume_without_a_decision_waits_on(cli: Cli, paused: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    again = cli("resume", folder, "-q")
    assert again.returncode == 0, again.stderr
    assert "Paused: round 0 waits for a review after diagnose" in again.stdout
    assert "paused; go on with" in again.stdout
    off = cli("resume", folder, "-q", "--json", "--pause-after", "none")
    assert json.loads(off.stdout)["state"] == "finished"
    assert not (folder / "round-00" / "review-diagnose.done").exists()
    nothing = cli("review", folder, "--json")
    assert json.loads(nothing.stdout) == {"run": str(folder), "pending": None, "file": None, "reviews": []}


def test_a_wrong_file_stops_the_resume_and_changes_nothing(cli: Cli, paused: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    path = folder / "review" / "round-00-diagnose.yaml"
    text = (paused.parent / "drop.yaml").read_text(encoding="utf-8").replace("weight: 1", "weight: heavy", 1)
    path.write_text(text, encoding="utf-8")
    line = text.split("\n").index("    weight: heavy") + 1
    before = waiting(folder)
    done = cli("resume", folder, "-q", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{path}, line {line}: weight is 'heavy'; give a number." in done.stderr
    assert waiting(folder) == before
    assert path.read_text(encoding="utf-8") == text
    kept = cli("review", folder)  # the edits are not written over
    assert kept.returncode == 0
    assert path.read_text(encoding="utf-8") == text


def test_approving_as_json_and_wrong_use(cli: Cli, paused: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    shown = json.loads(cli("review", folder, "--json").stdout)
    assert len(shown["pending"]["clusters"]) == len(shown["pending"]["decisions"]["clusters"]) == 6
    both = cli("review", folder, "--approve", "--apply", paused.parent / "drop.yaml")
    assert (both.returncode, "not both" in both.stderr) == (2, True)
    nobody = cli("review", folder, "--approve", "--author", " ")
    assert (nobody.returncode, "--author: give a name" in nobody.stderr) == (2, True)
    done = cli("review", folder, "--approve", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["point"], found["changes"]) == ("diagnose", ["approved as it was"])
    assert "@" in found["author"]
    twice = cli("review", folder, "--approve")
    assert (twice.returncode, "waits for no review" in twice.stderr) == (2, True)
    wrong = cli("resume", folder, "--pause-after", "none", "--pause-after", "verify")
    assert (wrong.returncode, "none stands beside another point" in wrong.stderr) == (2, True)


def test_the_editor_opens_on_a_terminal(paused: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paused, tmp_path / "run"))
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/action: keep$/action: drop/' \"$1\"\n", encoding="utf-8")
    editor.chmod(0o755)
    main, side = pty.openpty()
    environment = {**os.environ, "VISUAL": str(editor), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "agent.cli", "review", str(folder)]
    done = subprocess.run(command, stdin=side, capture_output=True, text=True, env=environment, timeout=60, check=False)
    os.close(main)
    os.close(side)
    assert done.returncode == 2, done.stdout
    assert "all clusters are dropped" in done.stderr
    assert "Nothing was submitted" in done.stderr
    assert (folder / "review" / "round-00-diagnose.yaml").read_text(encoding="utf-8").count("    action: drop") == 6
