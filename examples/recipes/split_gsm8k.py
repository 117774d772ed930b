"""Splits the official GSM8K files into the four that a run needs: probe, dev and replay out of train, test as it is.

    python examples/recipes/split_gsm8k.py --train train.jsonl --test test.jsonl --output-dir examples/recipes/gsm8k

The official files are grade_school_math/data/{train,test}.jsonl of https://github.com/openai/grade-school-math (MIT
licence). Rows are chosen by a hash of the question, so the same seed gives the same split whatever the order of the
rows. A question that stands twice, or in both files, is kept once, and of the two files in test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from eval.overlap import text_hash

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """Rows with ``question`` and ``answer``; each question once."""
    found: dict[str, Row] = {}
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            row = json.loads(line)
            if not isinstance(row.get("question"), str) or "####" not in str(row.get("answer")):
                sys.exit(f"{path}, line {number}: no GSM8K row; it has a question and an answer that ends in '#### N'.")
            found.setdefault(text_hash(row["question"]), row)
    return list(found.values())


def split(train: list[Row], test: list[Row], probe: int, dev: int, seed: int) -> dict[str, list[Row]]:
    """The four parts; no question stands in two of them."""
    sealed = {text_hash(row["question"]) for row in test}
    free = [row for row in train if text_hash(row["question"]) not in sealed]
    free.sort(key=lambda row: hashlib.sha256(f"{seed} {row['question']}".encode()).hexdigest())
    if probe + dev >= len(free):
        sys.exit(f"{probe} + {dev} rows for probe and dev leave nothing of {len(free)} for the replay; ask for fewer.")
    return {"probe": free[:probe], "dev": free[probe : probe + dev], "replay": free[probe + dev :], "test": test}


def main() -> None:
    """Read, split, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="the official train.jsonl")
    parser.add_argument("--test", type=Path, required=True, help="the official test.jsonl")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "gsm8k")
    parser.add_argument("--probe", type=int, default=1200, help="rows that feed diagnosis and drafting")
    parser.add_argument("--dev", type=int, default=1000, help="rows that decide on a round")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    parts = split(read(words.train), read(words.test), words.probe, words.dev, words.seed)
    words.output_dir.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        path = words.output_dir / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        print(f"{path}: {len(rows)} problems")


if __name__ == "__main__":
    main()
