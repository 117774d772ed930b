"""The one visible table of skills, and the arithmetic drills of the validated mix."""

from __future__ import annotations

import random
from collections.abc import Mapping

from synthesis.world.algebra import ALGEBRA
from synthesis.world.arithmetic import ARITHMETIC
from synthesis.world.base import Generated, Skill
from synthesis.world.number import NUMBER
from synthesis.world.ratio import RATIO
from synthesis.world.steps import add, div, mul, sub

#: Every skill by name.
SKILLS: Mapping[str, Skill] = {skill.name: skill for skill in (*ARITHMETIC, *ALGEBRA, *RATIO, *NUMBER)}
LEVELS = (1, 2)
DRILL_LENGTH = 5


def drill(rng: random.Random) -> Generated:
    """Short computations in one line; not a skill. Without them a tiny model never gets the carry right."""
    tasks, steps, answer = [], [], 0
    for _ in range(DRILL_LENGTH):
        kind = rng.randrange(6)
        if kind == 0:
            a, b = rng.randint(2, 999), rng.randint(2, 499)
            task, step, answer = f"{a}+{b}", add(a, b), a + b
        elif kind == 1:
            a = rng.randint(20, 1299)
            b = rng.randint(2, a - 1)
            task, step, answer = f"{a}-{b}", sub(a, b), a - b
        elif kind == 2:
            a, b = rng.randint(2, 9), rng.randint(2, 99)
            task, step, answer = f"{b}*{a}", mul(b, a), a * b
        elif kind == 3:
            a, b = rng.randint(11, 99), rng.randint(11, 49)
            task, step, answer = f"{a}*{b}", mul(a, b), a * b
        elif kind == 4:
            a, b = rng.randint(2, 9), rng.randint(2, 99)
            task, step, answer = f"{a * b}/{a}", div(a * b, a), b
        else:
            a, b = rng.randint(2, 29), rng.randint(3, 9)
            task, step, answer = f"{a * b + b - 1}-{a * b}", sub(a * b + b - 1, a * b), b - 1
        tasks.append(task)
        steps.append(step)
    return Generated("; ".join(tasks), f"{'; '.join(steps)}. \\boxed{{{answer}}}", str(answer), "drill", 1, 0)
