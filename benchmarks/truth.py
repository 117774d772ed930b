"""The exact answer of a statement in the symbolic world's own words, computed from the statement alone.

For measuring teachers and verifiers. The world's wordings are turned round into patterns; each skill has its formula
here, written apart from the generators, so that neither can hide the other's mistake. A statement that fits no wording
has no truth here; one that fits, but whose numbers make no sense (a share that is no whole number, a negative area),
is ill-posed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from synthesis.world.skills import SKILLS

_SLOT = re.compile(r"\{(\w)\}")
_NUMBER = r"\d{1,9}"
_TEXTS = {"n": r"[A-Z][a-z]+", "m": r"[A-Z][a-z]+", "t": r"[a-z]+"}
#: Slots of some skills that are no plain number.
_SPECIAL = {
    ("elapsed", "s"): r"\d{1,2}:\d\d",
    ("elapsed", "e"): r"\d{1,2}:\d\d",
    ("order", "e"): r"[\d+*() -]+",
    ("linear", "e"): r"[\dx+= ]+",
    ("average", "v"): r"[\d, and]+",
    ("sequence", "v"): r"[\d, ]+",
}
_ORDER = re.compile(r"(\d+) \+ (\d+) \* (\d+)|\((\d+) \+ (\d+)\) \* (\d+) - (\d+) \* (\d+)")
_LINEAR = re.compile(r"(\d+)x \+ (\d+) = (?:(\d+)x \+ )?(\d+)")
#: Skills whose answers may be broken or negative; all others count something.
_NOT_COUNTS = frozenset(("order", "linear", "average", "fraction", "temperature"))


@dataclass(frozen=True)
class Truth:
    """Skill and level of the wording; ``answer`` is None where the statement is ill-posed."""

    skill: str
    level: int
    answer: Fraction | None


class _Ill(Exception):
    """The numbers make no sense."""


def truth(statement: str) -> Truth | None:
    """What the statement asks for; None where it is not in the world's words. Never raises on any text."""
    if len(statement) > 500:
        return None
    for skill, level, pattern in _patterns():
        match = pattern.fullmatch(statement.strip())
        if match:
            return Truth(skill, level, _answer(skill, level, statement, match.groupdict()))
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, int, re.Pattern[str]]]:
    found = []
    for skill in SKILLS.values():
        for level, texts in skill.wordings.items():
            found += [(skill.name, level, re.compile(_pattern(skill.name, text))) for text in texts]
    return found


def _pattern(skill: str, text: str) -> str:
    seen: set[str] = set()
    parts = []
    for index, part in enumerate(_SLOT.split(text)):
        if index % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")  # another name in the question would be another question
        else:
            seen.add(part)
            inner = _SPECIAL.get((skill, part)) or (_TEXTS.get(part) or _NUMBER)
            parts.append(f"(?P<{part}>{inner})")
    return "".join(parts)


def _answer(skill: str, level: int, statement: str, slots: Mapping[str, str]) -> Fraction | None:
    numbers = {key: int(text) for key, text in slots.items() if text.isdigit()}
    try:
        if skill in _PARSED:
            value = _PARSED[skill](statement, slots, numbers)
        else:
            value = Fraction(_FORMULAS[skill, level](**numbers))
    except (_Ill, ZeroDivisionError):
        return None
    counts = skill not in _NOT_COUNTS
    return None if counts and (value < 0 or value.denominator != 1) else value


def _order(statement: str, slots: Mapping[str, str], numbers: Mapping[str, int]) -> Fraction:
    match = _ORDER.fullmatch(slots["e"])
    if match is None:
        raise _Ill
    if match[1]:
        a, b, c = map(int, match.group(1, 2, 3))
        return Fraction(a + b * c)
    a, b, c, d, e = map(int, match.group(4, 5, 6, 7, 8))
    return Fraction((a + b) * c - d * e)


def _linear(statement: str, slots: Mapping[str, str], numbers: Mapping[str, int]) -> Fraction:
    match = _LINEAR.fullmatch(slots["e"])
    if match is None:
        raise _Ill
    a, b, d = int(match[1]), int(match[2]), int(match[4])
    return Fraction(d - b, a - int(match[3] or 0))


def _average(statement: str, slots: Mapping[str, str], numbers: Mapping[str, int]) -> Fraction:
    if not re.fullmatch(r"\d+(, \d+)* and \d+", slots["v"]):
        raise _Ill
    values = [int(text) for text in re.findall(r"\d+", slots["v"])]
    told = {"three games": 3, "five games": 5}
    if any(words in statement and len(values) != count for words, count in told.items()):
        raise _Ill
    return Fraction(sum(values), len(values))


