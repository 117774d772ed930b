"""What a skill is: wordings, a way to draw numbers, and worked steps.

Knows nothing of particular skills; those are in the other files of this folder, listed in `synthesis.world.skills`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivy", "Jack", "Kate", "Leo",
    "Maria", "Noah", "Olive", "Peter", "Rosa", "Sam", "Tara", "Victor", "Wendy", "Yusuf", "Zoe", "Bruno",
)  # fmt: skip
THINGS = (
    "apples", "pens", "books", "coins", "stamps", "marbles", "cards", "shells", "stickers", "beads", "cups",
    "nuts", "eggs", "tickets",
)  # fmt: skip

#: Values for a wording's slots, the worked steps (without the box) and the answer.
Drawn = tuple[Mapping[str, object], str, str]
Draw = Callable[[random.Random, int], Drawn]


@dataclass(frozen=True)
class Generated:
    """One problem with its truth. ``skill`` and ``level`` are hidden labels: for measuring only."""

    statement: str
    solution: str
    answer: str
    skill: str
    level: int
    wording: int


@dataclass(frozen=True)
class Skill:
    """A skill at two levels: 1 easy, 2 hard. ``wordings[level]`` are formats with slots."""

    name: str
    wordings: Mapping[int, tuple[str, ...]]
    draw: Draw

    def generate(self, rng: random.Random, level: int, wording: int | None = None) -> Generated:
        """A fresh problem.

        Raises:
            KeyError: no such level.
            IndexError: no such wording.
        """
        texts = self.wordings[level]
        index = rng.randrange(len(texts)) if wording is None else wording
        slots, steps, answer = self.draw(rng, level)
        first, second = rng.sample(NAMES, 2)
        statement = texts[index].format(n=first, m=second, t=rng.choice(THINGS), **slots)
        return Generated(statement, f"{steps}. \\boxed{{{answer}}}", answer, self.name, level, index)
