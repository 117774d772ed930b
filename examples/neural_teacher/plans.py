"""How numbers of a problem are chosen so that it comes out even: the thought before the statement.

The teacher writes left to right. To share 207 things among 9 it must know before the first word that 9*23=207.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from benchmarks.truth import slots
from synthesis.world.base import Generated
from synthesis.world.steps import add, mul, sub

_LINEAR = re.compile(r"(\d+)x \+ (\d+) = (?:(\d+)x \+ )?(\d+)")


def plan(item: Generated) -> str | None:
    """The computation that leads to the problem's numbers; None for skills where nearly all numbers make sense."""
    found = slots(item.statement)
    if found is None or (item.skill, item.level) not in _PLANS:
        return None
    return ". ".join(_PLANS[item.skill, item.level](found[2], int(item.answer)))


def _share(texts: Mapping[str, str], answer: int) -> list[str]:
    steps = [mul(answer, int(texts["b"]))]
    return [*steps, add(answer * int(texts["b"]), int(texts["c"]))] if "c" in texts else steps


def _average(texts: Mapping[str, str], answer: int) -> list[str]:
    values = [int(text) for text in re.findall(r"\d+", texts["v"])]
    steps, total = [mul(answer, len(values))], values[0]
    for value in values[1:-1]:
        steps.append(add(total, value))
        total += value
    return [*steps, sub(answer * len(values), total)]


def _linear(texts: Mapping[str, str], answer: int) -> list[str]:
    match = _LINEAR.fullmatch(texts["e"])
    assert match is not None
    a, b, c = int(match[1]), int(match[2]), int(match[3] or 0)
    first = [f"{a}-{c}={a - c}"] if c else []
    return [*first, mul(answer, a - c), add((a - c) * answer, b)]


def _ages(texts: Mapping[str, str], answer: int) -> list[str]:
    parts = int(texts["k"]) + 1
    return [f"{texts['k']}+1={parts}", mul(answer, parts)]


def _three(texts: Mapping[str, str], answer: int) -> list[str]:
    return [mul(answer, 3), add(3 * answer, 3)]


def _four(texts: Mapping[str, str], answer: int) -> list[str]:
    return [mul(answer - 3, 4), add(4 * (answer - 3), 6)]


def _ratio(texts: Mapping[str, str], answer: int) -> list[str]:
    shares = [int(texts[key]) for key in ("a", "b", "c") if key in texts]
    return [f"{'+'.join(map(str, shares))}={sum(shares)}", mul(int(texts["s"]) // sum(shares), sum(shares))]


def _unit(texts: Mapping[str, str], answer: int) -> list[str]:
    return [mul(int(texts["s"]) // int(texts["k"]), int(texts["k"]))]


def _work(texts: Mapping[str, str], answer: int) -> list[str]:
    both = int(texts["k"]) * int(texts["d"])
    return [f"{texts['k']}*{texts['d']}={both}", mul(both, int(texts["s"]) // both)]


_PLANS: Mapping[tuple[str, int], Callable[[Mapping[str, str], int], list[str]]] = {
    ("share", 1): _share,
    ("share", 2): _share,
    ("average", 1): _average,
    ("average", 2): _average,
    ("linear", 1): _linear,
    ("linear", 2): _linear,
    ("ages", 1): _ages,
    ("consecutive", 1): _three,
    ("consecutive", 2): _four,
    ("ratio", 1): _ratio,
    ("ratio", 2): _ratio,
    ("proportion", 1): _unit,
    ("proportion", 2): _work,
}
