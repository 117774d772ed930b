"""Difference in differences: did one arm beat another by more on the targeted items than on the others?

Takes two arms' tables of zeros and ones, (items, seeds), and which items are targeted; knows nothing of files or
reports. Light: numpy, and scipy where it is needed. Shares in [0, 1]; the result is in [-2, 2].

The estimate is one weighted sum of the items: 1 / (number of targeted) for each targeted item, -1 / (number of others)
for each other. Everything in `eval.crossed` holds for weighted sums too, so the same rule gives the interval:

- items are other items in the two groups, so their parts of the variance add;
- **each run is in both groups**, and a run that is good on the one is mostly good on the other. Its part is therefore
  taken from the runs' own differences, targeted minus others: one number for each run, whose variance over runs holds
  both groups' run components and their covariance, whatever it is, without estimating it;
- the item-by-run residual, which both parts hold, comes off once.

A single run on both sides has no run component: the interval adds the two groups' Newcombe intervals as in Zou and
Donner (2008, Statistics in Medicine 27:1693-1702), and p is the level at which it first touches 0. As in
`eval.crossed`, an arm with one run (the student before training, say) is taken as that very model. docs/statistics.md
has the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np

from eval.crossed import Parts, Table, residual_variance, standard_error
from eval.stats import paired_difference

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class DifferenceInDifferences:
    """(``a`` minus ``b`` on the targeted items) minus (``a`` minus ``b`` on the others).

    ``method``, ``se``, ``df`` and ``runs_alike`` as in `eval.crossed.Comparison`.
    """

    difference: float
    low: float
    high: float
    p: float
    targeted: float
    untargeted: float
    method: Literal["crossed", "single"]
    se: float | None = None
    df: float | None = None
    runs_alike: bool | None = None


def contrast_parts(a: Table, b: Table, targeted: Mask) -> Parts:
    """Variance components of the difference in differences, (..., items, seeds of each arm), mask (items,).

    ``n`` is the smaller group's: what the degrees of freedom of the items come to at least.
    """
    groups = [np.flatnonzero(targeted), np.flatnonzero(~targeted)]
    items, several = np.zeros(()), [cells for cells in (a, b) if cells.shape[-1] > 1]
    runs, residuals = [], []
    for group in groups:
        of_items = a[..., group, :].mean(axis=-1) - b[..., group, :].mean(axis=-1)
        items = items + of_items.var(axis=-1, ddof=1) / group.size
    for cells in several:
        seeds = cells.shape[-1]
        one, other = (cells[..., group, :] for group in groups)
        runs.append((one.mean(axis=-2) - other.mean(axis=-2)).var(axis=-1, ddof=1) / seeds)
        residuals.append((residual_variance(one) / groups[0].size + residual_variance(other) / groups[1].size) / seeds)
    return Parts(
        n=min(group.size for group in groups),
        items=np.asarray(items),
        runs=tuple(runs),
        residuals=tuple(residuals),
        dfs=tuple(cells.shape[-1] - 1 for cells in several),
    )


def difference_in_differences(a: Table, b: Table, targeted: Mask, alpha: float = 0.05) -> DifferenceInDifferences:
    """How much more ``a`` gains over ``b`` on ``targeted`` items than on the others, with interval and p-value.

    Args:
        a: zeros and ones, (items, seeds).
        b: the same items in the same order; the number of seeds may differ.
        targeted: (items,), true where an item's skill was targeted; at least two true and two false.
        alpha: one minus the interval's level.

    Raises:
        ValueError: other shapes, a group of fewer than two items, or values that are not 0 or 1.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0] or not (a.shape[1] and b.shape[1]):
        raise ValueError(f"arms are (items, seeds) on the same items, not {a.shape} and {b.shape}")
    if targeted.dtype != np.bool_ or targeted.shape != a.shape[:1]:
        raise ValueError(f"the mask holds true or false for each of {a.shape[0]} items")
    if min(int(targeted.sum()), int((~targeted).sum())) < 2:
        raise ValueError("a difference in differences needs two targeted items and two others, at least")
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("cells are 0 or 1")
    on, off = (float(a[group].mean() - b[group].mean()) for group in (targeted, ~targeted))
    difference = on - off
    copies = all(bool((cells == cells[:, :1]).all()) for cells in (a, b))
    error = None if copies else standard_error(contrast_parts(a, b, targeted))
    # No error at all: every run has the same contrast and no residual, so that the first run says what all say.
    if error is None or float(error.se) == 0:
        one, other = a[:, 0].astype(np.int64), b[:, 0].astype(np.int64)
        low, high = _added_intervals(one, other, targeted, alpha)
        return DifferenceInDifferences(
            difference, low, high, _p_of_intervals(one, other, targeted, difference), on, off, "single"
        )
    from scipy.special import stdtr, stdtrit

    se, df = float(error.se), float(error.df)
    half = float(stdtrit(df, 1 - alpha / 2)) * se
    low, high = max(-2.0, difference - half), min(2.0, difference + half)
    p = float(2 * stdtr(df, -abs(difference) / se))
    return DifferenceInDifferences(difference, low, high, p, on, off, "crossed", se, df, bool(error.runs_alike))


def _added_intervals(a: np.ndarray, b: np.ndarray, targeted: Mask, alpha: float) -> tuple[float, float]:
    on, on_low, on_high = paired_difference(a[targeted], b[targeted], conf=1 - alpha)
    off, off_low, off_high = paired_difference(a[~targeted], b[~targeted], conf=1 - alpha)
    low = on - off - sqrt((on - on_low) ** 2 + (off_high - off) ** 2)
    high = on - off + sqrt((on_high - on) ** 2 + (off - off_low) ** 2)
    return low, high


def _p_of_intervals(a: np.ndarray, b: np.ndarray, targeted: Mask, difference: float) -> float:
    """The largest level at which the interval holds 0, by halving on the logarithm."""
    if difference == 0:
        return 1.0
    low, high = -15.0, 0.0  # beyond, a level is 1 to the last digit
    for _ in range(50):
        middle = (low + high) / 2
        limits = _added_intervals(a, b, targeted, 10**middle) if middle < 0 else (difference, difference)
        low, high = (middle, high) if limits[0] <= 0 <= limits[1] else (low, middle)
    return float(10 ** ((low + high) / 2))
