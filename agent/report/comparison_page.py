"""A comparison of arms as one HTML file that needs nothing else: no script, no request, readable offline and printed.

Everything shown comes from the result alone. Strings in it are hostile: they pass `safe` (no control or bidirectional
characters) and are escaped by the template or by `agent.report.svg`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from agent.report.comparison_plots import CLUSTER_ARMS, COLOURS, PAIRS, cluster_gains, forest, learning_curves
from agent.report.comparison_tables import (
    Grid,
    arms_grid,
    clusters_grid,
    curves_grid,
    effort_grid,
    pair_where_grid,
    pairs_grid,
    where_grid,
    yield_grid,
)
from agent.report.comparison_words import (
    command,
    detectable,
    family,
    level,
    methods,
    name,
    ratio,
    scope,
    sentence,
    title,
    unequal,
)
from agent.report.pages import render, write_html
from agent.report.svg import element, mark
from agent.report.terminal import has_hostile, safe

#: Widths that figures are drawn for, in CSS pixels.
WIDE, NARROW = 900.0, 360.0
#: More rows than this are cut; the JSON holds all.
ROWS = 200

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One drawing twice, for wide and for narrow screens, and what stands below it."""

    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True)
class Sheet:
    """A table with a mark before each row (or none)."""

    grid: Grid
    swatches: Sequence[Markup]


def write_page(found: Found, path: Path) -> None:
    """Write ``found`` (what `remedial compare --json` prints) as a page; whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    write_html(path, render_page(found))


def render_page(found: Found) -> str:
    """The page's text; the same for the same result."""
    return render("comparison.html.j2", _context(found))


def _context(found: Found) -> dict[str, Any]:
    colours = {arm["arm"]: at for at, arm in enumerate(found["arms"])}
    curved = list((found.get("curves") or {}).get("arms") or {})
    swatches = [_swatch(at) for at in range(len(found["arms"]))]
    pairs, clusters = len(found["pairs"]), found.get("clusters") or []
    return {
        "title": title(found),
        "headline": name(found["headline"], 1200) if found.get("headline") else None,
        "loud": unequal(found),
        "scope": scope(found),
        "forest": _figure(
            lambda width: forest(found, width),
            f"First arm minus second, in points, with {level(found)} intervals over new items and new runs. Filled "
            "marks: better (circle) or worse (square); hollow diamonds: not distinguishable."
            + (f" {family(found)}" if pairs > 1 else "")
            + (f" The first {PAIRS} of {pairs} pairs are drawn." if pairs > PAIRS else ""),
        ),
        "pairs": _sheet(pairs_grid(found)),
        "arms": _sheet(arms_grid(found), swatches),
        "spent": [_sheet(grid, swatches) for grid in (effort_grid(found), yield_grid(found)) if grid],
        "where": _sheet(where_grid(found), swatches),
        "pair_where": _sheet(pair_where_grid(found)),
        "curves": _figure(
            lambda width: learning_curves(found, width, colours),
            f"Bars: {level(found)} intervals over seeds. Points of one budget are set side by side where they would "
            "hide each other.",
        ),
        "curve_table": _sheet(curves_grid(found), [_swatch(colours.get(arm, at)) for at, arm in enumerate(curved)]),
        "ratios": [sentence(ratio(entry)) for entry in ((found.get("curves") or {}).get("ratios") or [])[:ROWS]],
        "ratio_level": level(found),
        "clusters": _figure(
            lambda width: cluster_gains(found, width),
            f"Blue: gained, orange: lost; the stronger, the more. Bold: the {level(found)} interval excludes 0 (not "
            "corrected for the number of cells). Point at a cell for its interval."
            + (f" The first {CLUSTER_ARMS} arms are drawn." if len(found["arms"]) > CLUSTER_ARMS and clusters else ""),
        ),
        "cluster_table": _sheet(clusters_grid(found)),
        "notes": [sentence(note) for note in found["notes"]],
        "detectable": detectable(found),
        "methods": methods(found),
        "command": command(found),
        "config": _yaml(found.get("config")),
        "versions": [(name(key), name(value)) for key, value in (found.get("versions") or {}).items()],
    }


def _figure(draw: Callable[[float], Markup | None], caption: str) -> Figure | None:
    wide, narrow = draw(WIDE), draw(NARROW)
    return None if wide is None or narrow is None else Figure(wide, narrow, caption)


def _sheet(grid: Grid | None, swatches: Sequence[Markup] = ()) -> Sheet | None:
    """A table of at most `ROWS` rows."""
    if grid is None or not grid.rows:
        return None
    if len(grid.rows) > ROWS:
        more = f"the first {ROWS} of {len(grid.rows):,} rows; --json holds all"
        grid = replace(grid, rows=grid.rows[:ROWS], note=f"{grid.note}; {more}" if grid.note else more)
    return Sheet(grid, swatches)


def _swatch(at: int) -> Markup:
    """The mark of an arm, as in the figures."""
    drawn = element("g", mark(0, 0, at, class_="point"), class_=f"c{at % COLOURS}")
    return element("svg", drawn, class_="swatch", viewBox="-7 -7 14 14", aria_hidden="true")


def _yaml(config: object) -> str | None:
    """The configuration as YAML that reads back to the same; characters that could deceive are written as escapes."""
    if not config:
        return None
    plain = json.loads(json.dumps(config, default=str))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)
    if has_hostile(text):
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=False, width=110)
    return safe(text, 200_000)
