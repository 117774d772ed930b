"""Arms of an experiment against each other: the numbers behind `remedial compare`, in points.

Owns which pairs are compared, what must be said about them, and the shape of the result. The statistics are
`eval.crossed`'s; printing is `agent.report.comparison`'s.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from eval.crossed import Comparison, arm_mean, compare, disagreement, holm, run_variance, verdict
from eval.power import Plan, detectable_effect
from eval.scores import Scores, read_scores
from memory.errors import DataError, UsageError

#: Power of the minimum detectable effect.
POWER = 0.8


@dataclass(frozen=True)
class Choice:
    """Which arms (None: all in the file) and pairs (with the baseline only, where there is one) are compared."""

    arms: tuple[str, ...] | None = None
    baseline: str | None = None
    alpha: float = 0.05


def compare_scores(path: Path, choice: Choice) -> dict[str, Any]:
    """The comparison of the arms in ``path`` as plain data, all numbers but p-values in points.

    Raises:
        DataError: the file is wrong or has too little in it.
        UsageError: an arm that is not there, or no pair to compare.
    """
    scores = read_scores(path)
    if len(scores.items) < 2:
        raise DataError(f"{path}: one item only; a comparison needs at least two")
    arms = _arms(scores, choice)
    return {"file": str(path), **compare_tables(scores, arms, _pairs(scores, arms, choice), choice)}


def compare_tables(
    scores: Scores, arms: Sequence[str], pairs: Sequence[tuple[str, str]], choice: Choice
) -> dict[str, Any]:
    """Arms and pairs as plain data, all numbers but p-values in points."""
    compared = [compare(scores.tables[a], scores.tables[b], choice.alpha) for a, b in pairs]
    adjusted = holm([one.p for one in compared])
    return {
        "items": len(scores.items),
        "alpha": choice.alpha,
        "baseline": choice.baseline,
        "arms": [_arm(scores, arm, choice.alpha) for arm in arms],
        "pairs": [
            _pair(a, b, one, p_holm, choice.alpha)
            for (a, b), one, p_holm in zip(pairs, compared, adjusted, strict=True)
        ],
        "detectable": _detectable(scores, arms, len(pairs), choice.alpha),
        "notes": _notes(scores, arms, pairs),
    }


def _arms(scores: Scores, choice: Choice) -> list[str]:
    """The arms as the user orders them, or by falling mean."""
    there = list(scores.tables)
    named = [*(choice.arms or ()), *([choice.baseline] if choice.baseline is not None else [])]
    for arm in named:
        if arm not in scores.tables:
            near = difflib.get_close_matches(arm, there, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Arms in the file: {', '.join(there)}."
            raise UsageError(f"no arm {arm!r} in the scores. {hint}")
    if choice.arms is None:
        arms = sorted(there, key=lambda arm: -float(scores.tables[arm].mean()))
    else:
        if len(set(choice.arms)) < len(choice.arms):
            raise UsageError(f"--arms names an arm twice: {', '.join(choice.arms)}")
        arms = list(choice.arms)
        if choice.baseline is not None and choice.baseline not in arms:
            arms.append(choice.baseline)
    if len(arms) < 2:
        raise UsageError(f"a comparison needs two arms; there is only {arms[0]!r}")
    return arms


def _pairs(scores: Scores, arms: Sequence[str], choice: Choice) -> list[tuple[str, str]]:
    if choice.baseline is not None:
        return [(arm, choice.baseline) for arm in arms if arm != choice.baseline]
    return list(combinations(arms, 2))


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _arm(scores: Scores, arm: str, alpha: float) -> dict[str, Any]:
    mean, low, high = arm_mean(scores.tables[arm], alpha)
    return {
        "arm": arm,
        "seeds": len(scores.seeds[arm]),
        "mean": _points(mean),
        "low": _points(low),
        "high": _points(high),
        "within_arm_disagreement": _points(disagreement(scores.tables[arm])),
    }


def _pair(a: str, b: str, found: Comparison, p_holm: float, alpha: float) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "difference": _points(found.difference),
        "low": _points(found.low),
        "high": _points(found.high),
        "se": _points(found.se),
        "df": found.df,
        "p": found.p,
        "p_holm": p_holm,
        "verdict": verdict(found.difference, p_holm, alpha),
        "method": found.method,
        "runs_alike": found.runs_alike,
    }


def _detectable(scores: Scores, arms: Sequence[str], pairs: int, alpha: float) -> dict[str, Any] | None:
    """What a next comparison of this size would find, from the arms that tell of their runs; None where none does."""
    told = [scores.tables[arm] for arm in arms if scores.tables[arm].shape[1] > 1]
    apart = float(np.mean([disagreement(cells) for cells in told])) if told else 0.0
    if apart == 0:
        return None
    seeds = min(cells.shape[1] for cells in told)
    between = min(max(0.0, float(np.mean([run_variance(cells) for cells in told]))), 0.49 * apart)
    plan = Plan(len(scores.items), seeds, apart, between)
    return detectable(plan, pairs, alpha)


def detectable(plan: Plan, pairs: int, alpha: float) -> dict[str, Any]:
    """What a comparison of this size would find, in points; None where even the largest difference is not found."""
    effects = {
        "one_pair": detectable_effect(plan, POWER, alpha),
        "all_pairs": detectable_effect(plan, POWER, alpha, pairs),
    }
    return {
        "seeds": plan.seeds,
        "disagreement": _points(plan.disagreement),
        "run_sd": _points(plan.run_variance**0.5),
        "power": POWER,
        **{name: _points(effect) if isfinite(effect) else None for name, effect in effects.items()},
    }


def _notes(scores: Scores, arms: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What a reader must know before believing a row."""
    notes = []
    single = [arm for arm in arms if len(scores.seeds[arm]) == 1]
    if single:
        notes.append(
            f"one seed only: {', '.join(single)}. Nothing tells how far its next run would lie; its pairs stand for "
            "this very run"
        )
    if any(a in single and b in single for a, b in pairs):
        notes.append(
            "two single runs are compared over items only (McNemar's exact test, Newcombe's interval): a difference "
            "says that these two models differ, not that the methods behind them do"
        )
    two = [arm for arm in arms if len(scores.seeds[arm]) == 2]
    if two:
        notes.append(f"two seeds only: {', '.join(two)}. Their intervals are wide where the two runs lie apart")
    for arm in arms:
        if disagreement(scores.tables[arm]) == 0:
            notes.append(
                f"all runs of {arm} are the same in every cell: were the seeds used? They count as they are given"
            )
    for a, b in combinations(arms, 2):
        if _same_runs(scores.tables[a], scores.tables[b]):
            notes.append(f"identical arms: {a} and {b} are the same in every cell; is it one result under two names?")
    return notes


def _same_runs(a: np.ndarray, b: np.ndarray) -> bool:
    """The same runs, in whatever order."""
    return a.shape == b.shape and sorted(map(bytes, a.T.astype(np.uint8))) == sorted(map(bytes, b.T.astype(np.uint8)))
