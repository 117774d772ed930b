"""Make the neural teacher's training corpus from the symbolic world: writing problems, solving them, and drills.

    python examples/neural_teacher/make_corpus.py [--examples 50000] [--out examples/neural_teacher/corpus.jsonl]

A row is what the product will ask (rendered from ./prompts, the files it will ask with) and what it reads back. All
skills of the quickstart are equally frequent at both levels. No row has the numbers and the answer of a problem that
the quickstart measures.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from eval.overlap import number_signatures
from memory.ids import derive_seed, normalise_text
from synthesis.prompting import Prompts
from synthesis.world.base import Generated
from synthesis.world.skills import LEVELS, SKILLS, drill

HERE = Path(__file__).parent
QUICKSTART = HERE.parent / "quickstart" / "data"
#: Shares of the rows. Without drills the carry is never learnt.
SHARES = {"write": 0.32, "vary": 0.05, "again": 0.03, "solve": 0.45, "drill": 0.15}
#: Of the rows with two exemplars, how many show two skills: a cluster is rarely pure. The first one counts then.
MIXED = 0.15
LEFT_OUT = ("gcd", "lcm", "fraction", "temperature")  # as in the quickstart
#: What the teacher says is wrong: a phrase for each skill, and by that a thought of what comes next.
MISCONCEPTIONS = {
    "add": "carries are lost in addition",
    "subtract": "borrowing is lost in subtraction",
    "multiply": "partial products are lost",
    "share": "division is cut short",
    "change": "costs are not taken from the money",
    "order": "products do not come first",
    "average": "the sum is divided by a wrong count",
    "remainder": "the rest is not what is left over",
    "power": "a square is taken for a double",
    "profit": "cost and price are mixed up",
    "linear": "terms change sides with a wrong sign",
    "ages": "ages are not counted in parts",
    "consecutive": "neighbours are taken for equal numbers",
    "sequence": "steps are counted wrong",
    "angles": "the angle sum is forgotten",
    "area": "area is taken for perimeter",
    "perimeter": "only two sides are added",
    "percent": "the percentage is taken for an amount",
    "discount": "the discount is not taken off",
    "interest": "interest is counted for one year",
    "ratio": "parts are not added up",
    "proportion": "the value of one is not found",
    "elapsed": "an hour is taken for a hundred minutes",
    "speed": "speed and time are added",
    "convert": "units are not converted",
}


@dataclass(frozen=True)
class Cell:
    """A skill at one level."""

    skill: str
    level: int


CELLS = tuple(Cell(name, level) for name in SKILLS if name not in LEFT_OUT for level in LEVELS)


def measured_signatures(files: Iterable[Path]) -> set[str]:
    """Numbers and answers of every measured problem."""
    found: set[str] = set()
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found |= number_signatures(row["question"], row["answer"])
    return found


class Maker:
    """Makes rows; each has a seed of its own, so that one row changes no other."""

    def __init__(self, sealed: set[str], prompts: Prompts) -> None:
        self._sealed, self._prompts = sealed, prompts

    def row(self, kind: str, index: int, seed: int) -> dict[str, str]:
        """One row of the corpus; cells take turns."""
        rng = random.Random(derive_seed(seed, kind, index))
        cell = CELLS[index % len(CELLS)]
        if kind == "drill":
            item = self._fresh(None, rng)
            return {"question": item.statement, "solution": item.solution}
        item = self._fresh(cell, rng)
        if kind == "solve":
            return {"question": self._text("solve", statement=item.statement), "solution": item.solution}
        return {"question": self._asked(kind, cell, item, rng), "solution": envelope(item)}

    def _asked(self, kind: str, cell: Cell, item: Generated, rng: random.Random) -> str:
        """The prompt: one or two other problems of the cell, the second now and then of another."""
        shown = [self._fresh(cell, rng)]
        while normalise_text(shown[0].statement) == normalise_text(item.statement):
            shown = [self._fresh(cell, rng)]
        if kind != "vary" and rng.random() < 0.5:
            shown.append(self._fresh(rng.choice(CELLS) if rng.random() < MIXED else cell, rng))
        exemplars = [{"statement": one.statement, "answer": one.answer, "wrong_answer": None} for one in shown]
        common = {"label": "", "keyphrases": (), "exemplars": exemplars, "n": 1}
        if kind == "again":
            return self._text("repair", **common, reply="", fault="")
        return self._text({"write": "write", "vary": "variants"}[kind], **common)

    def _text(self, name: str, **variables: object) -> str:
        """The user's message; this teacher has no system message."""
        (message,) = self._prompts.render(name, **variables)
        return message["content"]

    def _fresh(self, cell: Cell | None, rng: random.Random) -> Generated:
        """A problem that is no twin of a measured one; ``cell`` None is a drill."""
        while True:
            item = SKILLS[cell.skill].generate(rng, cell.level) if cell else drill(rng)
            if cell is None or self._sealed.isdisjoint(number_signatures(item.statement, item.answer)):
                return item


def envelope(item: Generated) -> str:
    """What the product reads, in the one form that a server with a JSON schema and no free blanks writes."""
    problem = {"statement": item.statement, "solution": item.solution, "answer": item.answer}
    return json.dumps({"misconception": MISCONCEPTIONS[item.skill], "problems": [problem]})


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--out", type=Path, default=HERE / "corpus.jsonl")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    maker = Maker(
        measured_signatures(QUICKSTART / f"{split}.jsonl" for split in ("probe", "dev", "test")),
        Prompts(HERE / "prompts"),
    )
    with arguments.out.open("w", encoding="utf-8") as handle:
        for kind, share in SHARES.items():
            count = round(arguments.examples * share)
            for index in range(count):
                handle.write(json.dumps(maker.row(kind, index, arguments.seed)) + "\n")
            print(f"{kind}: {count} rows")


if __name__ == "__main__":
    main()
