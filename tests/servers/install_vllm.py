"""Make the environment of the test servers: vLLM on processors, apart from the product's own environment.

    python tests/servers/install_vllm.py [FOLDER]

The folder is ``.venv-vllm`` in the checkout, or what ``REMEDIAL_VLLM_ENV`` names: about 3.5 GB, in about two minutes.
Run again, it does nothing unless the pinned versions have changed. Needs libnuma1, which it installs with
apt-get where it may.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "constraints-vllm.txt"
MODULE = "vllm.entrypoints.openai.api_server"


def folder() -> Path:
    """Where the environment lies or shall lie."""
    return Path(os.environ.get("REMEDIAL_VLLM_ENV") or HERE.parent.parent / ".venv-vllm").resolve()


def python(env: Path | None = None) -> Path:
    return (env or folder()) / "bin" / "python"


def stamp_text() -> str:
    return hashlib.sha256(PINS.read_bytes()).hexdigest()


def installed(env: Path | None = None) -> bool:
    """Whether the environment is whole and of the pinned versions."""
    stamp = (env or folder()) / ".installed"
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == stamp_text()


def install(env: Path) -> None:
    """Build the environment anew; the stamp is written last.

    Raises:
        SystemExit: wrong Python, no libnuma, or a step failed.
    """
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"the pinned versions are for Python 3.11, this is {sys.version.split()[0]}; run python3.11")
    shutil.rmtree(env, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(env))
    _run(str(python(env)), "-m", "pip", "install", "-qq", "--no-deps", "-r", str(PINS))
    _libnuma()
    _check(env)
    (env / ".installed").write_text(stamp_text() + "\n", encoding="utf-8")


def _libnuma() -> None:
    if ctypes.util.find_library("numa"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit("vLLM needs libnuma: install it (Debian: apt-get install libnuma1) and run this again")
    _run("apt-get", "update", "-qq")
    _run("apt-get", "install", "-y", "-qq", "libnuma1")


def _check(env: Path) -> None:
    """The server's module imports."""
    quiet = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    done = subprocess.run([str(python(env)), "-c", f"import {MODULE}"], capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise SystemExit(f"vLLM was installed but does not start:\n{done.stderr[-2000:]}")


def _run(*command: str) -> None:
    if subprocess.run(command).returncode:
        raise SystemExit(f"failed: {' '.join(command)}")


def main() -> None:
    env = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else folder()
    if installed(env):
        return
    print(f"making the environment of the test servers in {env} (3.5 GB, about two minutes)", flush=True)
    install(env)


if __name__ == "__main__":
    main()
