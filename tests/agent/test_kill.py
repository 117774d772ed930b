"""kill -9 at every named fault point and at random moments, then resume: the same hashes as an unbroken run."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory import fault

Cli = Callable[..., subprocess.CompletedProcess[str]]


LATER = (
    "step.begin:12",
    "artifact.written:21",
    "artifact.renamed:24",
    "step.done:15",
    "mix.commit:2",
    "round.record:2",
)


@pytest.mark.parametrize("point", [*fault.POINTS, *LATER])
def test_killed_at_a_named_point(
    cli: Cli, demo_config: Path, unbroken: dict[str, Any], tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "run"
    killed = cli("run", "-c", demo_config, "-o", folder, "-q", fault=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = cli("run", "-c", demo_config, "-o", folder, "--json", "-q")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["artifacts"] == unbroken["artifacts"]


def test_killed_at_thirty_random_moments(cli: Cli, demo_config: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    rng, kills, chain = random.Random(7), 0, 0
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(demo_config), "-q"]
    started = time.monotonic()
    subprocess.run([*command, "-o", str(tmp_path / "timed")], check=True, capture_output=True)
    whole = time.monotonic() - started
    while kills < 30:
        folder = tmp_path / f"chain-{chain}"
        chain += 1
        while True:
            process = subprocess.Popen([*command, "-o", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, errors = process.communicate(timeout=rng.uniform(0.4, 1.0) * whole)
                assert process.returncode == 0, errors
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        found = json.loads(cli("status", folder, "--json").stdout)
        assert found["artifacts"] == unbroken["artifacts"], f"after {kills} kills in {chain} runs"
        assert chain < 60, "the run is too short to be killed; widen the range"


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(
    cli: Cli, demo_config: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(demo_config), "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:  # wait until the loop is under way
        if "done in" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"remedial resume {folder}" in errors
    assert "Traceback" not in errors
    assert json.loads(cli("status", folder, "--json").stdout)["state"] == "interrupted"
    resumed = cli("resume", folder, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["artifacts"] == unbroken["artifacts"]
