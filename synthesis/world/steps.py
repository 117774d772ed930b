"""Worked arithmetic in steps small enough for a tiny model; every side of every chain is equal.

Knows nothing of skills or wordings. All functions return text such as ``22*9=180+18=198``.
"""

from __future__ import annotations


def _parts(n: int) -> list[int]:
    """Decimal parts: 345 -> [300, 40, 5]; parts that are zero are left out."""
    digits = str(n)
    return [int(d) * 10 ** (len(digits) - i - 1) for i, d in enumerate(digits) if d != "0"] or [0]


def add(a: int, b: int) -> str:
    """Place by place: ``46+38=76+8=84``."""
    return _by_places(a, b, "+", 1)


def sub(a: int, b: int) -> str:
    """Place by place: ``446-116=346-16=336-6=330``."""
    return _by_places(a, b, "-", -1)


def _by_places(a: int, b: int, sign: str, factor: int) -> str:
    sides, total, rest = [f"{a}{sign}{b}"], a, b
    for part in _parts(b)[:-1]:
        total, rest = total + factor * part, rest - part
        sides.append(f"{total}{sign}{rest}")
    return "=".join([*sides, str(total + factor * rest)])


def mul(a: int, b: int) -> str:
    """Partial products: ``23*45=800+120+100+15=920+115=1035``."""
    products = [x * y for y in _parts(b) for x in _parts(a)]
    if len(products) == 1:
        return f"{a}*{b}={a * b}"
    chain = f"{a}*{b}=" + "+".join(map(str, products))
    if len(products) > 2:
        halves = [a * y for y in _parts(b)] if len(_parts(b)) > 1 else [products[0] + products[1], *products[2:]]
        chain += "=" + "+".join(map(str, halves))
        if len(halves) > 2:
            chain += f"={halves[0] + halves[1]}+" + "+".join(map(str, halves[2:]))
    return f"{chain}={a * b}"


def div(n: int, d: int) -> str:
    """Exact division, spelled out where it is long: ``19*20=200+180=380. 437-380=137-80=57. 57/19=3. 20+3=23``."""
    q = n // d
    if q < 10 or (d == 10) or q % 10 == 0:
        return f"{n}/{d}={q}"
    high = q // 10 * 10
    rest = n - d * high
    return f"{mul(d, high)}. {sub(n, d * high)}. {rest}/{d}={q - high}. {high}+{q - high}={q}"
