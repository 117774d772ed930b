"""kill -9 at random moments of a run with real training, then resume: are the hashes those of an unbroken run?

    python benchmarks/kill_resume.py --kills 30 --out runs/kill

Uses the quickstart's student and data with small rounds (options below), so that a whole run takes well under a
minute. Runs are killed and resumed until they finish; new runs are started until there were enough kills.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

CONFIG = Path(__file__).resolve().parent.parent / "examples" / "quickstart" / "config.yaml"
SMALL = (
    "--limit", "60", "--set", "allocate.new_examples=40", "--set", "data.guard_size=60", "--set", "loop.max_rounds=2",
    "--set", "loop.patience=2", "--set", "anneal.save_steps=4", "--set", "diagnose.stability_seeds=2",
)  # fmt: skip


def artifacts(folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "agent.cli", "status", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)["artifacts"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/kill"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(CONFIG), "-q", *SMALL, "-o"]
    started = time.monotonic()
    subprocess.run([*command, str(arguments.out / "unbroken")], check=True, capture_output=True)
    whole = time.monotonic() - started
    expected = artifacts(arguments.out / "unbroken")
    print(f"unbroken: {whole:.0f} s, {len(expected)} artifacts", flush=True)
    rng, kills, chain, same = random.Random(arguments.seed), 0, 0, 0
    while kills < arguments.kills:
        folder = arguments.out / f"chain-{chain}"
        chain += 1
        here = 0
        while True:
            process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                # Imports take seconds; a run must live long enough to finish a step now and then.
                _, errors = process.communicate(timeout=rng.uniform(0.2, 0.9) * whole)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills, here = kills + 1, here + 1
                continue
            if process.returncode:
                raise SystemExit(errors.decode())
            break
        equal = artifacts(folder) == expected
        same += equal
        print(f"run {chain}: killed {here} times, hashes {'equal' if equal else 'DIFFER'}", flush=True)
    print(f"{kills} kills in {chain} runs; {same} of {chain} ended with the unbroken run's hashes")
    sys.exit(0 if same == chain else 1)


if __name__ == "__main__":
    main()
