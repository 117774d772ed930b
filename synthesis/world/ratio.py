"""Skills of shares: percent, discount, interest, ratio, proportion, fractions."""

from __future__ import annotations

import random
from math import gcd

from synthesis.world.base import Drawn, Skill
from synthesis.world.steps import add, div, mul, sub


def _percent_of(p: int, n: int) -> tuple[str, int]:
    """Steps and value of p percent of n, where n is a multiple of 20 and p of 5 (or n of 100)."""
    return f"{mul(n, p)}. {n * p}/100={n * p // 100}", n * p // 100


def _percent(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        p, n = rng.choice((10, 20, 30, 40, 60, 70, 80, 90)), 10 * rng.randint(2, 199)
        steps = f"{n}/10={n // 10}" + (f". {mul(n // 10, p // 10)}" if p > 10 else "")
        return {"p": p, "a": n}, steps, str(n * p // 100)
    p, n = 5 * rng.randint(1, 19), 20 * rng.randint(3, 45)
    steps, part = _percent_of(p, n)
    return {"p": p, "a": n}, f"{steps}. {add(n, part)}", str(n + part)


def _discount(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        p, n = rng.choice((10, 20, 30, 40)), 10 * rng.randint(3, 149)
        part = n * p // 100
        steps = f"{n}/10={n // 10}. " + (f"{mul(n // 10, p // 10)}. " if p > 10 else "") + sub(n, part)
        return {"p": p, "a": n}, steps, str(n - part)
    k, c, p = rng.randint(2, 9), 10 * rng.randint(2, 29), rng.choice((10, 20, 30, 40))
    n = k * c
    part = n * p // 100
    steps = f"{mul(c, k)}. {n}/10={n // 10}. " + (f"{mul(n // 10, p // 10)}. " if p > 10 else "") + sub(n, part)
    return {"k": k, "c": c, "p": p}, steps, str(n - part)


def _interest(rng: random.Random, level: int) -> Drawn:
    p, r, y = 100 * rng.randint(2, 49), rng.randint(2, 9), rng.randint(2, 9)
    year = p // 100 * r
    steps = f"{p}/100={p // 100}. {mul(p // 100, r)}. {mul(year, y)}"
    if level == 1:
        return {"p": p, "r": r, "y": y}, steps, str(year * y)
    return {"p": p, "r": r, "y": y}, f"{steps}. {add(p, year * y)}", str(p + year * y)


def _ratio(rng: random.Random, level: int) -> Drawn:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    while a == b or gcd(a, b) > 1:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
    u = rng.randint(3, 29)
    if level == 1:
        s = (a + b) * u
        return {"a": a, "b": b, "s": s}, f"{add(a, b)}. {div(s, a + b)}. {mul(u, a)}", str(a * u)
    c = rng.randint(2, 9)
    s = (a + b + c) * u
    steps = f"{a}+{b}+{c}={a + b + c}. {div(s, a + b + c)}. {mul(u, a)}. {mul(u, c)}. {add(a * u, c * u)}"
    return {"a": a, "b": b, "c": c, "s": s}, steps, str((a + c) * u)


def _proportion(rng: random.Random, level: int) -> Drawn:
    k, c, j = rng.randint(3, 9), rng.randint(3, 39), rng.randint(2, 19)
    while j == k:
        j = rng.randint(2, 19)
    if level == 1:
        return {"k": k, "s": k * c, "j": j}, f"{div(k * c, k)}. {mul(c, j)}", str(c * j)
    w, d = rng.randint(3, 9), rng.randint(2, 9)
    total = k * d * w  # w per worker and day
    e = rng.randint(2, 9)
    steps = f"{k}*{d}={k * d}. {div(total, k * d)}. {mul(j, e)}. {mul(j * e, w)}"
    return {"k": k, "d": d, "s": total, "j": j, "e": e}, steps, str(j * e * w)


def _fraction(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        b = rng.randint(3, 12)
        a, q = rng.randint(2, b - 1), rng.randint(5, 39)
        return {"a": a, "b": b, "s": b * q}, f"{div(b * q, b)}. {mul(q, a)}", str(a * q)
    while True:
        b, d = rng.randint(2, 12), rng.randint(2, 12)
        a, c = rng.randint(1, b - 1) if b > 2 else 1, rng.randint(1, d - 1) if d > 2 else 1
        top, bottom = a * d + c * b, b * d
        if b != d and gcd(a, b) == 1 and gcd(c, d) == 1 and top % bottom:
            break
    g = gcd(top, bottom)
    steps = f"{a}*{d}={a * d}. {c}*{b}={c * b}. {add(a * d, c * b)}. {b}*{d}={bottom}"
    if g > 1:
        steps += f". {top}/{bottom}={top // g}/{bottom // g}"
    return {"a": a, "b": b, "c": c, "d": d}, steps, f"{top // g}/{bottom // g}"


RATIO = (
    Skill("percent", {
        1: ("What is {p}% of {a}?", "{p}% of {a} {t} are red. How many is that?", "Find {p} percent of {a}."),
        2: ("A rent of {a} euros rises by {p}%. What is the new rent?",
            "Increase {a} by {p}%.",
            "A town of {a} people grows by {p} percent. How many people live there then?"),
    }, _percent),
    Skill("discount", {
        1: ("A coat costs {a} euros and is reduced by {p}%. What is the new price?",
            "{n} gets {p}% off a bill of {a} euros. How much does {n} pay?",
            "Decrease {a} by {p}%."),
        2: ("{n} buys {k} chairs at {c} euros and gets {p}% off. How much does {n} pay?",
            "{k} tickets at {c} euros each are sold with {p}% discount. What do they cost?",
            "The bill for {k} items of {c} euros is cut by {p}%. What remains to pay?"),
    }, _discount),
    Skill("interest", {
        1: ("{n} saves {p} euros at {r}% simple interest a year. How much interest is paid after {y} years?",
            "A loan of {p} euros bears {r}% simple interest a year. What is the interest for {y} years?",
            "Find the simple interest on {p} euros at {r}% for {y} years."),
        2: ("{n} saves {p} euros at {r}% simple interest a year. How much is in the account after {y} years?",
            "A loan of {p} euros bears {r}% simple interest a year. What is owed in all after {y} years?",
            "To what sum do {p} euros grow at {r}% simple interest in {y} years?"),
    }, _interest),
    Skill("ratio", {
        1: ("{n} and {m} share {s} {t} in the ratio {a}:{b}. How many does {n} get?",
            "{s} euros are split {a}:{b} between {n} and {m}. How much is the part of {n}?",
            "A mix of {s} litres has juice and water in the ratio {a}:{b}. How many litres are juice?"),
        2: ("{n}, {m} and Otto share {s} {t} in the ratio {a}:{b}:{c}. How many do {n} and Otto get together?",
            "{s} kg of sand, lime and gravel are mixed {a}:{b}:{c}. How many kg are sand or gravel?",
            "{s} euros are split {a}:{b}:{c} among three people. How much do the first and the last get together?"),
    }, _ratio),
    Skill("proportion", {
        1: ("{k} {t} cost {s} euros. What do {j} {t} cost?",
            "{n} walks {s} metres in {k} minutes. How far does {n} walk in {j} minutes?",
            "{k} equal boxes weigh {s} kg. How many kg do {j} such boxes weigh?"),
        2: ("{k} workers make {s} toys in {d} days. How many toys do {j} workers make in {e} days?",
            "{k} hens lay {s} eggs in {d} days. How many eggs do {j} hens lay in {e} days?",
            "In {d} hours {k} machines fill {s} jars. How many jars do {j} machines fill in {e} hours?"),
    }, _proportion),
    Skill("fraction", {
        1: ("What is {a}/{b} of {s}?", "{n} eats {a}/{b} of {s} {t}. How many is that?",
            "{a}/{b} of the {s} seats are taken. How many seats are taken?"),
        2: ("What is {a}/{b} + {c}/{d}?", "Add {a}/{b} and {c}/{d}.",
            "{n} walks {a}/{b} km and then {c}/{d} km. How many km is that in all?"),
    }, _fraction),
)  # fmt: skip
