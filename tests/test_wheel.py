"""A wheel in an environment of its own runs --help and the scripted demo from another folder.

The wheel alone is installed; its dependencies come from the environment that runs the tests: no network is needed.
"""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest


@pytest.mark.real
def test_the_wheel_runs_from_another_folder(root: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
    )  # fmt: skip
    # A plain path line: the editable install of the outer environment stays out, since its own .pth is not read.
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = tmp_path / "env" / "bin" / "remedial"
    shown = subprocess.run([command, "--help"], check=True, capture_output=True, text=True, cwd=elsewhere)
    assert "pretrain" in shown.stdout
    where = [python, "-c", "import agent.cli; print(agent.cli.__file__)"]
    origin = subprocess.run(where, check=True, capture_output=True, text=True, cwd=elsewhere).stdout
    assert origin.startswith(str(site)), origin
    done = subprocess.run([command, "demo", "--json", "-q"], capture_output=True, text=True, check=False, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "finished"
    assert (elsewhere / "runs" / "demo" / "manifest.json").is_file()
