"""Arms compared on the same items over several seeds: variance components, a t interval, McNemar, Holm.

Takes tables of zeros and ones, (items, seeds), one for each arm; knows nothing of files or reports. Light: numpy, and
scipy where it is needed. All shares and differences are in [0, 1] and [-1, 1], not in points.

Items are shared by all arms, seeds are not: seed 1 of one arm and seed 1 of another are different runs. The model of
one cell is ``arm mean + item + item by arm + run + residual``, all but the first random, so that a difference of two
arms stands for *new items of the same kind and new runs*, not for these items or these runs only. Its variance is

    T_I + T_S - T_R,

where T_I is the variance of the items' differences over n, T_S the variance of the run means over the number of
runs, added over both arms, and T_R the item-by-run residual, which T_I and T_S both hold and which a two-way bootstrap
without correction counts twice or more (Owen 2007, Annals of Applied Statistics 1:386-411; Cameron, Gelbach and
Miller 2011, Journal of Business & Economic Statistics 29:238-249).

T_S is known from a handful of runs, so a t interval on the whole of it is wide and, where runs in truth do not differ,
needlessly so. `standard_error` therefore asks first whether T_S is more than the residual explains, and leaves the run
component out where it is not (a preliminary test: Bancroft 1944, Annals of Mathematical Statistics 15:190-204;
Bozivich, Bancroft and Hartley 1956, same journal 27:1017-1043). The two constants below were chosen so that the level
holds for every size of the run component, not only for none; docs/statistics.md has the table and what was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from eval.stats import mcnemar, paired_difference

Table = np.ndarray[Any, np.dtype[np.float64]]
Array = np.ndarray[Any, np.dtype[np.float64]]
Verdict = Literal["better", "worse", "not distinguishable"]


class ArmMean(NamedTuple):
    """Mean of an arm with the t interval over its runs; without limits where there is one run only."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Parts:
    """What the variance of a difference is made of; squares of standard errors, of many comparisons where arrays.

    ``runs``, ``residuals`` and ``dfs`` hold one entry for each arm that has more than one run. An arm with one run is
    taken as it is: the difference then stands for that very model.
    """

    n: int
    items: Array
    runs: tuple[Array, ...]
    residuals: tuple[Array, ...]
    dfs: tuple[int, ...]


class Error(NamedTuple):
    """Standard error, its degrees of freedom, and whether the run component was left out."""

    se: Array
    df: Array
    runs_alike: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Comparison:
    """Mean of one arm minus that of another.

    ``method`` is ``crossed`` (items and runs, t interval with ``df`` degrees of freedom) or ``single`` (one run on
    each side: McNemar's exact test and Newcombe's interval, over items only; no ``se`` and no ``df``).
    ``runs_alike``: the runs of an arm differ no more than the residual explains, so their component was left out.
    """

    difference: float
    low: float
    high: float
    p: float
    method: Literal["crossed", "single"]
    se: float | None = None
    df: float | None = None
    runs_alike: bool | None = None


def pretest_level(df: Array) -> Array:
    """Level of the preliminary test on ``df`` degrees of freedom: the fewer, the less a quiet T_S is believed."""
    return np.minimum(0.5, 0.12 + 0.64 / df)


#: Where the run component is left out, the t quantile has no more than this many degrees of freedom: it pays for the
#: components that the preliminary test overlooks.
ALIKE_DF = 50.0


def arm_mean(cells: Table, alpha: float = 0.05) -> ArmMean:
    """Mean of ``cells``, (items, seeds), with the t interval over its run means: new runs on the same items."""
    from scipy.special import stdtrit

    mean = float(cells.mean())
    seeds = cells.shape[1]
    if seeds < 2:
        return ArmMean(mean, None, None)
    half = float(stdtrit(seeds - 1, 1 - alpha / 2) * np.sqrt(cells.mean(axis=0).var(ddof=1) / seeds))
    return ArmMean(mean, max(0.0, mean - half), min(1.0, mean + half))


def disagreement(cells: Table) -> float | None:
    """Share of items on which two runs of an arm differ, over all pairs of runs; None where there is one run."""
    seeds = cells.shape[1]
    if seeds < 2:
        return None
    right = cells.sum(axis=1)
    return float((right * (seeds - right)).mean() / (seeds * (seeds - 1) / 2))


def residual_variance(cells: Table) -> Array:
    """Mean square of what neither the item nor the run explains, for tables of zeros and ones, (..., items, seeds)."""
    n, seeds = cells.shape[-2:]
    by_item, by_run = _sums(cells)
    total = by_item.sum(axis=-1)  # the sum of squares too, for zeros and ones
    square = total - (by_item**2).sum(axis=-1) / seeds - (by_run**2).sum(axis=-1) / n + total**2 / (n * seeds)
    return np.asarray(np.maximum(0.0, square / ((n - 1) * (seeds - 1))))


