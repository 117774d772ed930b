"""A comparison of arms on a terminal. Names come from a file and are printed without markup or control characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.comparison_tables import (
    Grid,
    arms_grid,
    curves_grid,
    effort_grid,
    pairs_grid,
    where_grid,
    yield_grid,
)
from agent.report.comparison_words import (
    count,
    detectable,
    excludes_zero,
    family,
    level,
    name,
    ratio,
    scope,
    sentence,
    unequal,
)
from agent.report.terminal import plain_table, safe

#: Clusters and arms of the table of gains.
CLUSTERS = 8
CLUSTER_WIDTH = 28


def print_comparison(found: Mapping[str, Any], console: Console) -> None:
    """Headline, arms, pairs, efficiency, regions, curves, clusters, and what must be known to read them.

    The pairs' differences in differences are in the page and the JSON only.
    """
    if found.get("headline"):
        style = "bold red" if unequal(found) else "bold"
        console.print(Text(name(found["headline"], 2000), style=style), soft_wrap=True)
        console.print(
            Text("; ".join(f"{term.lower()}: {text}" for term, text in scope(found) if term != "Arms")), soft_wrap=True
        )
    else:
        console.print(Text(f"{safe(found['file'])}: {found['items']:,} items"), soft_wrap=True)
    arms = arms_grid(found)
    if found.get("headline"):
        arms = arms.without("p")
    for grid in (arms, pairs_grid(found), effort_grid(found), yield_grid(found), where_grid(found)):
        _print(grid, console)
    _print(curves_grid(found), console)
    ratios = (found.get("curves") or {}).get("ratios") or []
    for entry in ratios:
        console.print(Text(sentence(ratio(entry))), soft_wrap=True)
    if found.get("clusters"):
        _print(_clusters(found, console.width), console)
    for line in (family(found), detectable(found)):
        if line is not None:
            console.print(Text(line), soft_wrap=True)
    for note in found["notes"]:
        console.print(Text(f"Note: {sentence(note)}"), soft_wrap=True)


def _print(grid: Grid | None, console: Console) -> None:
    """One table; the columns of words may wrap, numbers may not."""
    if grid is None:
        return
    table = plain_table(grid.title)
    for heading in grid.headings:
        words = heading in grid.text
        table.add_column(Text(heading), no_wrap=not words, overflow="fold", justify="left" if words else "right")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    console.print(table)
    if grid.note:
        console.print(Text(f"{grid.note}\n"), soft_wrap=True)


def _clusters(found: Mapping[str, Any], width: int) -> Grid:
    """The largest clusters, as many arms as fit; whole intervals are in the page and the JSON."""
    arms = [arm["arm"] for arm in found["arms"]]
    shown: list[str] = []
    room = width - CLUSTER_WIDTH - 7
    for arm in arms:
        room -= max(len(name(arm)), 6) + 1
        if room < 0 and shown:
            break
        shown.append(arm)
    rows = tuple(
        (
            name(cluster["label"], CLUSTER_WIDTH - 3),
            count(cluster["items"]),
            *(_starred((cluster.get("gains") or {}).get(arm)) for arm in shown),
        )
        for cluster in found["clusters"][:CLUSTERS]
    )
    left = [
        f"{number} further {what}"
        for number, what in (
            (len(found["clusters"]) - len(rows), "clusters"),
            (len(arms) - len(shown), "arms"),
        )
        if number
    ]
    note = f"*: the {level(found)} interval excludes 0"
    note += f"; {' and '.join(left)} with all intervals: --html or --json" if left else ""
    title = "change over the base by cluster, in points"
    return Grid(title, ("cluster", "items", *(name(arm) for arm in shown)), rows, note=note)


def _starred(entry: Mapping[str, Any] | None) -> str:
    if not entry or entry.get("difference") is None:
        return "-"
    return f"{entry['difference']:+.1f}" + ("*" if excludes_zero(entry) else " ")
