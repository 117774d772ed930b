"""Learning curves and the budget ratio: by hand, by scipy, by properties, by simulation."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.special import expit

from eval.curves import Curve, Pair, budget_at, budget_ratio, isotonic, learning_curve, resample

BUDGETS = (250, 500, 1000, 2000)


def step(*right: int, items: int = 100, seeds: int = 1) -> np.ndarray:
    """A table on which the first so many items are right in each run."""
    return np.stack([(np.arange(items) < count).astype(float) for count in right * seeds], axis=1)


def exact(counts: tuple[int, ...], budgets: tuple[int, ...] = BUDGETS) -> dict[float, np.ndarray]:
    return {budget: step(count) for budget, count in zip(budgets, counts, strict=True)}


def drawn(
    rng: np.random.Generator, ratio: float, items: int = 300, seeds: int = 3, gain: float = 0.6, runs: float = 0.05
) -> tuple[dict[float, np.ndarray], dict[float, np.ndarray]]:
    """Two arms whose logit grows by ``gain`` with each doubling; the first needs ``ratio`` times as much."""
    item = 1.5 * rng.standard_normal((items, 1))
    arms = []
    for factor in (ratio, 1.0):
        arm = {}
        for budget in BUDGETS:
            logit = item + gain * np.log2(budget / factor / 700) + runs * rng.standard_normal((1, seeds))
            arm[float(budget)] = (rng.random((items, seeds)) < expit(logit)).astype(float)
        arms.append(arm)
    return arms[0], arms[1]


def test_isotonic_as_scipy_has_it() -> None:
    rng = np.random.default_rng(1)
    points, weights = rng.random((200, 6)), rng.random(6) + 0.2
    found = isotonic(points, weights)
    for row, expected in zip(found, points, strict=True):
        assert row == pytest.approx(isotonic_regression(expected, weights=weights).x)


def test_a_curve_by_hand() -> None:
    arm = {1000.0: step(50, 52), 250.0: step(40), 500.0: step(54)}
    curve = learning_curve(arm)
    assert curve.budgets == (250, 500, 1000)
    assert curve.means == pytest.approx((0.4, 0.54, 0.51))
    # Pooled with the weights of their runs: (0.54 + 2 x 0.51) / 3.
    assert curve.accuracy == pytest.approx((0.4, 0.52, 0.52))


def test_budgets_at_levels() -> None:
    curve = Curve((250, 500, 1000, 2000), (0, 0, 0, 0), (0.4, 0.5, 0.5, 0.6))
    assert budget_at(curve, 0.45) == (pytest.approx(250 * 2**0.5), None)
    assert budget_at(curve, 0.5) == (500, None)
    assert budget_at(curve, 0.4) == (250, None)
    assert budget_at(curve, 0.6) == (2000, None)
    assert budget_at(curve, 0.55) == (pytest.approx(1000 * 2**0.5), None)
    assert budget_at(curve, 0.39) == (250, "at_most")
    assert budget_at(curve, 0.61) == (2000, "at_least")


def test_a_moved_curve_gives_how_far_it_was_moved() -> None:
    """Of every budget, the second arm knows at half of it what the first knows."""
    b = exact((40, 50, 60, 65))
    a = exact((30, 40, 50, 60))
    found = budget_ratio(a, b, seed=1, draws=200)
    assert found.ratio == pytest.approx(2)
    assert found.censored is None
    assert found.low < 2 < found.high
    # Over 500 to 2,000 of a: the mean of 45 and 55 %.
    assert found.level == pytest.approx(0.5)
    other = budget_ratio(exact((40, 50), (700, 1400)), exact((35, 45, 55), (250, 500, 1000)), seed=1, draws=200)
    assert other.ratio == pytest.approx(700 / (250 * 2**0.5))


def bisected(pair: Pair, points: np.ndarray) -> float:
    """The same by numpy's interpolation, the trapezoid rule and halving."""
    a = isotonic(points[: pair.a.size], pair.a_weights)
    b = isotonic(points[pair.a.size :], pair.b_weights)

    def ahead(at: float) -> float:
        start, stop = max(pair.b[0], pair.a[0] - at), min(pair.b[-1], pair.a[-1] - at)
        knots = np.concatenate([[start, stop], pair.b, pair.a - at])
        x = np.unique(np.clip(knots, start, max(start, stop)))
        gap = np.interp(x, pair.b, b) - np.interp(x + at, pair.a, a)
        width = x[-1] - x[0]
        return float(((gap[1:] + gap[:-1]) / 2 @ np.diff(x)) / width) if width > 1e-9 else float(gap[0])

    low, high = pair.smallest, pair.largest
    if ahead(high) > 0 or ahead(low) < 0:
        return high if ahead(high) > 0 else low
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ahead(middle) > 0 else (low, middle)
    return low


