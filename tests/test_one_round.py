"""The teaching version runs and gains."""

import subprocess
import sys
from pathlib import Path


def test_one_round(root: Path) -> None:
    script = root / "examples" / "one_round.py"
    assert len(script.read_text().splitlines()) <= 140
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=root, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "probe", "diagnose", "allocate", "verify", "mix", "measure", "decide",
    ]  # fmt: skip
    assert lines[-1].startswith("decide   keep: dev +")
