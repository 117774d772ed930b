"""Runs of the scripted demo, as a user starts them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.demo import write_demo

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """The command in a process of its own: ``cli("run", "-c", path, fault="mix.commit")``."""

    def call(*arguments: str, fault: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
        environment.pop("REMEDIAL_FAULT", None)
        if fault:
            environment["REMEDIAL_FAULT"] = fault
        command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=900
        )

    return call


@pytest.fixture(scope="session")
def demo_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's config and data, written once."""
    return write_demo(tmp_path_factory.mktemp("demo") / "input")


@pytest.fixture(scope="session")
def unbroken(cli: Cli, demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The status of a whole, undisturbed demo run."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = cli("run", "-c", demo_config, "-o", folder, "--json", "-q")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
