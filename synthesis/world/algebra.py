"""Skills of equations, sequences and shapes: from linear equations and ages to area and perimeter."""

from __future__ import annotations

import random

from synthesis.world.base import Drawn, Skill
from synthesis.world.steps import add, div, mul, sub


def _linear(rng: random.Random, level: int) -> Drawn:
    x, a, b = rng.randint(3, 39), rng.randint(3, 9), rng.randint(5, 99)
    if level == 1:
        c = a * x + b
        return {"e": f"{a}x + {b} = {c}"}, f"{sub(c, b)}. {a}x={a * x}. x={a * x}/{a}={x}", str(x)
    c = rng.randint(2, a - 1)
    d = (a - c) * x + b
    k = a - c
    steps = f"{a}-{c}={k}. {sub(d, b)}. {k}x={k * x}. x={k * x}/{k}={x}"
    return {"e": f"{a}x + {b} = {c}x + {d}"}, steps, str(x)


def _ages(rng: random.Random, level: int) -> Drawn:
    k, b = (rng.randint(2, 9), rng.randint(4, 69)) if level == 1 else (rng.randint(2, 6), rng.randint(4, 24))
    if level == 1:
        s = (k + 1) * b
        return {"k": k, "s": s}, f"{k}+1={k + 1}. {div(s, k + 1)}", str(b)
    y = rng.randint(2, 15)
    old = k * (b + y) - y
    return {"k": k, "b": b, "y": y}, f"{add(b, y)}. {mul(b + y, k)}. {sub(k * (b + y), y)}", str(old)


