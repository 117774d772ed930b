"""Skills of everyday arithmetic: counting, buying, sharing, averages, powers."""

from __future__ import annotations

import random

from synthesis.world.base import Drawn, Skill
from synthesis.world.steps import add, div, mul, sub


def _add(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        a, b = rng.randint(11, 99), rng.randint(11, 99)
        return {"a": a, "b": b}, add(a, b), str(a + b)
    a, b, c = rng.randint(101, 499), rng.randint(31, 299), rng.randint(12, 99)
    return {"a": a, "b": b, "c": c}, f"{add(a, b)}. {add(a + b, c)}", str(a + b + c)


def _subtract(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        a = rng.randint(41, 199)
        b = rng.randint(11, a - 10)
        return {"a": a, "b": b}, sub(a, b), str(a - b)
    a, b, c = rng.randint(401, 899), rng.randint(101, 250), rng.randint(21, 140)
    return {"a": a, "b": b, "c": c}, f"{sub(a, b)}. {sub(a - b, c)}", str(a - b - c)


def _multiply(rng: random.Random, level: int) -> Drawn:
    a, b = (rng.randint(3, 9), rng.randint(12, 199)) if level == 1 else (rng.randint(12, 49), rng.randint(13, 69))
    return {"a": a, "b": b}, mul(b, a), str(a * b)


def _share(rng: random.Random, level: int) -> Drawn:
    d, q = (rng.randint(3, 9), rng.randint(11, 129)) if level == 1 else (rng.randint(11, 29), rng.randint(12, 69))
    n = d * q
    if level == 1:
        return {"a": n, "b": d}, div(n, d), str(q)
    e = rng.randint(11, 99)
    return {"a": n + e, "b": d, "c": e}, f"{sub(n + e, e)}. {div(n, d)}", str(q)


def _change(rng: random.Random, level: int) -> Drawn:
    k, c = rng.randint(2, 9), rng.randint(4, 29)
    if level == 1:
        p = k * c + rng.randint(5, 90)
        return {"p": p, "k": k, "c": c}, f"{mul(c, k)}. {sub(p, k * c)}", str(p - k * c)
    j, d = rng.randint(2, 9), rng.randint(4, 29)
    p = k * c + j * d + rng.randint(5, 90)
    steps = f"{mul(c, k)}. {mul(d, j)}. {add(k * c, j * d)}. {sub(p, k * c + j * d)}"
    return {"p": p, "k": k, "c": c, "j": j, "d": d}, steps, str(p - k * c - j * d)


def _order(rng: random.Random, level: int) -> Drawn:
    a, b, c = rng.randint(11, 99), rng.randint(3, 29), rng.randint(3, 9)
    if level == 1:
        return {"e": f"{a} + {b} * {c}"}, f"{mul(b, c)}. {add(a, b * c)}", str(a + b * c)
    s, d, e = a + b, rng.randint(3, 9), rng.randint(4, 19)
    steps = f"{add(a, b)}. {mul(s, c)}. {mul(e, d)}. {sub(s * c, d * e)}"
    return {"e": f"({a} + {b}) * {c} - {d} * {e}"}, steps, str(s * c - d * e)


def _average(rng: random.Random, level: int) -> Drawn:
    k = 3 if level == 1 else 5
    mean = rng.randint(12, 60)
    while True:
        values = [mean + rng.randint(-11, 11) for _ in range(k - 1)]
        last = k * mean - sum(values)
        if 1 <= last <= 90:
            break
    values.append(last)
    steps, total = [], values[0]
    for item in values[1:]:
        steps.append(add(total, item))
        total += item
    shown = ", ".join(map(str, values[:-1])) + f" and {last}"
    return {"v": shown}, ". ".join([*steps, div(total, k)]), str(mean)


def _remainder(rng: random.Random, level: int) -> Drawn:
    d, q = (rng.randint(4, 9), rng.randint(6, 40)) if level == 1 else (rng.randint(12, 29), rng.randint(11, 45))
    r = rng.randint(1, d - 1)
    n = d * q + r
    tens = q // 10 * 10
    if tens and tens != q:
        rest = n - d * tens
        steps = (
            f"{d}*{tens}={d * tens}. {sub(n, d * tens)}. {d}*{q - tens}={d * (q - tens)}. {sub(rest, d * (q - tens))}"
        )
    else:
        steps = f"{mul(d, q)}. {sub(n, d * q)}"
    return {"a": n, "b": d}, steps, str(r)


def _power(rng: random.Random, level: int) -> Drawn:
    if level == 1:
        a, b = rng.randint(3, 19), rng.randint(11, 199)
        return {"a": a, "b": b}, f"{mul(a, a)}. {add(a * a, b)}", str(a * a + b)
    a = rng.randint(13, 49)
    b = rng.randint(4, a - 1)
    return {"a": a, "b": b}, f"{mul(a, a)}. {mul(b, b)}. {sub(a * a, b * b)}", str(a * a - b * b)


def _profit(rng: random.Random, level: int) -> Drawn:
    k, c = rng.randint(4, 49), rng.randint(3, 19)
    d = c + rng.randint(2, 9)
    gain = d - c
    if level == 1:
        return {"k": k, "c": c, "d": d}, f"{sub(d, c)}. {mul(k, gain)}", str(k * gain)
    f = rng.randint(1, k * gain - 1) if k * gain > 60 else rng.randint(1, 7)
    return {"k": k, "c": c, "d": d, "f": f}, f"{sub(d, c)}. {mul(k, gain)}. {sub(k * gain, f)}", str(k * gain - f)


def _temperature(rng: random.Random, level: int) -> Drawn:
    a, b = rng.randint(2, 29), rng.randint(3, 49)
    if level == 1:
        return {"a": a, "b": b}, f"-{a}+{b}={b - a}", str(b - a)
    c = rng.randint(3, 39)
    return {"a": a, "b": b, "c": c}, f"-{a}+{b}={b - a}. {b - a}-{c}={b - a - c}", str(b - a - c)


ARITHMETIC = (
    Skill("add", {
        1: ("{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
            "There are {a} {t} in one box and {b} in another. How many {t} are there in all?",
            "What is the sum of {a} and {b}?"),
        2: ("{n} collects {a} {t} in May, {b} in June and {c} in July. How many {t} is that in all?",
            "A shop sells {a}, then {b}, then {c} {t}. How many {t} does it sell altogether?",
            "What is the sum of {a}, {b} and {c}?"),
    }, _add),
    Skill("subtract", {
        1: ("{n} has {a} {t} and gives away {b}. How many {t} are left?",
            "A box holds {a} {t}; {b} are taken out. How many remain?",
            "What is {a} minus {b}?"),
        2: ("{n} has {a} {t}, loses {b} and sells {c}. How many {t} are left?",
            "Of {a} seats, {b} are taken and {c} are broken. How many seats are free?",
            "Take {b} and then {c} away from {a}. What remains?"),
    }, _subtract),
    Skill("multiply", {
        1: ("A box holds {b} {t}. How many {t} do {a} boxes hold?",
            "{n} reads {b} pages a day for {a} days. How many pages is that?",
            "What is {a} times {b}?"),
        2: ("A hall has {a} rows with {b} seats each. How many seats has the hall?",
            "{n} packs {a} crates with {b} {t} each. How many {t} does {n} pack?",
            "Multiply {a} by {b}."),
    }, _multiply),
    Skill("share", {
        1: ("{n} shares {a} {t} equally among {b} friends. How many does each friend get?",
            "{a} {t} are packed in {b} equal bags. How many {t} are in a bag?",
            "What is {a} divided by {b}?"),
        2: ("{n} keeps {c} of {a} {t} and shares the rest equally among {b} children. How many does each child get?",
            "From {a} {t}, {c} are thrown away and the rest fill {b} equal trays. How many {t} are on a tray?",
            "{c} of {a} guests leave; the others sit at {b} tables in equal groups. How many sit at each table?"),
    }, _share),
    Skill("change", {
        1: ("{n} has {p} euros and buys {k} {t} at {c} euros each. How many euros are left?",
            "With {p} euros in hand, {n} pays for {k} {t} that cost {c} euros apiece. How much money remains?",
            "{k} {t} cost {c} euros each. {n} pays with {p} euros. What is the change?"),
        2: ("{n} has {p} euros and buys {k} books at {c} euros and {j} pens at {d} euros. How many euros are left?",
            "{n} pays {p} euros for {k} tickets at {c} euros and {j} snacks at {d} euros. What is the change?",
            "Out of {p} euros, {n} spends {k} times {c} euros and {j} times {d} euros. How much remains?"),
    }, _change),
    Skill("order", {
        1: ("Calculate {e}.", "What is {e}?", "Find the value of {e}."),
        2: ("Calculate {e}.", "What is {e}?", "Find the value of {e}."),
    }, _order),
    Skill("average", {
        1: ("Find the mean of {v}.", "{n} scores {v} points in three games. What is the average score?",
            "What is the average of {v}?"),
        2: ("Find the mean of {v}.", "{n} scores {v} points in five games. What is the average score?",
            "What is the average of {v}?"),
    }, _average),
    Skill("remainder", {
        1: ("{n} packs {a} {t} into bags of {b}. How many {t} are left over?",
            "What is the remainder when {a} is divided by {b}?",
            "{a} children form teams of {b}. How many children have no team?"),
        2: ("{n} packs {a} {t} into bags of {b}. How many {t} are left over?",
            "What is the remainder when {a} is divided by {b}?",
            "{a} children form teams of {b}. How many children have no team?"),
    }, _remainder),
    Skill("power", {
        1: ("What is {a} squared plus {b}?", "Add {b} to the square of {a}.",
            "A square tile floor is {a} tiles wide; {b} spare tiles lie beside it. How many tiles are there?"),
        2: ("What is {a} squared minus {b} squared?", "Subtract the square of {b} from the square of {a}.",
            "A square of side {b} is cut from a square of side {a}. What area is left?"),
    }, _power),
    Skill("profit", {
        1: ("{n} buys {k} {t} at {c} euros and sells each at {d} euros. What is the profit?",
            "A trader buys {k} lamps for {c} euros each and sells them for {d} euros each. How much is gained?",
            "Each of {k} {t} is bought at {c} and sold at {d} euros. Find the gain."),
        2: ("{n} buys {k} {t} at {c} euros, sells each at {d} euros and pays {f} euros rent. What is the profit?",
            "A trader buys {k} lamps for {c} euros each, sells them for {d} each and pays {f} in fees. What is left?",
            "Each of {k} {t} is bought at {c} and sold at {d} euros; the stall costs {f}. Find the gain."),
    }, _profit),
    Skill("temperature", {
        1: ("It is {a} degrees below zero and gets {b} degrees warmer. What is the temperature?",
            "At dawn it is -{a} degrees. It rises by {b} degrees. How many degrees is it then?",
            "A diver at -{a} metres rises {b} metres. Where is the diver, in metres?"),
        2: ("It is {a} degrees below zero, gets {b} degrees warmer, then falls by {c}. What is the temperature?",
            "At dawn it is -{a} degrees. It rises by {b} and then drops by {c}. How many degrees is it then?",
            "A lift at -{a} metres rises {b} metres and sinks {c}. Where is it, in metres?"),
    }, _temperature),
)  # fmt: skip
