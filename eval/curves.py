"""Learning curves over training budgets, and from two of them the budget ratio at equal accuracy.

Takes an arm as a mapping from budget (examples, tokens: any positive amount) to a table of zeros and ones, (items,
seeds): the same items in the same order for all budgets and arms; every column is a run of its own. Knows nothing of
files or reports. Light: numpy. Accuracies are shares in [0, 1].

**What the ratio is.** A curve is the mean accuracy at each budget, made monotone and joined by straight lines in
log2(budget). The ratio r of ``a`` to ``b`` is the factor by which ``b``'s budgets are multiplied for the two curves
to have the same mean accuracy, the mean being taken over the budgets at which both are then known: ``b`` at x against
``a`` at r x. Where one curve is the other moved sideways, that is the ratio at each level of accuracy; otherwise it
is a mean of them, near the middle of what was measured. The ratio at the highest accuracy that both reach is what
people ask for, but hangs on two points only; docs/statistics.md has both by simulation, and the mean of the logarithm
over all levels that both reach.

The difference of the two means falls as r grows, since both curves rise; so there is one r (or one stretch of them,
where curves are flat), and beyond the last budget of ``a`` over the first of ``b`` nothing is known: if ``b`` is
still ahead there, the ratio is *at least* that.

**Its interval** is a percentile bootstrap of the points of both curves. Since the difference at any r is (nearly)
linear in the points, "the draws' r lies below this r" says "the draws' difference at this r lies below zero": the
percentile interval is that of Fieller (1954, Journal of the Royal Statistical Society B 16:175-185), which stays
honest where curves are so flat that the ratio is hardly known, by reaching the bounds.

Resampling items *and* seeds would count the item-by-run residual twice or more (Owen 2007, Annals of Applied
Statistics 1:386-411), and three seeds resampled have two thirds of their variance only. Therefore

- items are resampled, the same ones for every budget of both arms, with all their runs: this holds the items' part,
  what they have in common between points, and the residual, once;
- runs are not. What their means differ by *beyond the residual* is added to each point as normal noise, independent
  for all points. Its variance is that of the run means minus the residual's, pooled over all points with two runs or
  more (three or five seeds alone say too little), so that runs are taken to differ equally at all budgets and in both
  arms. Each draw has its own variance, the run means' times df / chi-square(df): how little is known of it is in the
  interval (Weerahandi 1993, Journal of the American Statistical Association 88:899-905).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from eval.crossed import Array, Table, residual_variance

Bound = Literal["at_least", "at_most"]

#: Differences of accuracy below this are rounding errors.
TINY = 1e-12
#: Cells of one block of resampled items.
CELLS = 4_000_000


@dataclass(frozen=True)
class Curve:
    """Budgets, ascending, and the accuracy at each: ``means`` as measured, ``accuracy`` made monotone."""

    budgets: tuple[float, ...]
    means: tuple[float, ...]
    accuracy: tuple[float, ...]


class Reached(NamedTuple):
    """The smallest budget at which a curve reaches a level, or the bound on it that the curve gives."""

    budget: float
    censored: Bound | None


@dataclass(frozen=True)
class BudgetRatio:
    """Budget of ``a`` over that of ``b`` at equal accuracy.

    ``level`` is the mean accuracy at which they are compared; None where the curves have no level in common.
    ``censored``: the ratio is only known to be at least, or at most, ``ratio``. ``low_censored``: the lower limit is
    ``low`` or less; ``high_censored``: the upper limit is ``high`` or more; the budgets measured tell no more.
    ``run_sd`` is the standard deviation of the true means of runs that went into the interval; None where every point
    has one run: the interval then stands for new items, but for these very runs.
    """

    level: float | None
    ratio: float
    low: float
    high: float
    censored: Bound | None
    low_censored: bool
    high_censored: bool
    run_sd: float | None


def isotonic(points: Array, weights: Array) -> Array:
    """Weighted isotonic regression along the last axis: (..., B) by (B,) gives (..., B), never falling.

    By the max-min formula (Robertson, Wright and Dykstra 1988, Order Restricted Statistical Inference, theorem 1.4.4),
    for many curves of few points at once; scipy has one curve at a time.
    """
    size = points.shape[-1]
    zero = np.zeros((*points.shape[:-1], 1))
    sums = np.concatenate([zero, np.cumsum(points * weights, axis=-1)], axis=-1)
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    found = np.full(points.shape, -np.inf)
    for first in range(size):
        least = np.full(points.shape[:-1], np.inf)
        for last in reversed(range(first, size)):
            least = np.minimum(least, (sums[..., last + 1] - sums[..., first]) / (mass[last + 1] - mass[first]))
            found[..., last] = np.maximum(found[..., last], least)
    return found


def learning_curve(arm: Mapping[float, Table]) -> Curve:
    """The curve of an arm: budget to table, (items, seeds). Budgets weigh by their seeds where means must be pooled.

    Raises:
        ValueError: no budget, a budget that is not positive, other items at another budget, or cells not 0 or 1.
    """
    budgets = _checked(arm)
    means = np.array([arm[budget].mean() for budget in budgets])
    smooth = isotonic(means, _weights(arm, budgets))
    return Curve(tuple(budgets), tuple(means.tolist()), tuple(smooth.tolist()))


def budget_at(curve: Curve, level: float) -> Reached:
    """The smallest budget at which the curve reaches ``level``, straight lines in log2(budget) between the points.

    A level below the first point was reached by ``at_most`` the first budget; one above the last takes ``at_least``
    the last.
    """
    values = curve.accuracy
    if level < values[0] - TINY:
        return Reached(curve.budgets[0], "at_most")
    if level > values[-1] + TINY:
        return Reached(curve.budgets[-1], "at_least")
    index = next(i for i, value in enumerate(values) if value >= level - TINY)
    if index == 0 or values[index] <= level + TINY:
        return Reached(curve.budgets[index], None)
    share = (level - values[index - 1]) / (values[index] - values[index - 1])
    low, high = np.log2(curve.budgets[index - 1]), np.log2(curve.budgets[index])
    return Reached(float(2 ** (low + share * (high - low))), None)


def budget_ratio(
    a: Mapping[float, Table], b: Mapping[float, Table], *, seed: int, conf: float = 0.95, draws: int = 4000
) -> BudgetRatio:
    """Budget of ``a`` over that of ``b`` at equal accuracy: 2 says that ``a`` needs twice as much.

    Args:
        a: budget to table, (items, seeds); at least two budgets.
        b: the same items in the same order; budgets and numbers of seeds may be others.
        seed: of the bootstrap; the same seed gives the same interval to the last digit.
        conf: the interval's level.
        draws: number of bootstrap draws.

    Raises:
        ValueError: as `learning_curve`; fewer than two budgets or two items; other items in ``a`` than in ``b``.
    """
    of_a, of_b = _checked(a), _checked(b)
    tables = [a[budget] for budget in of_a] + [b[budget] for budget in of_b]
    if len(of_a) < 2 or len(of_b) < 2:
        raise ValueError("a budget ratio needs two budgets or more of each arm")
    if len({table.shape[0] for table in tables}) > 1 or tables[0].shape[0] < 2:
        raise ValueError("a budget ratio needs the same items in both arms, at least two of them")
    if not 0 < conf < 1 or draws < 1:
        raise ValueError("conf is in (0, 1), and there is at least one draw")
    pair = Pair(np.log2(of_a), np.log2(of_b), _weights(a, of_a), _weights(b, of_b))
    means = np.array([[table.mean() for table in tables]])
    found = pair.shift(means)
    points, run_sd = resample(tables, draws, np.random.default_rng(seed))
    drawn = pair.shift(points)
    low = float(np.quantile(drawn.least, (1 - conf) / 2, method="lower"))
    high = float(np.quantile(drawn.most, (1 + conf) / 2, method="higher"))
    shift = float(found.least[0] + found.most[0]) / 2
    censored: Bound | None = "at_least" if found.beyond[0] else "at_most" if found.short[0] else None
    return BudgetRatio(
        level=None if censored else pair.level(means, shift),
        ratio=float(2**shift),
        low=float(2**low),
        high=float(2**high),
        censored=censored,
        low_censored=low <= pair.smallest,
        high_censored=high >= pair.largest,
        run_sd=run_sd,
    )


class Shifts(NamedTuple):
    """Of many pairs of curves: the stretch of log2 ratios, and whether the true one lies outside what is known.

    All are (draws,); ``least`` and ``most`` are the same but where flat curves leave a stretch open.
    """

    least: Array
    most: Array
    short: np.ndarray[Any, np.dtype[np.bool_]]
    beyond: np.ndarray[Any, np.dtype[np.bool_]]


class Pair:
    """Two arms' budgets on the log2 scale; points are (draws, budgets of a, then of b)."""

    def __init__(self, a: Array, b: Array, a_weights: Array, b_weights: Array) -> None:
        self.a, self.b, self.a_weights, self.b_weights = a, b, a_weights, b_weights
        self.smallest, self.largest = float(a[0] - b[-1]), float(a[-1] - b[0])
        # Shifts at which a point of one curve meets one of the other: between two of them, all is smooth.
        stops = np.unique(a[:, None] - b)
        self.stops = stops[np.concatenate([[True], np.diff(stops) > 1e-9])]
        self.stops[-1] = self.largest

    def shift(self, points: Array) -> Shifts:
        """Where the curves' mean accuracies are equal; their difference never rises with the shift."""
        a = _Line(self.a, isotonic(points[:, : self.a.size], self.a_weights))
        b = _Line(self.b, isotonic(points[:, self.a.size :], self.b_weights))
        stops, rows = self.stops, np.arange(points.shape[0])
        ahead = np.stack([self._ahead(a, b, at)[0] for at in stops], axis=1)
        # b's area less a's over the budgets in common, at the stops and halfway: a quadratic in the shift.
        widths = np.array([self._window(at)[1] - self._window(at)[0] for at in stops])
        middles = np.stack([np.multiply(*self._ahead(a, b, at)) for at in (stops[1:] + stops[:-1]) / 2], axis=1)

        def crossing(index: Array) -> Array:
            """Where the difference falls through 0 between this stop and the next."""
            start, stop = ahead[rows, index], ahead[rows, index + 1]
            first, last = start * widths[index], stop * widths[index + 1]
            bend = 2 * (first - 2 * middles[rows, index] + last)
            slope = last - first - bend
            # At the ends of all shifts the common budgets shrink to one, and the mean is linear where the area is not.
            end = (index == 0) | (index == stops.size - 2)
            over = np.where(end, start, 2 * first)
            under = np.where(end, start - stop, np.sqrt(np.maximum(0.0, slope**2 - 4 * bend * first)) - slope)
            share = np.clip(np.where(under > 0, over / np.where(under > 0, under, 1.0), 0.0), 0.0, 1.0)
            return np.asarray(stops[index] + share * (stops[index + 1] - stops[index]))

        # Rounding must not bend "never rises".
        ahead = np.minimum.accumulate(ahead, axis=1)
        below, above = ahead <= TINY, ahead >= -TINY
        beyond, short = ~below[:, -1], ~above[:, 0]
        left = np.maximum(below.argmax(axis=1) - 1, 0)
        right = np.minimum(above.sum(axis=1) - 1, stops.size - 2)
        least = np.where(below[:, 0], self.smallest, np.where(beyond, self.largest, crossing(left)))
        most = np.where(above[:, -1], self.largest, np.where(short, self.smallest, crossing(np.maximum(right, 0))))
        return Shifts(least, most, short, beyond)

    def level(self, points: Array, at: float) -> float:
        """The mean accuracy of both curves, (1, budgets of both), where one is shifted by ``at``."""
        start, stop = self._window(at)
        line = _Line(self.b, isotonic(points[:, self.a.size :], self.b_weights))
        return float(line.mean(start, stop)[0])

    def _window(self, at: float) -> tuple[float, float]:
        """The budgets of ``b``, log2, that both curves know where ``a`` is read at the shift ``at`` beyond them."""
        start = max(float(self.b[0]), float(self.a[0]) - at)
        return start, max(start, min(float(self.b[-1]), float(self.a[-1]) - at))

    def _ahead(self, a: _Line, b: _Line, at: float) -> tuple[Array, float]:
        """How far ``b`` is ahead in the mean, and the width of what the mean is over."""
        start, stop = self._window(at)
        return b.mean(start, stop) - a.mean(start + at, stop + at), stop - start