def _consecutive(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        x = rng.randint(5, 899)
        s = 3 * x + 3
        return {"s": s}, f"1+2=3. {sub(s, 3)}. {div(3 * x, 3)}", str(x)
    x = rng.randint(5, 699)
    s = 4 * x + 6
    return {"s": s}, f"1+2+3=6. {sub(s, 6)}. {div(4 * x, 4)}. {add(x, 3)}", str(x + 3)


def _sequence(rng: random.Random, level: int) -> Drawn:
    a, d = rng.randint(2, 60), rng.randint(3, 19)
    if level == 1:
        v = [a + i * d for i in range(4)]
        return {"v": ", ".join(map(str, v))}, f"{v[1]}-{v[0]}={d}. {add(v[3], d)}", str(v[3] + d)
    n = rng.randint(9, 39)
    steps = f"{n}-1={n - 1}. {mul(n - 1, d)}. {add((n - 1) * d, a)}"
    return {"a": a, "d": d, "i": n}, steps, str(a + (n - 1) * d)


def _angles(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        a = rng.randint(21, 110)
        b = rng.randint(15, 165 - a)
        return {"a": a, "b": b}, f"{add(a, b)}. {sub(180, a + b)}", str(180 - a - b)
    a, b = rng.randint(41, 120), rng.randint(41, 120)
    c = rng.randint(30, 340 - a - b if 340 - a - b < 130 else 130)
    return {"a": a, "b": b, "c": c}, f"{add(a, b)}. {add(a + b, c)}. {sub(360, a + b + c)}", str(360 - a - b - c)


def _area(rng: random.Random, level: int) -> Drawn:
    a, b = (rng.randint(4, 9), rng.randint(11, 149)) if level == 1 else (rng.randint(13, 39), rng.randint(12, 29))
    if level == 1:
        return {"a": a, "b": b}, mul(b, a), str(a * b)
    c, d = rng.randint(3, 9), rng.randint(3, 11)
    return {"a": a, "b": b, "c": c, "d": d}, f"{mul(a, b)}. {mul(d, c)}. {sub(a * b, c * d)}", str(a * b - c * d)


def _perimeter(rng: random.Random, level: int) -> Drawn:
    a, b = rng.randint(11, 89), rng.randint(5, 79)
    s = a + b
    if level == 1:
        return {"a": a, "b": b}, f"{add(a, b)}. {mul(s, 2)}", str(2 * s)
    p = rng.randint(3, 9)
    return {"a": a, "b": b, "p": p}, f"{add(a, b)}. {mul(s, 2)}. {mul(2 * s, p)}", str(2 * s * p)


ALGEBRA = (
    Skill("linear", {
        1: ("Solve {e}.", "Find x if {e}.", "For which x is {e}?"),
        2: ("Solve {e}.", "Find x if {e}.", "For which x is {e}?"),
    }, _linear),
    Skill("ages", {
        1: ("{n} is {k} times as old as {m}. Together they are {s} years old. How old is {m}?",
            "The ages of {n} and {m} add up to {s}, and {n} is {k} times as old as {m}. Find the age of {m}.",
            "{m} and {n} are {s} years old together; {n} has {k} times the age of {m}. How old is {m}?"),
        2: ("{m} is {b} years old. In {y} years {n} will be {k} times as old as {m}. How old is {n} now?",
            "In {y} years {n} will have {k} times the age of {m}, who is {b} today. Find the age of {n} today.",
            "{m}, aged {b}, will in {y} years be as old as {n} divided by {k}. How old is {n} now?"),
    }, _ages),
    Skill("consecutive", {
        1: ("Three consecutive whole numbers add up to {s}. What is the smallest?",
            "The sum of three whole numbers in a row is {s}. Find the first of them.",
            "Three neighbouring page numbers add up to {s}. Which is the lowest?"),
        2: ("Four consecutive whole numbers add up to {s}. What is the largest?",
            "The sum of four whole numbers in a row is {s}. Find the last of them.",
            "Four neighbouring page numbers add up to {s}. Which is the highest?"),
    }, _consecutive),
    Skill("sequence", {
        1: ("Which number comes next: {v}?", "Continue the sequence {v}.", "{n} counts {v}. What does {n} say next?"),
        2: ("A sequence starts at {a} and grows by {d} each step. What is its term number {i}?",
            "The first term is {a} and the common difference is {d}. Find term {i}.",
            "{n} saves {a} euros in week 1 and each week {d} more than before. How much does {n} save in week {i}?"),
    }, _sequence),
    Skill("angles", {
        1: ("Two angles of a triangle are {a} and {b} degrees. How large is the third?",
            "A triangle has angles of {a} and {b} degrees. Find the missing angle.",
            "In a triangle, one angle is {a} degrees and another {b} degrees. What is the last one?"),
        2: ("Three angles of a quadrilateral are {a}, {b} and {c} degrees. How large is the fourth?",
            "A quadrilateral has angles of {a}, {b} and {c} degrees. Find the missing angle.",
            "A four-sided field has corners of {a}, {b} and {c} degrees. What is the last corner, in degrees?"),
    }, _angles),
    Skill("area", {
        1: ("A rectangle is {b} cm long and {a} cm wide. What is its area?",
            "Find the area of a {b} by {a} rectangle.",
            "A rug measures {b} dm by {a} dm. How many square decimetres does it cover?"),
        2: ("A garden of {a} m by {b} m has a pond of {d} m by {c} m. What area is left?",
            "From a {a} by {b} sheet a {d} by {c} piece is cut. Find the area that remains.",
            "A wall {a} m long and {b} m high has a gate of {d} m by {c} m. How many square metres are wall?"),
    }, _area),
    Skill("perimeter", {
        1: ("A rectangle is {a} cm long and {b} cm wide. What is its perimeter?",
            "Find the perimeter of a {a} by {b} rectangle.",
            "A field is {a} m long and {b} m wide. How long is the fence around it?"),
        2: ("A field of {a} m by {b} m is fenced at {p} euros a metre. What does the fence cost?",
            "A frame goes around a {a} by {b} picture and costs {p} euros per unit of length. Find its price.",
            "{n} puts {p} lamps on every metre of the edge of a {a} m by {b} m pool. How many lamps is that?"),
    }, _perimeter),
)  # fmt: skip
