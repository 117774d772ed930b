"""Learning curves of the arms that were run at several budgets, and the budget ratios at equal accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agent.comparison.design import Design, Unit
from agent.comparison.reading import scores_at
from eval.crossed import arm_mean
from eval.curves import budget_ratio
from memory.ids import derive_seed


def curves(folder: Path, design: Design, units: list[Unit], items: tuple[str, ...]) -> dict[str, Any] | None:
    """Means by budget, and how much more of it each arm needs than the first curve arm; None with one budget only."""
    if len(design.all_budgets) < 2:
        return None
    by_budget = {budget: scores_at(folder, design, units, budget, items) for budget in design.all_budgets}
    tables: dict[str, dict[float, np.ndarray]] = {}
    points: dict[str, list[dict[str, Any]]] = {}
    for arm in design.curve_arms:
        tables[arm] = {budget: scores.tables[arm] for budget, scores in by_budget.items() if arm in scores.tables}
        points[arm] = []
        for budget, cells in tables[arm].items():
            mean, low, high = arm_mean(cells, design.alpha)
            points[arm].append({"budget": budget, "seeds": cells.shape[1], **_points(mean, low, high)})
    ratios = []
    first = design.curve_arms[0]
    for arm in design.curve_arms[1:]:
        if min(len(tables[arm]), len(tables[first])) < 2:
            continue
        seed = derive_seed("budget ratio", arm, first)
        found = budget_ratio(tables[arm], tables[first], seed=seed, conf=1 - design.alpha)
        ratios.append(
            {"a": arm, "b": first, **vars(found), "level": _share(found.level), "run_sd": _share(found.run_sd)}
        )
    return {"budgets": list(design.all_budgets), "arms": points, "ratios": ratios}


def _points(mean: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"mean": _share(mean), "low": _share(low), "high": _share(high)}


def _share(value: float | None) -> float | None:
    """In points."""
    return None if value is None else 100 * value
