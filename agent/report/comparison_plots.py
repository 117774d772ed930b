"""The figures of a comparison: differences of pairs, learning curves, gains by cluster.

Each is drawn for a given width, so that a page can hold one for wide and one for narrow screens, both with readable
text. Colours are classes that the page defines; what matters is told by shape and position as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log2
from typing import Any

from markupsafe import Markup

from agent.report.comparison_words import excludes_zero, gain, level, mean, name, p_value, plural
from agent.report.svg import drawing, element, fitted, line, linear, mark, spread, text, text_width, ticks

Found = Mapping[str, Any]
#: Below this width labels stand above their rows instead of beside them.
NARROW = 560
SIZE = 13
#: Rows of a figure; tables hold the rest.
PAIRS = 60
CLUSTER_ARMS = 12
COLOURS = 8


def forest(found: Found, width: float) -> Markup | None:
    """Differences with their intervals, one row a pair, and the zero line; None where no pair has a difference."""
    pairs = [pair for pair in found["pairs"] if pair["difference"] is not None][:PAIRS]
    if not pairs:
        return None
    narrow = width < NARROW
    names = [_pair(pair, 1e9) for pair in pairs]
    left = 8.0 if narrow else min(max(text_width(words, SIZE) for words in names) + 20, width * 0.36)
    right = 8.0 if narrow else 290.0
    row, top, bottom = (52, 8, 40) if narrow else (27, 10, 42)
    height = top + row * len(pairs) + bottom
    ends = [0.0, *(v for pair in pairs for v in (pair["low"], pair["high"], pair["difference"]) if v is not None)]
    pad = 0.05 * (max(ends) - min(ends) or 1)
    scale = linear(min(ends) - pad, max(ends) + pad, left, width - right)
    floor = height - bottom
    parts = [
        line(scale(tick), top, scale(tick), floor, "grid")
        + text(scale(tick), floor + 17, _tick(tick), "soft", "middle")
        for tick in ticks(min(ends) - pad, max(ends) + pad, 5 if narrow else 7)
    ]
    parts.append(line(scale(0), top, scale(0), floor, "zero"))
    parts.append(text(scale((min(ends) + max(ends)) / 2), floor + 35, "difference in points", "soft", "middle"))
    for at, (pair, words) in enumerate(zip(pairs, names, strict=True)):
        parts.append(_forest_row(pair, words, top + row * at, left, width, scale, narrow))
    label = f"Differences of {plural(len(pairs), 'pair')} with {level(found)} intervals: " + "; ".join(
        f"{words} {gain(pair)}, {name(pair['verdict'])}" for pair, words in zip(pairs[:8], names, strict=False)
    )
    return drawing(width, height, label + ("; and more, see the table" if len(pairs) > 8 else ""), *parts)


def _forest_row(pair: Found, words: str, y: float, left: float, width: float, scale: Any, narrow: bool) -> Markup:
    verdict = name(pair["verdict"])
    kind = {"better": 0, "worse": 1}.get(verdict, 3)
    class_ = f"v-{verdict if kind < 3 else 'open'}"
    middle = y + (34 if narrow else 13)
    told = element(
        "title", f"{words}: {gain(pair)}, p {p_value(pair['p'])}, p Holm {p_value(pair['p_holm'])}, {verdict}"
    )
    numbers = _minus(gain(pair))
    drawn = []
    if pair["low"] is not None and pair["high"] is not None:
        drawn += [line(scale(pair["low"]), middle, scale(pair["high"]), middle, "whisker")]
        drawn += [
            line(scale(pair[end]), middle - 4, scale(pair[end]), middle + 4, "whisker") for end in ("low", "high")
        ]
    drawn.append(mark(scale(pair["difference"]), middle, kind, class_="point"))
    if narrow:
        side = 1.2 * text_width(numbers, SIZE - 1)  # digits are wider than most letters, more so in bold
        labels = [
            text(8, y + 17, _pair(pair, width - side - 22), "halo"),
            text(width - 8, y + 17, numbers, f"small num halo {'strong' if kind < 3 else ''}", "end"),
        ]
    else:
        labels = [
            text(left - 12, middle + 4.5, _pair(pair, left - 16), "ink", "end"),
            text(width - 282, middle + 4.5, numbers, "small num"),
            text(width - 142, middle + 4.5, verdict, f"small {'strong' if kind < 3 else 'soft'}"),
        ]
    area = element("rect", x=0, y=y + 1, width=width, height=(50 if narrow else 25), class_="hit")
    return element("g", told, area, *drawn, *labels, class_=class_)


def _pair(pair: Found, width: float) -> str:
    """``a − b``; where that is too wide, each name is cut, so that both can be told."""
    a, b = name(pair["a"]), name(pair["b"])
    half = (width - text_width(" − ", SIZE)) / 2
    spare = half - min(text_width(a, SIZE), text_width(b, SIZE), half)
    return f"{fitted(a, half + spare, SIZE)} − {fitted(b, half + spare, SIZE)}"


def _tick(value: float) -> str:
    return _minus(f"{value:+g}") if value else "0"


def _minus(words: str) -> str:
    return words.replace("-", "−")


def learning_curves(found: Found, width: float, colours: Mapping[str, int]) -> Markup | None:
    """Accuracy over the number of new examples (log scale), one labelled line an arm; None without points."""
    given = found.get("curves") or {}
    arms = {
        arm: sorted((e for e in entries if e["mean"] is not None and e["budget"] > 0), key=lambda e: e["budget"])
        for arm, entries in (given.get("arms") or {}).items()
    }
    arms = {arm: entries for arm, entries in arms.items() if entries}
    if not arms:
        return None
    narrow = width < NARROW
    base = (found.get("base") or {}).get("mean")
    points = [entry for entries in arms.values() for entry in entries]
    values = [v for e in points for v in (e["mean"], e.get("low"), e.get("high")) if v is not None]
    values += [] if base is None else [base]
    budgets = sorted({entry["budget"] for entry in points})
    left, top, bottom = 44.0, 14.0, 46.0
    widest = max(text_width(name(arm), SIZE) for arm in arms) + 34
    right = min(widest, width * 0.3)
    height = max(300.0 if narrow else 400.0, 20.0 * len(arms) + 100)
    pad = 0.06 * (max(values) - min(values) or 1)
    low, high = min(values) - pad, max(values) + pad
    room = 14.0  # so that the first whiskers do not lie on the axis
    x = linear(log2(budgets[0]), log2(budgets[-1]), left + room, width - right - room)
    y = linear(low, high, height - bottom, top)
    if len(budgets) == 1:
        x = linear(0, 1, (left + width - right) / 2, (left + width - right) / 2)
    edge = width - right
    parts = [
        line(left, y(tick), edge, y(tick), "grid") + text(left - 8, y(tick) + 4.5, f"{tick:g}", "soft", "end")
        for tick in ticks(low, high, 8)
    ]
    parts.append(line(left, height - bottom, edge, height - bottom, "axis"))
    parts += _budget_ticks(budgets, x, height - bottom)
    parts.append(text((left + edge) / 2, height - 8, "new examples (log scale)", "soft", "middle"))
    parts.append(text(left, top - 3, "accuracy, %", "soft"))
    if base is not None:
        parts.append(line(left, y(base), edge, y(base), "base"))
        parts.append(text(left + 6, y(base) - 5, f"base {base:.1f}", "soft"))
    step = min(5.0, 0.35 * _least_gap([x(log2(b)) for b in budgets]) / len(arms))
    ends: list[tuple[str, float, float]] = []
    for at, (arm, entries) in enumerate(arms.items()):
        shift = (at - (len(arms) - 1) / 2) * step
        spots = [(x(log2(entry["budget"])) + shift, y(entry["mean"]), entry) for entry in entries]
        parts.append(_curve(arm, spots, colours.get(arm, at), y))
        ends.append((arm, *spots[-1][:2]))
    parts += _end_labels(ends, colours, edge, right, top, height - bottom)
    label = f"Accuracy by number of new examples with {level(found)} intervals. " + "; ".join(
        f"{name(arm)}: {entries[0]['mean']:.1f} % at {entries[0]['budget']:,} to {entries[-1]['mean']:.1f} % at "
        f"{entries[-1]['budget']:,}"
        for arm, entries in list(arms.items())[:12]
    )
    return drawing(width, height, label, *parts)


def _least_gap(places: Sequence[float]) -> float:
    return min((b - a for a, b in pairwise(places)), default=80.0)


def _budget_ticks(budgets: Sequence[int], x: Any, floor: float) -> list[Markup]:
    """A tick a budget; labels that would touch the one before are left out."""
    parts, free = [], -1e9
    for budget in budgets:
        place, words = x(log2(budget)), f"{budget:,}"
        parts.append(line(place, floor, place, floor + 5, "axis"))
        half = text_width(words, SIZE) / 2
        if place - half > free:
            parts.append(text(place, floor + 20, words, "soft", "middle"))
            free = place + half + 6
    return parts


def _curve(arm: str, spots: Sequence[tuple[float, float, Found]], colour: int, y: Any) -> Markup:
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py, _ in spots)
    parts = [element("path", d=path, class_="curve")]
    for px, py, entry in spots:
        if entry.get("low") is not None and entry.get("high") is not None:
            parts.append(line(px, y(entry["low"]), px, y(entry["high"]), "whisker"))
        told = f"{name(arm)}, {entry['budget']:,} examples: {mean(entry)} %"
        runs = f" ({plural(entry['seeds'], 'seed')})" if entry.get("seeds") is not None else ""
        parts.append(mark(px, py, colour, element("title", told + runs), class_="point"))
    return element("g", *parts, class_=f"c{colour % COLOURS}")


def _end_labels(
    ends: Sequence[tuple[str, float, float]],
    colours: Mapping[str, int],
    edge: float,
    right: float,
    top: float,
    floor: float,
) -> list[Markup]:
    """A name beside each line's end, moved apart where they would touch, with a thin leader to its line."""
    parts = []
    for at, ((arm, px, py), place) in enumerate(
        zip(ends, spread([end[2] for end in ends], 17, top + 4, floor - 4), strict=True)
    ):
        colour = colours.get(arm, at)
        leader = element("path", d=f"M{px + 7:.1f} {py:.1f}L{edge + 2:.1f} {place:.1f}", class_="leader")
        words = text(edge + 16, place + 4.5, fitted(name(arm), right - 22, SIZE), "ink")
        parts.append(
            element("g", leader, mark(edge + 8, place, colour, class_="point"), words, class_=f"c{colour % 8}")
        )
    return parts


