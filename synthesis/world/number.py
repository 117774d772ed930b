"""Skills of whole numbers, time, speed and units: gcd, lcm, elapsed time, speed, conversion."""

from __future__ import annotations

import random
from math import gcd

from synthesis.world.base import Drawn, Skill
from synthesis.world.steps import add, div, mul, sub


def _euclid(a: int, b: int) -> str:
    """Euclid's divisions, each a true equation: ``48=36*1+12. 36=12*3``."""
    steps = []
    while b:
        q, r = divmod(a, b)
        steps.append(f"{a}={b}*{q}+{r}" if r else f"{a}={b}*{q}")
        a, b = b, r
    return ". ".join(steps)


def _pair(rng: random.Random, low: int, high: int, top: int) -> tuple[int, int]:
    """Two numbers, the larger first, with a common factor and neither dividing the other."""
    while True:
        g = rng.randint(low, high)
        a, b = g * rng.randint(2, top), g * rng.randint(2, top)
        if a > b and a % b:
            return a, b


def _gcd(rng: random.Random, level: int) -> Drawn:
    a, b = _pair(rng, 2, 15, 12) if level == 1 else _pair(rng, 6, 29, 13)
    return {"a": a, "b": b}, _euclid(a, b), str(gcd(a, b))


def _lcm(rng: random.Random, level: int) -> Drawn:
    a, b = _pair(rng, 2, 9, 12) if level == 1 else _pair(rng, 3, 19, 14)
    g = gcd(a, b)
    return {"a": a, "b": b}, f"{_euclid(a, b)}. {div(a, g)}. {mul(b, a // g)}", str(a * b // g)


def _elapsed(rng: random.Random, level: int) -> Drawn:
    h, m = rng.randint(1, 9), rng.randint(1, 59)
    length = rng.randint(15, 59) if level == 1 else rng.randint(75, 320)
    end = 60 * h + m + length
    k, n = divmod(end, 60)
    if level == 1:
        if k == h:
            return {"s": f"{h}:{m:02d}", "e": f"{k}:{n:02d}"}, sub(n, m), str(length)
        return {"s": f"{h}:{m:02d}", "e": f"{k}:{n:02d}"}, f"{sub(60, m)}. {add(60 - m, n)}", str(length)
    steps = f"{mul(k, 60)}. {add(60 * k, n)}. {mul(h, 60)}. {add(60 * h, m)}. {sub(end, 60 * h + m)}"
    return {"s": f"{h}:{m:02d}", "e": f"{k}:{n:02d}"}, steps, str(length)


def _speed(rng: random.Random, level: int) -> Drawn:
    v, t = rng.randint(12, 139), rng.randint(2, 9)
    if level == 1:
        return {"v": v, "h": t}, mul(v, t), str(v * t)
    w, u = rng.randint(12, 99), rng.randint(2, 9)
    return {"v": v, "h": t, "w": w, "u": u}, f"{mul(v, t)}. {mul(w, u)}. {add(v * t, w * u)}", str(v * t + w * u)


def _convert(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        a, b = rng.randint(2, 39), rng.randint(3, 97)
        return {"a": a, "b": b}, f"{a}*100={100 * a}. {add(100 * a, b)}", str(100 * a + b)
    a, b, c = rng.randint(2, 9), rng.randint(3, 57), rng.randint(3, 57)
    minutes = 60 * a + b
    steps = f"{a}*60={60 * a}. {add(60 * a, b)}. {mul(minutes, 60)}. {add(60 * minutes, c)}"
    return {"a": a, "b": b, "c": c}, steps, str(60 * minutes + c)


_GCD_TEXTS = (
    "Find the greatest common divisor of {a} and {b}.",
    "What is the largest number that divides both {a} and {b}?",
    "{a} red and {b} blue beads are put in equal bags, as many bags as possible. How many bags are there?",
)
_LCM_TEXTS = (
    "Find the least common multiple of {a} and {b}.",
    "What is the smallest number that both {a} and {b} divide?",
    "One lamp blinks every {a} seconds, another every {b}. After how many seconds do they meet again?",
)
_ELAPSED_TEXTS = (
    "A film starts at {s} and ends at {e}. How many minutes does it last?",
    "{n} leaves at {s} and arrives at {e}. How many minutes is {n} under way?",
    "How many minutes are there from {s} to {e}?",
)

NUMBER = (
    Skill("gcd", {1: _GCD_TEXTS, 2: _GCD_TEXTS}, _gcd),
    Skill("lcm", {1: _LCM_TEXTS, 2: _LCM_TEXTS}, _lcm),
    Skill("elapsed", {1: _ELAPSED_TEXTS, 2: _ELAPSED_TEXTS}, _elapsed),
    Skill("speed", {
        1: ("A car drives {v} km an hour. How far does it get in {h} hours?",
            "{n} rides at {v} km per hour for {h} hours. How many km is that?",
            "A train goes {h} hours at {v} km/h. What distance does it cover?"),
        2: ("A car drives {h} hours at {v} km/h and {u} hours at {w} km/h. How far does it get?",
            "{n} rides {v} km per hour for {h} hours, then {w} km per hour for {u} hours. How many km is that?",
            "A train goes {v} km/h for {h} hours and {w} km/h for {u} hours. What distance does it cover?"),
    }, _speed),
    Skill("convert", {
        1: ("How many centimetres are {a} m {b} cm?", "A rope is {a} m and {b} cm long. Give its length in cm.",
            "Write {a} euros and {b} cents in cents."),
        2: ("How many seconds are {a} h {b} min {c} s?",
            "A race takes {a} hours, {b} minutes and {c} seconds. Give the time in seconds.",
            "{n} sleeps {a} h, {b} min and {c} s. How many seconds is that?"),
    }, _convert),
)  # fmt: skip
