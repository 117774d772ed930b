"""The result of a comparison that was run: tables, parity, efficiency and gains by region, as plain data in points.

Owns what is said of equal budgets. Statistics are `eval.crossed`'s and `eval.curves`'; views are `agent.report`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agent.comparison.curves import curves
from agent.comparison.design import Design, Unit, chosen_pairs
from agent.comparison.reading import Regions, Used, base_right, finished, regions, scores_at, unit_right, used
from agent.comparison.tables import Choice, compare_tables
from agent.config import RunConfig
from agent.report.comparison_csv import ScoreRow, write_scores
from agent.report.comparison_page import write_page
from eval.crossed import Comparison, compare
from eval.did import DifferenceInDifferences, difference_in_differences
from eval.scores import Scores
from eval.stats import wilson
from memory.store import write_atomic

RESULT, PAGE, SCORES, ALL_SCORES = "result.json", "report.html", "scores.csv", "scores-all.csv"
#: Training tokens of two arms are equal within this share.
TOKEN_PARITY = 0.01
CLUSTERS = 16
#: Fewer test items than this in a cluster say nothing.
CLUSTER_ITEMS = 5


def assemble(folder: Path, config: RunConfig, design: Design, command: str) -> dict[str, Any]:
    """Everything ``--json`` holds, from the finished units.

    Raises:
        UsageError: no unit is finished.
    """
    units = finished(folder, design)
    base = base_right(folder, design)
    items = tuple(sorted(base))
    zero = np.array([[base[item]] for item in items], dtype=np.float64)  # (items, 1)
    scores = scores_at(folder, design, units, design.budget, items)
    spent = {unit: used(folder, unit) for unit in units}
    where = regions(folder, design, items)
    arms = list(scores.tables)
    pairs = chosen_pairs(arms, design.pairs)
    choice = Choice(tuple(arms), design.baseline, design.alpha)
    found = compare_tables(scores, arms, pairs, choice)
    main = [unit for unit in units if unit.budget == design.budget]
    marks = parity(spent)
    for entry in found["arms"]:
        entry |= _arm(entry["arm"], scores, zero, where, main, spent, marks, design)
    for entry in found["pairs"]:
        a, b = scores.tables[entry["a"]], scores.tables[entry["b"]]
        entry["did"] = _did(a, b, where, design.alpha)
    low, high = wilson(int(zero.sum()), len(items), 1 - design.alpha)
    missing = len(design.units) - len(units)
    if missing:
        found["notes"].insert(
            0, f"{missing} of {len(design.units)} units are not finished; the numbers are of the rest"
        )
    return {
        "headline": headline(marks, spent, design, missing),
        "file": str(folder),
        "benchmark": "test",
        "seeds": list(design.seeds),
        "budget": design.budget,
        "rounds": design.rounds,
        "base": {"mean": 100 * float(zero.mean()), "low": 100 * low, "high": 100 * high},
        **found,
        "clusters": _clusters(scores, zero, where, design.alpha),
        "curves": curves(folder, design, units, items),
        "config": yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))),
        "command": command,
        "seconds": round(sum(item.seconds for item in spent.values()), 1),
    }


def write_result(folder: Path, design: Design, found: dict[str, Any]) -> None:
    """Keep the result beside the units: as JSON, as a page, and each answer as a row of CSV files.

    ``scores.csv`` holds the main budget, ``scores-all.csv`` all of them where there are several.
    """
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / RESULT, text + "\n")
    write_page(found, folder / PAGE)
    rows = _rows(folder, design)
    write_scores([row for row in rows if row.budget == design.budget], folder / SCORES)
    if len(design.all_budgets) > 1:
        write_scores(rows, folder / ALL_SCORES)


def _rows(folder: Path, design: Design) -> list[ScoreRow]:
    """Item by item what every finished unit had right."""
    items = tuple(sorted(base_right(folder, design)))
    where = regions(folder, design, items)
    rows = []
    for unit in finished(folder, design):
        right = unit_right(folder, unit)
        for at, item in enumerate(items):
            inside = int(where.of_item[at])
            rows.append(
                ScoreRow(
                    item, unit.arm, unit.seed, bool(right[item]), unit.budget, bool(where.targeted[at]),
                    where.clusters[inside].label if inside >= 0 else None,
                )
            )  # fmt: skip
    return rows


def parity(spent: Mapping[Unit, Used]) -> dict[Unit, list[str]]:
    """What is not equal about each unit: ``dry`` (fewer new examples than wanted), ``tokens`` (more than 1 % off).

    The tokens of a unit are held against the median of all units of its budget.
    """
    marks: dict[Unit, list[str]] = {unit: [] for unit in spent}
    for budget in {unit.budget for unit in spent}:
        of_budget = {unit: item for unit, item in spent.items() if unit.budget == budget}
        middle = float(np.median([item.train_tokens for item in of_budget.values()]))
        for unit, item in of_budget.items():
            if item.new < item.wanted:
                marks[unit].append("dry")
            if abs(item.train_tokens - middle) > TOKEN_PARITY * middle:
                marks[unit].append("tokens")
    return marks


def headline(marks: Mapping[Unit, Sequence[str]], spent: Mapping[Unit, Used], design: Design, missing: int) -> str:
    """The first line of every output: whether the budgets are equal, and where they are not."""
    faults = []
    for arm in design.arms:
        for budget in design.all_budgets:
            of_arm = [unit for unit in spent if unit.arm == arm and unit.budget == budget]
            dry = [unit for unit in of_arm if "dry" in marks[unit]]
            if dry:
                least, wanted = min(spent[unit].new for unit in dry), spent[dry[0]].wanted
                worst = f"{least:,} of {wanted:,} new examples in the worst of {len(dry)} unit(s)"
                faults.append(f"{arm} ran dry at {budget:,} ({worst})")
            off = [unit for unit in of_arm if "tokens" in marks[unit]]
            if off:
                faults.append(f"{arm} at {budget:,} trained on other numbers of tokens in {len(off)} unit(s)")
    rest = f" ({missing} unit(s) unfinished)" if missing else ""
    if faults:
        return f"UNEQUAL BUDGETS: {'; '.join(faults)}{rest}"
    tokens = [item.train_tokens for unit, item in spent.items() if unit.budget == design.budget]
    spread = 100 * (max(tokens) / min(tokens) - 1) if min(tokens) else 0.0
    control = "; replay has none, as the control" if "replay" in design.arms else ""
    return (
        f"Equal budgets: {design.budget:,} new examples a round{control}; training tokens within {spread:.2f} %; "
        f"same student, teacher and checks{rest}"
    )


def _points(found: Comparison | DifferenceInDifferences) -> dict[str, float]:
    return {
        "difference": 100 * found.difference, "low": 100 * found.low, "high": 100 * found.high, "p": found.p,
    }  # fmt: skip


def _change(cells: np.ndarray, other: np.ndarray, chosen: np.ndarray, alpha: float) -> dict[str, Any] | None:
    """The change on some items; None where they are too few to compare."""
    if int(chosen.sum()) < CLUSTER_ITEMS:
        return None
    return {"items": int(chosen.sum()), **_points(compare(cells[chosen], other[chosen], alpha))}


def _did(a: np.ndarray, b: np.ndarray, where: Regions, alpha: float) -> dict[str, float] | None:
    if min(int(where.targeted.sum()), int((~where.targeted).sum())) < CLUSTER_ITEMS:
        return None
    return _points(difference_in_differences(a, b, where.targeted, alpha))


def _arm(
    arm: str,
    scores: Scores,
    zero: np.ndarray,
    where: Regions,
    units: Sequence[Unit],
    spent: Mapping[Unit, Used],
    marks: Mapping[Unit, Sequence[str]],
    design: Design,
) -> dict[str, Any]:
    """What one arm gained, where, and at what price; means over its runs."""
    cells = scores.tables[arm]
    of_arm = [unit for unit in units if unit.arm == arm]
    mean = {
        name: float(np.mean([getattr(spent[unit], name) for unit in of_arm]))
        for name in ("new", "drafted", "accepted", "tokens", "train_tokens")
    }
    change = _points(compare(cells, zero, design.alpha))
    gain = change["difference"]

    def per(name: str, unit: float) -> float | None:
        return gain / (mean[name] / unit) if mean[name] else None

    return {
        "change": change,
        "marks": sorted({mark for unit in of_arm for mark in marks[unit]}),
        "requested": max(spent[unit].wanted for unit in of_arm),
        "new_examples": mean["new"],
        "drafted": mean["drafted"],
        "accepted": mean["accepted"],
        "train_tokens": mean["train_tokens"],
        "teacher_tokens": mean["tokens"],
        "per_1000_accepted": per("new", 1_000),
        "per_1000_generated": per("drafted", 1_000),
        "per_million_teacher_tokens": per("tokens", 1_000_000),
        "per_million_train_tokens": per("train_tokens", 1_000_000),
        "targeted": _change(cells, zero, where.targeted, design.alpha),
        "untargeted": _change(cells, zero, ~where.targeted, design.alpha),
        "did": _did(cells, zero, where, design.alpha),
    }


def _clusters(scores: Scores, zero: np.ndarray, where: Regions, alpha: float) -> list[dict[str, Any]]:
    """The change over the base in each cluster, largest clusters first."""
    found: list[dict[str, Any]] = []
    for at, weakness in enumerate(where.clusters):
        chosen = where.of_item == at
        gains = {arm: _change(cells, zero, chosen, alpha) for arm, cells in scores.tables.items()}
        if all(gain is not None for gain in gains.values()):
            found.append({"label": weakness.label, "items": int(chosen.sum()), "gains": gains})
    return sorted(found, key=lambda item: -item["items"])[:CLUSTERS]
