"""Make noisy web-like text about the quickstart's world, for ``remedial compare --preset better-data``.

    python examples/compare/make_web.py [--size 20000] [--out examples/compare/web.jsonl] [--seed 2]

Problems of the same skewed mix as the validated replay, spoiled as pages of the web are: of every ten, three have a
wrong result carried through to the answer, two lose a step, one is cut off, one stands in advertising, one has another
problem's solution, two are as they were. Twins of measured problems are left out, as everywhere.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from make_corpus import fresh_mix, quickstart

from memory.ids import derive_seed
from synthesis.world.base import Generated

HERE = Path(__file__).resolve().parent
#: How many of ten rows are spoiled in which way.
SPOILED = ("wrong",) * 3 + ("step",) * 2 + ("cut", "advert", "other", "clean", "clean")
ADVERTS = ("Click here to see more. ", "Read more on our page. ", "Best price today. ", "Sign in to see the answer. ")
_NUMBER = re.compile(r"\d+")


def spoil(item: Generated, other: Generated, kind: str, rng: random.Random) -> tuple[str, str]:
    """(solution, answer) as a page might have them."""
    solution, answer = item.solution, item.answer
    if kind == "wrong" and _NUMBER.search(answer):
        slip = rng.choice((-10, -2, -1, 1, 2, 10))
        wrong = _NUMBER.sub(lambda found: str(int(found.group()) + slip), answer, count=1)
        return solution.replace(answer, wrong), wrong
    if kind == "step":
        sentences = solution.split(". ")
        if len(sentences) > 1:
            del sentences[rng.randrange(len(sentences) - 1)]
        return ". ".join(sentences), answer
    if kind == "cut":
        return solution[: max(8, len(solution) * 2 // 3)], ""
    if kind == "advert":
        return rng.choice(ADVERTS) + solution + " " + rng.choice(ADVERTS).strip(), answer
    if kind == "other":
        return other.solution, other.answer
    return solution, answer


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=HERE / "web.jsonl")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    items = fresh_mix(quickstart(), arguments.seed, "web", arguments.size)
    rows = []
    for index, item in enumerate(items):
        rng = random.Random(derive_seed(arguments.seed, "spoil", index))
        solution, answer = spoil(item, rng.choice(items), rng.choice(SPOILED), rng)
        rows.append({"question": item.statement, "solution": solution, "answer": answer})
    arguments.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{arguments.out.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