def _sums(cells: Table) -> tuple[Array, Array]:
    return cells.sum(axis=-1).astype(np.float64), cells.sum(axis=-2).astype(np.float64)


def run_variance(cells: Table) -> float:
    """Variance of the true means of an arm's runs, residual taken off; negative where chance has it so."""
    return float(cells.mean(axis=0).var(ddof=1) - residual_variance(cells) / cells.shape[0])


def parts(a: Table, b: Table) -> Parts:
    """Variance components of the difference of two arms on the same items, (..., items, seeds of each arm)."""
    n = a.shape[-2]
    (a_item, a_run), (b_item, b_run) = _sums(a), _sums(b)
    several = [(cells, run) for cells, run in ((a, a_run), (b, b_run)) if cells.shape[-1] > 1]
    return Parts(
        n=n,
        items=(a_item / a.shape[-1] - b_item / b.shape[-1]).var(axis=-1, ddof=1) / n,
        runs=tuple((run / n).var(axis=-1, ddof=1) / cells.shape[-1] for cells, run in several),
        residuals=tuple(residual_variance(cells) / (n * cells.shape[-1]) for cells, _ in several),
        dfs=tuple(cells.shape[-1] - 1 for cells, _ in several),
    )


def standard_error(found: Parts) -> Error:
    """The standard error of the difference and its degrees of freedom.

    Satterthwaite (1946), Biometrics Bulletin 2:110-114, where the run component is in it.
    """
    from scipy.special import fdtrc

    t_i, t_s, t_r = found.items, _added(found.runs), _added(found.residuals)
    nu = sum(found.dfs)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Degrees of freedom of T_S where there is no run component: the residuals say how the arms weigh in it.
        weighed = t_r**2 / _added([r**2 / df for r, df in zip(found.residuals, found.dfs, strict=True)])
        nu_alike = np.where(t_r > 0, weighed, nu)
        ratio = np.where(t_s > 0, t_s / t_r, 0.0)
        alike = fdtrc(nu_alike, nu * (found.n - 1), ratio) > pretest_level(nu_alike)
        # T_I holds the residual. Far below it, the arms are copies of each other; a floor at the whole would widen
        # the intervals of honest small samples.
        base = np.maximum(t_i, t_r / 2)
        square = np.where(alike, base, base + np.maximum(0.0, t_s - t_r))
        spread = (t_i**2 + t_r**2 / nu) / (found.n - 1)
        spread = spread + _added([t**2 / df for t, df in zip(found.runs, found.dfs, strict=True)])
        satterthwaite = square**2 / spread
    df = np.where(alike, min(found.n - 1, ALIKE_DF), satterthwaite)
    return Error(np.sqrt(square), df, alike)


def _added(values: Sequence[Array]) -> Array:
    """The sum, with numpy's broadcasting."""
    found = np.zeros(())
    for value in values:
        found = found + value
    return found


def compare(a: Table, b: Table, alpha: float = 0.05) -> Comparison:
    """Mean of ``a`` minus mean of ``b``, with a 1 - ``alpha`` interval and a two-sided p-value.

    Both are tables of zeros and ones, (items, seeds): the same items in the same order; the numbers of seeds may
    differ. Runs that are copies of one another in both arms count as one run.

    Raises:
        ValueError: other shapes, fewer than two items, or values that are not 0 or 1.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0] or a.shape[0] < 2 or not (a.shape[1] and b.shape[1]):
        raise ValueError(
            f"arms are (items, seeds) on the same items, at least two of them, not {a.shape} and {b.shape}"
        )
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("cells are 0 or 1")
    if _no_spread(a) and _no_spread(b):
        left, right = a[:, 0].astype(np.int64), b[:, 0].astype(np.int64)
        difference, low, high = paired_difference(left, right, conf=1 - alpha)
        p = mcnemar(int((left > right).sum()), int((left < right).sum()))
        return Comparison(difference, low, high, p, "single")
    from scipy.special import stdtr, stdtrit

    difference = float(a.mean() - b.mean())
    error = standard_error(parts(a, b))
    se, df = float(error.se), float(error.df)
    half = float(stdtrit(df, 1 - alpha / 2)) * se
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    p = float(2 * stdtr(df, -abs(difference) / se))
    return Comparison(difference, low, high, p, "crossed", se, df, bool(error.runs_alike))


def _no_spread(cells: Table) -> bool:
    return bool((cells == cells[:, :1]).all())


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, order kept (Holm 1979, Scandinavian Journal of Statistics 6:65-70)."""
    m = len(p_values)
    adjusted = [0.0] * m
    largest = 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def verdict(difference: float, p: float, alpha: float = 0.05) -> Verdict:
    """The word for a difference whose (adjusted) p-value is ``p``."""
    if p > alpha or difference == 0:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"