def cluster_gains(found: Found, width: float) -> Markup | None:
    """The change over the base, clusters x arms: sign by hue, size by strength, the interval on hover."""
    clusters, arms = found.get("clusters") or [], [arm["arm"] for arm in found["arms"]][:CLUSTER_ARMS]
    gains = [(c.get("gains") or {}).get(arm) or {} for c in clusters for arm in arms]
    most = max((abs(g["difference"]) for g in gains if g.get("difference") is not None), default=None)
    if most is None:
        return None
    narrow = width < NARROW
    left = 0.0 if narrow else min(max(text_width(name(c["label"], 120), SIZE) for c in clusters) + 66, width * 0.42)
    longest = min(max(text_width(name(arm), SIZE) for arm in arms), 90.0 if narrow else 130.0)
    cell = (width - left) / len(arms)
    turned = longest > cell - 6
    if turned:  # the last heading leans out to the right
        cell = (width - left - max(0.0, 0.76 * longest - 0.4 * cell)) / len(arms)
    top = longest * 0.7 + 18 if turned else 24.0
    row, above = (50, 20) if narrow else (30, 0)
    parts = [
        _heading(fitted(name(arm), longest, SIZE), left + cell * (at + 0.5), top - 9, turned)
        for at, arm in enumerate(arms)
    ]
    for at, cluster in enumerate(clusters):
        y = top + row * at
        size = f"{cluster['items']:,}"
        label, full = name(cluster["label"], 120), element("title", name(cluster["label"], 400))
        if narrow:
            words = fitted(label, width - text_width(size, SIZE) - 34, SIZE)
            parts.append(
                element("g", full, text(2, y + 15, words, "ink"), text(width - 2, y + 15, f"n={size}", "soft", "end"))
            )
        else:
            words = fitted(label, left - 66, SIZE)
            parts.append(
                element("g", full, text(0, y + 19, words, "ink"), text(left - 12, y + 19, f"n={size}", "soft", "end"))
            )
        for column, arm in enumerate(arms):
            entry = (cluster.get("gains") or {}).get(arm)
            parts.append(_cell(label, arm, entry, left + cell * column, y + above, cell, most))
    height = top + row * len(clusters) + 4
    label = (
        f"Change over the base in points for {plural(len(clusters), 'cluster')} and {plural(len(arms), 'arm')}; the "
        "numbers are in the table below"
    )
    return drawing(width, height, label, *parts)


