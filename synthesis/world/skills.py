"""The one visible table of skills, and the arithmetic drills of the validated mix."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from synthesis.world.algebra import ALGEBRA
from synthesis.world.arithmetic import ARITHMETIC
from synthesis.world.base import Generated, Skill
from synthesis.world.number import NUMBER
from synthesis.world.ratio import RATIO
from synthesis.world.steps import add, div, mul, sub

#: Every skill by name.
SKILLS: Mapping[str, Skill] = {skill.name: skill for skill in (*ARITHMETIC, *ALGEBRA, *RATIO, *NUMBER)}
LEVELS = (1, 2)
DRILL_LENGTH = 4


def drill(rng: random.Random) -> Generated:
    """Short computations in one line; not a skill. Without them a tiny model never gets the carry right."""
    tasks, steps, answer = [], [], 0
    for _ in range(DRILL_LENGTH):
        task, step, answer = rng.choice(_DRILLS)(rng)
        tasks.append(task)
        steps.append(step)
    return Generated("; ".join(tasks), f"{'; '.join(steps)}. \\boxed{{{answer}}}", str(answer), "drill", 1, 0)


#: What is asked, its worked steps, its value.
Drilled = tuple[str, str, int]


def _sum(a: int, b: int) -> Drilled:
    return f"{a}+{b}", add(a, b), a + b


def _difference(a: int, b: int) -> Drilled:
    return f"{a}-{b}", sub(a, b), a - b


def _product(a: int, b: int) -> Drilled:
    return f"{a}*{b}", mul(a, b), a * b


def _quotient(q: int, d: int) -> Drilled:
    return f"{q * d}/{d}", div(q * d, d), q


def _short_difference(rng: random.Random) -> Drilled:
    a, b = rng.randint(2, 29), rng.randint(3, 9)
    return _difference(a * b + b - 1, a * b)


#: Division twice, and with two-digit divisors: it was what the first students were least sure of.
_DRILLS: tuple[Callable[[random.Random], Drilled], ...] = (
    lambda rng: _sum(rng.randint(2, 999), rng.randint(2, 499)),
    lambda rng: _sum(rng.randint(200, 8999), rng.randint(2, 999)),
    lambda rng: _difference(top := rng.randint(20, 1299), rng.randint(2, top - 1)),
    lambda rng: _difference(rng.randint(1000, 8999), rng.randint(2, 999)),
    _short_difference,
    lambda rng: _product(rng.randint(2, 99), rng.randint(2, 9)),
    lambda rng: _product(rng.randint(100, 699), rng.randint(2, 9)),
    lambda rng: _product(rng.randint(11, 99), rng.randint(11, 49)),
    lambda rng: _product(rng.randint(11, 299), 10 * rng.randint(2, 9)),
    lambda rng: _quotient(rng.randint(2, 99), rng.randint(2, 9)),
    lambda rng: _quotient(rng.randint(11, 99), rng.randint(2, 9)),
    lambda rng: _quotient(rng.randint(101, 399), rng.randint(2, 6)),
    lambda rng: _quotient(rng.randint(2, 29), rng.randint(11, 25)),
)