@pytest.mark.parametrize(
    ("of_a", "of_b"),
    [(BUDGETS, BUDGETS), ((100, 350, 900), (250, 500, 1000, 2000, 3000)), ((100, 200), (100, 200)), ((1, 9), (3, 4))],
)
def test_the_ratio_as_by_halving(of_a: tuple[int, ...], of_b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    pair = Pair(np.log2(of_a), np.log2(of_b), rng.random(len(of_a)) + 0.5, rng.random(len(of_b)) + 0.5)
    left = np.cumsum(rng.normal(0.02, 0.03, (60, len(of_a))), axis=1)
    right = np.cumsum(rng.normal(0.02, 0.03, (60, len(of_b))), axis=1) + rng.normal(0, 0.04, (60, 1))
    points = np.concatenate([left, right], axis=1)
    found = pair.shift(points)
    expected = [bisected(pair, row) for row in points]
    assert found.least == pytest.approx(expected, abs=1e-9)
    assert found.most == pytest.approx(expected, abs=1e-9)
    assert 0 < found.short.mean() + found.beyond.mean() < 1


@settings(max_examples=25, deadline=None)
@given(c=st.floats(0.001, 1000), ratio=st.sampled_from([0.5, 1.0, 2.5]), number=st.integers(0, 5))
def test_the_unit_of_budgets_does_not_matter(c: float, ratio: float, number: int) -> None:
    a, b = drawn(np.random.default_rng(number), ratio, items=60)
    plain = budget_ratio(a, b, seed=3, draws=50)
    scaled = budget_ratio({c * k: v for k, v in a.items()}, {c * k: v for k, v in b.items()}, seed=3, draws=50)
    assert (scaled.ratio, scaled.low, scaled.high) == pytest.approx((plain.ratio, plain.low, plain.high))
    assert scaled.level == pytest.approx(plain.level)


@settings(max_examples=25, deadline=None)
@given(ratio=st.sampled_from([0.3, 1.0, 2.5, 20.0]), number=st.integers(0, 20))
def test_swapped_arms_invert_the_ratio(ratio: float, number: int) -> None:
    a, b = drawn(np.random.default_rng(number), ratio, items=80)
    found, turned = (budget_ratio(*arms, seed=4, draws=1) for arms in ((a, b), (b, a)))
    assert turned.ratio == pytest.approx(1 / found.ratio)
    assert turned.level == pytest.approx(found.level)
    assert turned.censored == {None: None, "at_least": "at_most", "at_most": "at_least"}[found.censored]


def test_swapped_arms_invert_the_interval_up_to_the_draws() -> None:
    a, b = drawn(np.random.default_rng(5), 1.5)
    found, turned = (budget_ratio(*arms, seed=4, draws=20_000) for arms in ((a, b), (b, a)))
    assert (1 / turned.high, 1 / turned.low) == pytest.approx((found.low, found.high), rel=0.03)


def test_arms_that_do_not_meet_give_a_bound() -> None:
    """The first arm ends below where the second begins: it needs at least the last over the first budget."""
    rng = np.random.default_rng(6)
    a, b = drawn(rng, 64.0, items=400)
    found = budget_ratio(a, b, seed=5)
    assert (found.ratio, found.censored, found.level) == (pytest.approx(8), "at_least", None)
    assert found.high_censored
    assert not found.low_censored
    assert 4 < found.low <= found.ratio
    turned = budget_ratio(b, a, seed=5)
    assert (turned.ratio, turned.censored) == (pytest.approx(1 / 8), "at_most")
    assert (turned.low_censored, turned.high_censored) == (True, False)


def test_flat_curves_say_that_nothing_is_known() -> None:
    same = budget_ratio(exact((50, 50, 50, 50)), exact((50, 50, 50, 50)), seed=6, draws=100)
    assert same.ratio == pytest.approx(1)
    assert (same.low, same.high) == (pytest.approx(1 / 8), pytest.approx(8))
    assert same.low_censored
    assert same.high_censored
    rng = np.random.default_rng(7)
    noisy = budget_ratio(*drawn(rng, 1.0, gain=0.0), seed=6, draws=1000)
    assert noisy.low_censored
    assert noisy.high_censored
    apart = budget_ratio(exact((40, 40, 40, 40)), exact((90, 90, 90, 90)), seed=6, draws=100)
    assert (apart.ratio, apart.censored) == (pytest.approx(8), "at_least")


def test_a_flat_stretch_leaves_the_ratio_open() -> None:
    """Whatever the shift from 1 to 2, only what is level meets: the middle is shown, the whole is in the interval."""
    a = exact((50, 50, 50), (400, 800, 1600))
    b = exact((50, 50, 60), (100, 200, 400))
    pair = Pair(np.log2([400, 800, 1600]), np.log2([100, 200, 400]), np.ones(3), np.ones(3))
    found = pair.shift(np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.6]]))
    assert (found.least[0], found.most[0]) == (pytest.approx(3), pytest.approx(4))
    assert budget_ratio(a, b, seed=1, draws=10).ratio == pytest.approx(2**3.5)