def _heading(words: str, x: float, y: float, turned: bool) -> Markup:
    if not turned:
        return text(x, y, words, "ink", "middle")
    return element("text", words, class_="ink", transform=f"translate({x - 2:.1f} {y:.1f}) rotate(-42)")


def _cell(label: str, arm: str, entry: Found | None, x: float, y: float, width: float, most: float) -> Markup:
    """One gain; bold where its interval excludes zero."""
    box = {"x": x + 1.5, "y": y + 1.5, "width": max(width - 3, 1.0), "height": 27, "rx": 3}
    told = element("title", f"{label}, {name(arm)}: {gain(entry)}")
    if not entry or entry.get("difference") is None:
        return element(
            "g", told, element("rect", **box, class_="empty"), text(x + width / 2, y + 20, "-", "soft", "middle")
        )
    value = float(entry["difference"])
    digits = 1 if text_width("+10.0", SIZE - 1) <= width - 4 else 0
    strength = 0.62 * abs(value) / most if most else 0.0
    filled = element("rect", **box, class_="pos" if value >= 0 else "neg", fill_opacity=f"{strength:.2f}")
    words = _minus(f"{value:+.{digits}f}")
    class_ = "small num strong" if excludes_zero(entry) else "small num"
    return element(
        "g",
        told,
        element("rect", **box, class_="empty"),
        filled,
        text(x + width / 2, y + 19.5, words, class_, "middle"),
    )
