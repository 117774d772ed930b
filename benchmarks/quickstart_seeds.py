"""The quickstart over seeds: the table of docs/results.md.

    python benchmarks/quickstart_seeds.py --seeds 1 2 3 4 5 --out runs/seeds

Runs `remedial run -c examples/quickstart/config.yaml --seed N` for each seed (finished runs are read, not repeated)
and prints a Markdown table: sealed test of base and final student with the paired 95 % interval, by kind of skill (from
labels.jsonl, which the loop never sees), rounds, stop reason and seconds. It also counts test problems with a twin by
numbers and answer in any training data: replay, every accepted draft and, where it was made, the pretraining corpus.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from eval.overlap import number_signatures
from memory.ids import normalise_text, sha256_text
from memory.records import DraftBatch, Measurement, Outcome, Verdict

HERE = Path(__file__).resolve().parent.parent / "examples" / "quickstart"


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(config: Path, seed: int, folder: Path, sets: list[str]) -> dict[str, Any]:
    """One run's status; ``wall`` is null when it had been finished before."""
    finished = (folder / "final" / "test-1.done").exists()
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(config), "-o", str(folder), "--seed", str(seed)]
    command += ["--json", "-q", *(part for item in sets for part in ("--set", item))]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    found["wall"] = None if finished else time.monotonic() - started
    return found


def by_kind(folder: Path) -> dict[str, tuple[float, float]]:
    """Base and final accuracy in points on the sealed test, by kind of skill."""
    from memory.records import Problem, Split

    kinds = {row["statement"]: row["kind"] for row in rows(HERE / "data" / "labels.jsonl")}
    of: dict[str, str] = {}
    for row in rows(HERE / "data" / "test.jsonl"):
        made = Problem.make(row["question"], row["answer"], source="", split=Split.TEST)
        of[made.id] = kinds[sha256_text(normalise_text(row["question"]))]
    found: dict[str, list[list[bool]]] = defaultdict(lambda: [[], []])
    for index, name in enumerate(("test", "test-1")):
        text = (folder / "final" / f"{name}.jsonl").read_text(encoding="utf-8")
        for attempt in Measurement.model_validate_json(text).attempts:
            found[of[attempt.problem_id]][index].append(attempt.outcome is Outcome.CORRECT)
    return {kind: tuple(100 * sum(part) / len(part) for part in parts) for kind, parts in found.items()}  # type: ignore[misc]


def twins(folder: Path) -> dict[str, int]:
    """Test problems that share numbers and answer with something trained on."""
    test = [number_signatures(row["question"], row["answer"]) for row in rows(HERE / "data" / "test.jsonl")]
    accepted: set[str] = set()
    for path in folder.glob("round-*/verify*.jsonl"):
        yes = {
            verdict.draft_id
            for line in path.read_text(encoding="utf-8").splitlines()
            if (verdict := Verdict.model_validate_json(line)).accepted.value == "yes"
        }
        batches = path.with_name(path.name.replace("verify", "draft")).read_text(encoding="utf-8").splitlines()
        for draft in (draft for line in batches for draft in DraftBatch.model_validate_json(line).drafts):
            if draft.id in yes:
                accepted |= number_signatures(draft.problem.statement, draft.problem.answer)
    pools = {"accepted": accepted}
    for name in ("replay", "pretrain"):
        path = HERE / "data" / f"{name}.jsonl"
        if path.exists():
            pools[name] = {mark for row in rows(path) for mark in number_signatures(row["question"], row["answer"])}
    return {name: sum(not marks.isdisjoint(pool) for marks in test) for name, pool in pools.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--set", dest="sets", action="append", default=[])
    parser.add_argument("--no-twins", action="store_true", help="leave the twin check out (it reads the corpus)")
    arguments = parser.parse_args()
    print("| seed | rounds kept | stop | base | final | change | 95 % interval | by kind, base -> final | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seed in arguments.seeds:
        folder = arguments.out / f"seed-{seed}"
        found = run(arguments.config, seed, folder, arguments.sets)
        test, rounds = found["test"], found["rounds"]
        kept = sum(entry["decision"] == "keep" for entry in rounds)
        kinds = ", ".join(f"{kind} {a:.1f} -> {b:.1f}" for kind, (a, b) in sorted(by_kind(folder).items()))
        change = f"{test['difference']:+.1f} | {test['low']:+.1f} to {test['high']:+.1f}"
        cells = [seed, f"{kept} of {len(rounds)}", found["stop_reason"], f"{test['base']:.1f}", f"{test['final']:.1f}"]
        print("|", " | ".join(map(str, [*cells, change, kinds, f"{found['seconds']:.0f}"])), "|", flush=True)
        if not arguments.no_twins:
            print(f"<!-- seed {seed}: test problems with a twin: {twins(folder)} -->", flush=True)


if __name__ == "__main__":
    main()
