"""Intervals and tests for shares, paired and unpaired: numbers in, numbers out.

Knows nothing of attempts or reports. Light: numpy and the standard library; scipy is imported where it is needed.
All shares and differences are in [0, 1] and [-1, 1], not in points.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, exp, lgamma, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

Alternative = Literal["two-sided", "greater", "less"]


class Interval(NamedTuple):
    """Lower and upper limit."""

    low: float
    high: float


class Difference(NamedTuple):
    """A difference with its interval."""

    difference: float
    low: float
    high: float


def normal_quantile(probability: float) -> float:
    """The standard normal quantile."""
    return NormalDist().inv_cdf(probability)


def wilson(k: float, n: int, conf: float = 0.95) -> Interval:
    """Wilson's score interval for ``k`` successes in ``n`` trials, without continuity correction.

    Wilson (1927), JASA 22:209-212; Newcombe (1998), Statistics in Medicine 17:857-872, method 3. ``k`` may be a
    sum of shares; the interval is then conservative, since shares vary less than zeros and ones.

    Raises:
        ValueError: unless 0 <= k <= n and n > 0.
    """
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"{k} successes in {n} trials")
    z = normal_quantile(0.5 + conf / 2)
    share = k / n
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the limits are exactly 0 and 1; rounding must not push them off.
    low = 0.0 if k == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if k == n else min(1.0, (centre + half) / scale)
    return Interval(low, high)


def paired_difference(a: Sequence[int] | np.ndarray, b: Sequence[int] | np.ndarray, conf: float = 0.95) -> Difference:
    """Mean of ``a`` minus mean of ``b`` on the same items, with Newcombe's square-and-add interval.

    Newcombe (1998), Statistics in Medicine 17:2635-2650, method 10: Wilson intervals of both shares, combined
    with their correlation. Near its level down to small samples, and never outside [-1, 1].

    Args:
        a: 0 or 1 for each item, (n,).
        b: the same items in the same order, (n,).
        conf: the interval's level.

    Raises:
        ValueError: other lengths, none at all, or values that are not 0 or 1.
    """
    left, right = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    if left.shape != right.shape or left.ndim != 1 or left.size == 0:
        raise ValueError(f"paired items have one shape, (n,) with n > 0, not {left.shape} and {right.shape}")
    if not (np.isin(left, (0, 1)).all() and np.isin(right, (0, 1)).all()):
        raise ValueError("paired items are 0 or 1")
    n = int(left.size)
    both = int((left & right).sum())
    only_left, only_right = int(left.sum()) - both, int(right.sum()) - both
    neither = n - both - only_left - only_right
    return _square_and_add(both, only_left, only_right, neither, conf)


def _square_and_add(both: int, only_left: int, only_right: int, neither: int, conf: float) -> Difference:
    n = both + only_left + only_right + neither
    first, second = both + only_left, both + only_right
    low1, high1 = wilson(first, n, conf)
    low2, high2 = wilson(second, n, conf)
    p1, p2 = first / n, second / n
    phi = _phi(both, only_left, only_right, neither)
    difference = (only_left - only_right) / n
    # The products may exceed the squares by a rounding error where both sides are the same.
    down = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    up = (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    low = max(-1.0, difference - sqrt(max(0.0, down)))
    return Difference(difference, low, min(1.0, difference + sqrt(max(0.0, up))))


def _phi(both: int, only_left: int, only_right: int, neither: int) -> float:
    """The correlation of a 2 x 2 table, with Newcombe's continuity correction where it is positive."""
    n = both + only_left + only_right + neither
    margins = (both + only_left) * (only_right + neither) * (both + only_right) * (only_left + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - only_left * only_right)
    if cross > 0:
        cross = max(0.0, cross - n / 2)
    return cross / sqrt(margins)