class _Line:
    """Many curves of straight lines on the same knots: (B,) and (draws, B)."""

    def __init__(self, knots: Array, values: Array) -> None:
        self.knots, self.values = knots, values
        steps = np.diff(knots)
        self.slopes = np.diff(values, axis=1) / steps
        areas = np.cumsum(steps * (values[:, 1:] + values[:, :-1]) / 2, axis=1)
        self.areas = np.concatenate([np.zeros((values.shape[0], 1)), areas], axis=1)

    def mean(self, start: float, stop: float) -> Array:
        """Each curve's mean from ``start`` to ``stop``, (draws,); its value where they are the same."""
        (value, low), (_, high) = self._at(start), self._at(stop)
        return (high - low) / (stop - start) if stop - start > 1e-9 else value

    def _at(self, x: float) -> tuple[Array, Array]:
        index = min(max(int(np.searchsorted(self.knots, x, side="right")) - 1, 0), self.knots.size - 2)
        over = x - self.knots[index]
        value, slope = self.values[:, index], self.slopes[:, index]
        return value + slope * over, self.areas[:, index] + over * (value + slope * over / 2)


def resample(tables: Sequence[Table], draws: int, rng: np.random.Generator) -> tuple[Array, float | None]:
    """Draws of the mean of each table, (draws, tables), with new items and new runs; and the runs' deviation used.

    The tables are (items, seeds of each) on the same items. How and why is in the module's docstring.
    """
    items = np.stack([table.mean(axis=1) for table in tables], axis=1)
    n = items.shape[0]
    points = np.empty((draws, len(tables)))
    block = max(1, CELLS // n)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        chosen = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(chosen.ravel(), minlength=size * n).reshape(size, n)
        points[start : start + size] = times @ items / n
    several = [table for table in tables if table.shape[1] > 1]
    if not several:
        return points, None
    freedom = np.array([table.shape[1] - 1 for table in several])
    of_runs = float(np.average([table.mean(axis=0).var(ddof=1) for table in several], weights=freedom))
    residual = float(np.average([residual_variance(table) / n for table in several], weights=freedom))
    df = int(freedom.sum())
    variance = np.maximum(0.0, of_runs * df / rng.chisquare(df, (draws, 1)) - residual)
    seeds = np.array([table.shape[1] for table in tables])
    points += np.sqrt(variance / seeds) * rng.standard_normal(points.shape)
    return points, float(np.sqrt(max(0.0, of_runs - residual)))


def _checked(arm: Mapping[float, Table]) -> list[float]:
    """The budgets of an arm, ascending."""
    budgets = sorted(arm)
    if not budgets or not all(0 < budget < np.inf for budget in budgets):
        raise ValueError(f"an arm's budgets are positive numbers, at least one of them, not {budgets}")
    for budget in budgets:
        table = arm[budget]
        if table.ndim != 2 or not table.size or table.shape[0] != arm[budgets[0]].shape[0]:
            raise ValueError(
                f"at budget {budget:g} the table is {table.shape}: not (items, seeds) on the items of the other budgets"
            )
        if not np.isin(table, (0, 1)).all():
            raise ValueError(f"at budget {budget:g}: cells are 0 or 1")
    return budgets


def _weights(arm: Mapping[float, Table], budgets: Sequence[float]) -> Array:
    return np.array([float(arm[budget].shape[1]) for budget in budgets])