def _sequence(statement: str, slots: Mapping[str, str], numbers: Mapping[str, int]) -> Fraction:
    if "v" not in slots:
        return Fraction(numbers["a"] + (numbers["i"] - 1) * numbers["d"])
    if not re.fullmatch(r"\d+(, \d+){2,}", slots["v"]):
        raise _Ill
    values = [int(text) for text in slots["v"].split(", ")]
    if len({right - left for left, right in pairwise(values)}) != 1:
        raise _Ill
    return Fraction(2 * values[-1] - values[-2])


def _elapsed(statement: str, slots: Mapping[str, str], numbers: Mapping[str, int]) -> Fraction:
    (h, m), (k, n) = (map(int, slots[key].split(":")) for key in ("s", "e"))
    if m > 59 or n > 59 or h > 23 or k > 23:
        raise _Ill
    return Fraction(60 * k + n - 60 * h - m)


def _positive(value: int) -> int:
    if value <= 0:
        raise _Ill
    return value


def _remainder(a: int, b: int) -> int:
    return a % b


def _gcd(a: int, b: int) -> int:
    return math.gcd(a, b)


def _lcm(a: int, b: int) -> int:
    return math.lcm(a, b)


def _whole(value: Fraction) -> Fraction:
    if value.denominator != 1:
        raise _Ill
    return value


def _area_left(a: int, b: int, c: int, d: int) -> int:
    return _positive(a * b - c * d)


_PARSED: Mapping[str, Callable[[str, Mapping[str, str], Mapping[str, int]], Fraction]] = {
    "order": _order, "linear": _linear, "average": _average, "sequence": _sequence, "elapsed": _elapsed,
}  # fmt: skip
_FORMULAS: Mapping[tuple[str, int], Callable[..., Fraction | int]] = {
    ("add", 1): lambda a, b: a + b,
    ("add", 2): lambda a, b, c: a + b + c,
    ("subtract", 1): lambda a, b: a - b,
    ("subtract", 2): lambda a, b, c: a - b - c,
    ("multiply", 1): lambda a, b: a * b,
    ("multiply", 2): lambda a, b: a * b,
    ("share", 1): lambda a, b: Fraction(a, b),
    ("share", 2): lambda a, b, c: Fraction(a - c, b),
    ("change", 1): lambda p, k, c: p - k * c,
    ("change", 2): lambda p, k, c, j, d: p - k * c - j * d,
    ("remainder", 1): _remainder,
    ("remainder", 2): _remainder,
    ("power", 1): lambda a, b: a * a + b,
    ("power", 2): lambda a, b: a * a - b * b,
    ("profit", 1): lambda k, c, d: k * (d - c),
    ("profit", 2): lambda k, c, d, f: k * (d - c) - f,
    ("temperature", 1): lambda a, b: b - a,
    ("temperature", 2): lambda a, b, c: b - a - c,
    ("ages", 1): lambda k, s: Fraction(s, k + 1),
    ("ages", 2): lambda k, b, y: k * (b + y) - y,
    ("consecutive", 1): lambda s: Fraction(s, 3) - 1,
    ("consecutive", 2): lambda s: Fraction(s - 6, 4) + 3,
    ("angles", 1): lambda a, b: _positive(180 - a - b),
    ("angles", 2): lambda a, b, c: _positive(360 - a - b - c),
    ("area", 1): lambda a, b: a * b,
    ("area", 2): _area_left,
    ("perimeter", 1): lambda a, b: 2 * (a + b),
    ("perimeter", 2): lambda a, b, p: 2 * (a + b) * p,
    ("percent", 1): lambda p, a: Fraction(p * a, 100),
    ("percent", 2): lambda p, a: a + Fraction(p * a, 100),
    ("discount", 1): lambda p, a: a - Fraction(p * a, 100),
    ("discount", 2): lambda k, c, p: k * c - Fraction(k * c * p, 100),
    ("interest", 1): lambda p, r, y: Fraction(p * r * y, 100),
    ("interest", 2): lambda p, r, y: p + Fraction(p * r * y, 100),
    ("ratio", 1): lambda a, b, s: Fraction(s * a, a + b),
    ("ratio", 2): lambda a, b, c, s: Fraction(s * (a + c), a + b + c),
    ("proportion", 1): lambda k, s, j: Fraction(s * j, k),
    ("proportion", 2): lambda k, d, s, j, e: Fraction(s * j * e, k * d),
    ("fraction", 1): lambda a, b, s: _whole(Fraction(a * s, b)),
    ("fraction", 2): lambda a, b, c, d: Fraction(a, b) + Fraction(c, d),
    ("gcd", 1): _gcd,
    ("gcd", 2): _gcd,
    ("lcm", 1): _lcm,
    ("lcm", 2): _lcm,
    ("speed", 1): lambda v, h: v * h,
    ("speed", 2): lambda v, h, w, u: v * h + w * u,
    ("convert", 1): lambda a, b: 100 * a + b,
    ("convert", 2): lambda a, b, c: 3600 * a + 60 * b + c,
}