def mcnemar(gained: int, lost: int, alternative: Alternative = "two-sided") -> float:
    """McNemar's exact p-value from the discordant items.

    McNemar (1947), Psychometrika 12:153-157: under no change, ``gained`` of ``gained + lost`` is binomial with
    probability 1/2. ``greater`` asks whether more were gained than lost. No discordant item gives 1.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"{gained} gained and {lost} lost")
    if alternative == "greater":
        return _upper_tail(gained, gained + lost)
    if alternative == "less":
        return _upper_tail(lost, gained + lost)
    return min(1.0, 2 * _upper_tail(max(gained, lost), gained + lost))


def fisher_greater(k: int, n: int, rest_k: int, rest_n: int) -> float:
    """Fisher's exact one-sided p-value that a share is larger than the rest's.

    Fisher (1935), The Logic of Inductive Inference: with the margins fixed, the number of successes among the ``n`` is
    hypergeometric; P(at least ``k``). Summed by logarithms, relative error below 1e-9 up to a million trials.

    Args:
        k, n: successes and trials.
        rest_k, rest_n: of everything else.

    Raises:
        ValueError: unless 0 <= k <= n and 0 <= rest_k <= rest_n.
    """
    if not (0 <= k <= n and 0 <= rest_k <= rest_n):
        raise ValueError(f"{k} of {n} against {rest_k} of {rest_n}")
    total, successes = n + rest_n, k + rest_k

    def log_comb(m: int, j: int) -> float:
        return lgamma(m + 1) - lgamma(j + 1) - lgamma(m - j + 1)

    whole = log_comb(total, n)
    terms = range(k, min(n, successes) + 1)
    tail = sum(exp(log_comb(successes, j) + log_comb(total - successes, n - j) - whole) for j in terms)
    return min(1.0, tail) if k > max(0, successes - rest_n) else 1.0


def _upper_tail(k: int, n: int) -> float:
    """P(X >= k) for X binomial(n, 1/2), exact by integers."""
    if k <= 0:
        return 1.0
    if n <= 2000:
        return float(Fraction(sum(comb(n, i) for i in range(k, n + 1)), 2**n))
    from scipy.stats import binom

    return float(binom.sf(k - 1, n, 0.5))


def minimum_detectable_effect(
    n: int, discordance: float, power: float = 0.8, alpha: float = 0.05, *, two_sided: bool = True
) -> float:
    """The smallest paired difference that a test on ``n`` items detects with the given power.

    Connor (1987), Biometrics 43:207-211, solved for the difference d: n d^2 = (z_a sqrt(p) + z_b sqrt(p - d^2))^2,
    where p = ``discordance`` is the share of items on which two runs disagree. At most ``discordance``: where even
    that is not detected, the answer is infinity.

    Raises:
        ValueError: n < 1 or a share outside (0, 1).
    """
    if n < 1 or not (0 < discordance <= 1 and 0 < power < 1 and 0 < alpha < 1):
        raise ValueError("n >= 1; discordance, power and alpha are in (0, 1)")
    z_alpha = normal_quantile(1 - alpha / (2 if two_sided else 1))
    z_power = normal_quantile(power)

    def missing(effect: float) -> float:
        spread = z_alpha * sqrt(discordance) + z_power * sqrt(max(0.0, discordance - effect * effect))
        return spread - effect * sqrt(n)

    low, high = 0.0, discordance
    if missing(high) > 0:
        return float("inf")
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return high


def bootstrap(values: Sequence[float] | np.ndarray, *, seed: int, conf: float = 0.95, draws: int = 2000) -> Interval:
    """Percentile bootstrap interval of the mean over items.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. Items are drawn: ``values`` holds one
    number for each item (a pass rate, or a difference of two).

    Args:
        values: (n,).
        seed: of the resampling.
        conf: the interval's level.
        draws: number of resamples.

    Raises:
        ValueError: no values.
    """
    items = np.asarray(values, dtype=np.float64)
    if items.ndim != 1 or items.size == 0:
        raise ValueError("bootstrap needs one number for each item")
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    step = max(1, 4_000_000 // items.size)  # bounds the memory of one block
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        means[start:stop] = items[rng.integers(0, items.size, (stop - start, items.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - conf) / 2, (1 + conf) / 2])
    return Interval(float(low), float(high))