def test_the_same_seed_gives_the_same_digits() -> None:
    a, b = drawn(np.random.default_rng(8), 1.5)
    assert budget_ratio(a, b, seed=7, draws=300) == budget_ratio(a, b, seed=7, draws=300)
    assert budget_ratio(a, b, seed=7, draws=300) != budget_ratio(a, b, seed=8, draws=300)
    turned: Mapping[float, np.ndarray] = dict(reversed(a.items()))
    assert budget_ratio(turned, b, seed=7, draws=300) == budget_ratio(a, b, seed=7, draws=300)


def test_resampled_points_have_the_variance_of_new_items_and_runs() -> None:
    """Against fresh pairs: items in common, the residual once, runs beyond the residual."""
    means, found = [], []
    for number in range(500):
        a, b = drawn(np.random.default_rng([9, number]), 1.0, items=60, runs=0.3)
        tables = [*a.values(), *b.values()]
        means.append([table.mean() for table in tables])
        points, _ = resample(tables, 100, np.random.default_rng(number))
        found.append(np.cov(points.T))
    true, estimate = np.cov(np.array(means).T), np.mean(found, axis=0)
    # Sixteen degrees of freedom for the runs, and variances cut at 0: the little that is unknown makes it larger.
    assert 1.0 <= estimate.trace() / true.trace() <= 1.25
    off = ~np.eye(8, dtype=bool)
    assert estimate[off].mean() == pytest.approx(true[off].mean(), rel=0.12)


def test_copies_of_one_run_add_nothing_to_the_items() -> None:
    table = step(30, items=60)
    points, run_sd = resample([np.repeat(table, 4, axis=1)], 4000, np.random.default_rng(10))
    assert run_sd == 0
    assert points.std() == pytest.approx(np.sqrt(0.25 / 60), rel=0.05)
    assert resample([table], 10, np.random.default_rng(10))[1] is None


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover(seeds: int) -> None:
    """120 pairs: 95 % less three standard errors; benchmarks/curves_calibration.py has the fine table."""
    inside, above_one = 0, 0
    for number in range(120):
        a, b = drawn(np.random.default_rng([11, seeds, number]), 1.5, items=200, seeds=seeds, gain=0.3, runs=0.05)
        found = budget_ratio(a, b, seed=number, draws=200)
        inside += (found.low_censored or found.low <= 1.5) and (found.high_censored or found.high >= 1.5)
        above_one += found.low > 1
    assert inside >= 0.89 * 120
    assert inside < 120 or above_one > 30


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({250: step(1)}, exact((1, 2, 3, 4)), "two budgets"),
        ({}, exact((1, 2, 3, 4)), "positive"),
        ({0: step(1), 250: step(2)}, exact((1, 2, 3, 4)), "positive"),
        ({250: step(1), 500: step(2, items=99)}, exact((1, 2, 3, 4)), "budget 500"),
        ({250: step(1, items=99), 500: step(2, items=99)}, exact((1, 2, 3, 4)), "same items"),
        ({250: step(1), 500: step(2) / 2}, exact((1, 2, 3, 4)), "budget 500: cells"),
    ],
)
def test_bad_input_is_refused(a: dict[float, np.ndarray], b: dict[float, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        budget_ratio(a, b, seed=1)
