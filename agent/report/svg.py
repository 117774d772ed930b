"""Small SVG drawings as text that is safe to put into a page: every attribute and string is escaped.

Knows scales, ticks and labels that do not lie on each other; knows nothing of what is drawn.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from math import ceil, floor, log10

from markupsafe import Markup, escape

Scale = Callable[[float], float]
#: Mean width of a character over the font's size, for the system's sans-serif fonts.
CHARACTER = 0.57


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """``<tag a="1">children</tag>``; underscores in attributes become hyphens, ``class_`` is ``class``."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"' for key, value in attributes.items()
    )
    inner = Markup("").join(children)  # escapes whatever is not Markup
    return Markup(f"<{tag}{shown}>{inner}</{tag}>")


def _plain(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def drawing(width: float, height: float, label: str, *children: str) -> Markup:
    """A whole figure; ``label`` is what a screen reader says of it."""
    return element(
        "svg", *children, viewBox=f"0 0 {width:.0f} {height:.0f}", width=f"{width:.0f}", role="img", aria_label=label
    )  # fmt: skip


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """Words on one line; ``y`` is the baseline."""
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def text_width(words: str, size: float) -> float:
    """About how wide ``words`` are, in the units of ``size``."""
    cells = sum(
        0 if unicodedata.combining(c) else 1.75 if unicodedata.east_asian_width(c) in "WF" else 1 for c in words
    )
    return cells * size * CHARACTER


def fitted(words: str, width: float, size: float) -> str:
    """``words``, cut with an ellipsis where they would be wider than ``width``."""
    if text_width(words, size) <= width:
        return words
    kept = words
    while kept and text_width(kept + "…", size) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """The scale that takes ``low`` to ``start`` and ``high`` to ``end``."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers within [low, high], about ``wanted`` of them (steps of 1, 2 or 5 times a power of ten)."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [round(at * step, 10) for at in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed to lie ``gap`` apart within [low, high], in the order given.

    Neighbours that are too near become a block around their common mean; where they do not all fit, they are evenly
    spaced over the whole room.
    """
    if not places:
        return []
    order = sorted(range(len(places)), key=lambda at: places[at])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    blocks: list[tuple[float, int]] = []  # sum of the wanted starts, number of members
    for index in order:
        blocks.append((min(max(places[index], low), high), 1))
        while len(blocks) > 1 and _start(*blocks[-2], gap) + blocks[-2][1] * gap > _start(*blocks[-1], gap) + 1e-9:
            (sum_b, n_b), (sum_a, n_a) = blocks.pop(), blocks.pop()
            blocks.append((sum_a + sum_b, n_a + n_b))
    found: list[float] = []
    for total, n in blocks:
        start = min(max(_start(total, n, gap), low), high - (n - 1) * gap)
        found += [start + at * gap for at in range(n)]
    for at in range(1, len(found)):  # a block pushed off the lower edge may meet the next
        found[at] = max(found[at], found[at - 1] + gap)
    for at in reversed(range(len(found))):
        roof = high - (len(found) - 1 - at) * gap
        found[at] = min(found[at], roof)
    placed = [0.0] * len(places)
    for where, index in zip(found, order, strict=True):
        placed[index] = where
    return placed


def _start(total: float, members: int, gap: float) -> float:
    """Where the first of a block lies when its members' mean is where they wanted to be."""
    return total / members - (members - 1) * gap / 2


#: Marks that are told apart without colour: drawn around (0, 0), about 5 units in radius.
SHAPES = (
    ("circle", {"r": 4.5}),
    ("path", {"d": "M-4.2-4.2h8.4v8.4h-8.4z"}),
    ("path", {"d": "M0-5.6L5.2 3.8H-5.2z"}),
    ("path", {"d": "M0-6L6 0L0 6L-6 0z"}),
    ("path", {"d": "M0 5.6L5.2-3.8H-5.2z"}),
    ("path", {"d": "M-1.7-5.2h3.4v3.5h3.5v3.4h-3.5v3.5h-3.4v-3.5h-3.5v-3.4h3.5z"}),
    ("path", {"d": "M0-5.8L5.5-1.8L3.4 4.7H-3.4L-5.5-1.8z"}),
    ("path", {"d": "M0-6L1.6-1.9L6-1.9L2.5 .9L3.8 5.2L0 2.6L-3.8 5.2L-2.5 .9L-6-1.9L-1.6-1.9z"}),
)


def mark(x: float, y: float, kind: int, *children: str, class_: str = "") -> Markup:
    """One of `SHAPES` at a place; past the last they begin again."""
    tag, attributes = SHAPES[kind % len(SHAPES)]
    return element(tag, *children, **attributes, class_=class_, transform=f"translate({x:.1f} {y:.1f})")
