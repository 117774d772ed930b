"""Make the quickstart's data: problem files from the symbolic world, skewed as real mixes are.

    python examples/quickstart/make_data.py [--pretrain-examples 80000] [--out examples/quickstart/data] [--seed 0]

Writes probe, dev and test (balanced over skills and levels), the validated replay and the pretraining corpus
(both from the skewed mix), and labels.jsonl, which only measurements of diagnosis read. No replay or pretraining
problem is a twin of a measured one: none has the same numbers and the same answer.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from eval.overlap import number_signatures
from memory.ids import derive_seed, normalise_text, sha256_text
from synthesis.world.base import Generated
from synthesis.world.skills import LEVELS, SKILLS, drill

PLENTIFUL = ("add", "subtract", "multiply", "share", "change", "order", "linear", "percent", "average")
EASY_ONLY = ("elapsed", "proportion", "sequence", "convert", "ratio", "remainder")
#: Left out: neither pretraining of this size nor rounds of a minute teach them (docs/results.md).
LEFT_OUT = ("gcd", "lcm", "fraction", "temperature")
USED = tuple(name for name in SKILLS if name not in LEFT_OUT)
#: Every other skill is rare at both levels.
RARE = tuple(name for name in USED if name not in PLENTIFUL + EASY_ONLY)
RARE_SHARE = 0.0007  # of the mix, for each rare skill and each hard level of an easy-only skill
#: Of the corpus, and of the replay: a student that has learnt arithmetic once needs less of it not to forget it.
DRILL_SHARE = {"pretrain": 0.35, "replay": 0.15}
PER_LEVEL = 12  # measured problems for each skill and level, in each split
SPLITS = ("probe", "dev", "test")
#: Dev decides on every round at a part of the error rate, so it is larger than the others.
MORE_DEV = "dev, second half"
REPLAY = 12_000


def kind_of(skill: str, level: int) -> str:
    """``plentiful``, ``easy_only`` (its easy level), ``hard`` (the level it lacks) or ``rare``."""
    if skill in PLENTIFUL:
        return "plentiful"
    if skill in EASY_ONLY:
        return "easy_only" if level == 1 else "hard"
    return "rare"


class Writer:
    """Lets through problems that are no twin of a measured one and, where ``unique``, no copy of an earlier one."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self.twins: set[str] = set()
        self.trained: set[str] = set()

    def fresh(self, item: Generated, *, measured: bool, unique: bool = True) -> bool:
        """Whether the problem may be written; remembers it if so."""
        text, signatures = normalise_text(item.statement), number_signatures(item.statement, item.answer)
        if (unique and text in self.texts) or not self.twins.isdisjoint(signatures):
            return False
        if measured and not self.trained.isdisjoint(signatures):
            return False
        self.texts.add(text)
        if measured:
            self.twins |= signatures
        else:
            self.trained |= signatures
        return True


def measured_split(seed: int, split: str, writer: Writer, *, optional: bool = False) -> list[Generated]:
    """``PER_LEVEL`` problems for each skill and level; where ``optional``, as many as there are left."""
    cells = [(name, level) for name in USED for level in LEVELS for _ in range(PER_LEVEL)]
    found = [
        fresh_item(derive_seed(seed, split, index), name, level, writer, measured=True)
        for index, (name, level) in enumerate(cells)
    ]
    if None in found and not optional:
        raise SystemExit(f"some skill has too few different problems for {split}")
    return [item for item in found if item is not None]


def mix(seed: int, name: str, size: int, writer: Writer, *, unique: bool) -> list[Generated]:
    """``size`` problems of the validated mix with its skew: exact numbers of each kind, in random order."""
    cells = [(skill, level) for skill in USED for level in LEVELS]
    common = [cell for cell in cells if kind_of(*cell) in ("plentiful", "easy_only")]
    rare = [cell for cell in cells if kind_of(*cell) == "hard"] + [(skill, 0) for skill in RARE]
    plan: list[tuple[str, int]] = [("drill", 1)] * round(size * DRILL_SHARE[name])
    for cell in rare:
        plan += [cell] * max(1, round(size * RARE_SHARE))
    plan += [common[i % len(common)] for i in range(size - len(plan))]
    random.Random(derive_seed(seed, name)).shuffle(plan)
    found = [
        fresh_item(derive_seed(seed, name, index), skill, level, writer, unique=unique)
        for index, (skill, level) in enumerate(plan)
    ]
    if None in found:
        raise SystemExit(f"some skill has too few different problems for a {name} of {size}")
    return [item for item in found if item is not None]


def fresh_item(
    seed: int, name: str, level: int, writer: Writer, *, measured: bool = False, unique: bool = True
) -> Generated | None:
    """One problem that may be written, None where there seems to be none left.

    Each has a seed of its own, so that a refusal changes no other problem.
    """
    rng = random.Random(seed)
    for _ in range(2_000):
        item = drill(rng) if name == "drill" else SKILLS[name].generate(rng, level or rng.choice(LEVELS))
        if writer.fresh(item, measured=measured, unique=unique):
            return item
    return None


def write(path: Path, items: list[Generated]) -> None:
    """One problem a line, without labels."""
    rows = ({"question": item.statement, "solution": item.solution, "answer": item.answer} for item in items)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain-examples", type=int, default=80_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    writer = Writer()
    splits = {split: measured_split(arguments.seed, split, writer) for split in SPLITS}
    for name, size in (("replay", REPLAY), ("pretrain", arguments.pretrain_examples)):
        # The corpus is larger than some skills have problems: it may repeat itself, the replay may not.
        items = mix(arguments.seed, name, size, writer, unique=name == "replay")
        write(arguments.out / f"{name}.jsonl", items)
        print(f"{name}: {len(items)} problems")
    splits["dev"] += measured_split(arguments.seed, MORE_DEV, writer, optional=True)
    labels = []
    for split, items in splits.items():
        write(arguments.out / f"{split}.jsonl", items)
        print(f"{split}: {len(items)} problems")
        for item in items:
            key = sha256_text(normalise_text(item.statement))
            kind = kind_of(item.skill, item.level)
            labels.append({"statement": key, "skill": item.skill, "level": item.level, "kind": kind})
    (arguments.out / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels), encoding="utf-8")


if __name__ == "__main__":
    main()
