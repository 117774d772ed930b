"""Arms over items crossed with runs: known components, known levels, edges."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import f_oneway, t

from eval.crossed import (
    Parts,
    arm_mean,
    compare,
    disagreement,
    holm,
    parts,
    pretest_level,
    residual_variance,
    run_variance,
    standard_error,
    verdict,
)
from eval.power import Plan, detectable_effect, power
from eval.scores import read_scores
from eval.stats import mcnemar, minimum_detectable_effect, paired_difference


def draw(
    rng: np.random.Generator, shape: tuple[int, int], seeds: tuple[int, int], runs: float = 0.0, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Two arms, (comparisons, items, seeds); ``runs`` is the spread of the runs on the logit scale."""
    comparisons, items = shape
    item = 3 * rng.standard_normal((comparisons, items, 1))
    made = []
    for count, own in zip(seeds, (shift, 0.0), strict=True):
        chance = expit(item + own + runs * rng.standard_normal((comparisons, 1, count)))
        made.append((rng.random(chance.shape) < chance).astype(np.float64))
    return made[0], made[1]


def share_found(a: np.ndarray, b: np.ndarray) -> float:
    error = standard_error(parts(a, b))
    difference = a.mean(axis=(1, 2)) - b.mean(axis=(1, 2))
    return float((2 * t.sf(np.abs(difference) / error.se, error.df) <= 0.05).mean())


def test_residual_as_by_a_table_of_residuals() -> None:
    rng = np.random.default_rng(1)
    cells = (rng.random((40, 5)) < rng.random((40, 1))).astype(float)
    left = cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()
    assert residual_variance(cells) == pytest.approx((left**2).sum() / (39 * 4))
    assert run_variance(cells) == pytest.approx(cells.mean(axis=0).var(ddof=1) - residual_variance(cells) / 40)


def test_components_of_a_known_population() -> None:
    """Means over 400 tables against the truth of the population that they come from."""
    rng = np.random.default_rng(2)
    a, b = draw(rng, (400, 300), (4, 4), runs=0.3)
    found = parts(a, b)
    big = np.random.default_rng(3)
    item, run = 3 * big.standard_normal(200_000), 0.3 * big.standard_normal(200_000)
    chance = expit(item + run)
    rows = expit(3 * big.standard_normal((1, 20_000)) + 0.3 * big.standard_normal((500, 1)))
    of_runs = rows.mean(axis=1).var(ddof=1)
    # Bernoulli noise and the little by which a logit shift moves items unequally.
    noise = (chance * (1 - chance)).mean() + (rows.var(axis=0, ddof=1).mean() - of_runs)
    assert np.mean(found.residuals[0]) == pytest.approx(noise / (4 * 300), rel=0.03)
    assert np.mean(found.runs[0]) == pytest.approx(of_runs / 4 + noise / (4 * 300), rel=0.12)
    assert np.mean(found.items) == pytest.approx(2 * noise / (4 * 300), rel=0.03)


def test_the_variance_counts_the_residual_once() -> None:
    """The mean square of the estimate is the variance of the difference; the naive sum would be twice as large."""
    rng = np.random.default_rng(4)
    a, b = draw(rng, (2000, 200), (5, 5))
    difference = a.mean(axis=(1, 2)) - b.mean(axis=(1, 2))
    found = parts(a, b)
    naive = np.mean(found.items + found.runs[0] + found.runs[1])
    true = difference.var()
    assert naive / true == pytest.approx(2, abs=0.2)
    assert np.mean(standard_error(found).se ** 2) / true == pytest.approx(
        1.25, abs=0.15
    )  # what the preliminary test costs


@pytest.mark.parametrize(
    ("seeds", "runs", "low", "high"),
    [((5, 5), 0.0, 0.025, 0.05), ((5, 5), 0.1, 0.04, 0.072), ((3, 3), 0.3, 0.03, 0.065), ((5, 1), 0.0, 0.025, 0.06)],
)
def test_equal_arms_are_seldom_told_apart(seeds: tuple[int, int], runs: float, low: float, high: float) -> None:
    """The bounds leave three standard errors of 2,000 draws around 3 to 6 %; benchmarks/ has the fine table."""
    a, b = draw(np.random.default_rng(5), (2000, 300), seeds, runs)
    assert low - 0.01 <= share_found(a, b) <= high + 0.01


def test_runs_that_differ_are_not_taken_for_items() -> None:
    """An analysis over items alone would call a fifth of these equal arms different."""
    rng = np.random.default_rng(6)
    a, b = draw(rng, (1000, 300), (5, 5), runs=0.3)
    difference = a.mean(axis=(1, 2)) - b.mean(axis=(1, 2))
    over_items = np.abs(difference) / np.sqrt(parts(a, b).items) > 1.96
    assert over_items.mean() > 0.15
    assert share_found(a, b) < 0.075


def test_one_comparison_is_as_in_the_batch() -> None:
    a, b = draw(np.random.default_rng(7), (3, 120), (5, 3), runs=0.2)
    error = standard_error(parts(a, b))
    for index in range(3):
        found = compare(a[index], b[index])
        assert (found.se, found.df) == (pytest.approx(error.se[index]), pytest.approx(error.df[index]))
        half = t.ppf(0.975, found.df) * found.se
        assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))
        assert (found.p <= 0.05) == (not found.low <= 0 <= found.high)
        turned = compare(b[index], a[index])
        assert (turned.difference, turned.low, turned.p) == pytest.approx((-found.difference, -found.high, found.p))


def test_loud_runs_give_a_t_interval_of_the_runs() -> None:
    """Where the run component is all there is, the rule is Welch's t test of the run means."""
    n = 1000
    quiet = np.asarray(1e-9)
    found = standard_error(Parts(n, quiet * 2, (np.asarray(4e-4), np.asarray(1e-4)), (quiet, quiet), (4, 4)))
    assert not found.runs_alike
    assert found.se == pytest.approx(5e-4**0.5, rel=1e-4)
    assert found.df == pytest.approx(25 / (16 / 4 + 1 / 4), rel=1e-3)


def test_single_runs_are_mcnemar_and_newcombe() -> None:
    rng = np.random.default_rng(8)
    a, b = draw(rng, (1, 200), (1, 1), shift=1.0)
    found = compare(a[0], b[0])
    left, right = a[0, :, 0].astype(int), b[0, :, 0].astype(int)
    assert found.method == "single"
    assert (found.difference, found.low, found.high) == paired_difference(left, right)
    assert found.p == mcnemar(int((left > right).sum()), int((left < right).sum()))
    copies = compare(np.repeat(a[0], 3, axis=1), np.repeat(b[0], 5, axis=1))
    assert copies == found


@pytest.mark.parametrize("seeds", [2, 5])
def test_edges_have_finite_answers(seeds: int) -> None:
    rng = np.random.default_rng(9)
    noise = (rng.random((50, seeds)) < 0.5).astype(float)
    right, wrong = np.ones((50, seeds)), np.zeros((50, seeds))
    same = compare(noise, noise)
    assert (same.difference, same.p) == (0, 1)
    assert same.low < 0 < same.high
    for a, b in (
        (right, wrong),
        (right, noise),
        (noise, wrong),
        (noise, 1 - noise),
        (right, right),
        (noise, right[:, :1]),
    ):
        found = compare(a, b)
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert 0 <= found.p <= 1
    assert compare(right, wrong).low > 0.89
    assert compare(right, right).p == 1


def test_wrong_shapes_and_values_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        compare(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="same items"):
        compare(np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="0 or 1"):
        compare(np.full((3, 2), 0.5), np.zeros((3, 2)))


def test_arm_mean_is_a_t_interval_of_run_means() -> None:
    cells = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=float)
    found = arm_mean(cells)
    low, high = t.interval(0.95, 2, loc=0.5, scale=np.std([0.5, 0.25, 0.75], ddof=1) / 3**0.5)
    assert found == pytest.approx((0.5, max(0.0, low), min(1.0, high)))
    assert arm_mean(cells[:, :1]) == (0.5, None, None)


def test_disagreement_over_all_pairs_of_runs() -> None:
    cells = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=float)
    pairs = [(cells[:, i] != cells[:, j]).mean() for i in range(3) for j in range(i)]
    assert disagreement(cells) == pytest.approx(np.mean(pairs))
    assert disagreement(cells[:, :1]) is None


def test_holm_as_published() -> None:
    """Holm's adjusted values by hand: 4 x 0.01, then never falling."""
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_verdicts() -> None:
    assert [verdict(0.1, 0.01), verdict(-0.1, 0.05), verdict(0.1, 0.051)] == ["better", "worse", "not distinguishable"]
    assert verdict(0.0, 0.0) == "not distinguishable"


@pytest.mark.parametrize("seeds", [3, 4, 5, 10, 20])
@pytest.mark.parametrize("ratio", [1, 1.3, 1.6, 2, 3, 6, 20])
def test_the_level_holds_for_every_size_of_the_run_component(seeds: int, ratio: float) -> None:
    """``ratio``: variance of run means over what the residual alone would give it."""
    residual = 0.0975 / (1 + (ratio - 1) / 1000)
    plan = Plan(1000, seeds, 0.195, residual * (ratio - 1) / 1000)
    assert 0.03 <= power(plan, 0.0) <= 0.06


def test_two_seeds_are_on_the_safe_side() -> None:
    levels = [power(Plan(1000, 2, 0.195, 0.0975 * (ratio - 1) / 1000), 0.0) for ratio in (1, 2, 4, 10)]
    assert min(levels) >= 0.02
    assert max(levels) <= 0.06


def test_the_detectable_effect_has_its_power() -> None:
    plan = Plan(300, 4, 0.2, 0.0001, 0.01)
    effect = detectable_effect(plan, 0.8)
    assert power(plan, effect) == pytest.approx(0.8, abs=1e-6)
    assert detectable_effect(plan, 0.9) > effect
    assert detectable_effect(plan, 0.8, pairs=10) > effect
    assert power(plan, detectable_effect(plan, 0.8, pairs=10), 0.005) == pytest.approx(0.8, abs=1e-6)
    single = detectable_effect(Plan(1000, 1, 0.2))
    assert single == pytest.approx(minimum_detectable_effect(1000, 0.2) + 0.001)
    assert detectable_effect(Plan(4, 2, 0.9), 0.99, 0.001) == float("inf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 0.2), "two items"),
        ((10, 0, 0.2), "one seed"),
        ((10, 2, 0.0), "disagreement"),
        ((10, 2, 0.2, 0.1), "twice"),
    ],
)
def test_impossible_plans_are_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(*arguments)  # type: ignore[arg-type]


def test_power_needs_runs_and_sane_levels() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        power(Plan(10, 1, 0.2), 0.1)
    with pytest.raises(ValueError, match="pair"):
        detectable_effect(Plan(10, 2, 0.2), pairs=0)


def test_pretest_level_falls_with_the_runs() -> None:
    assert pretest_level(np.array([1.0, 2.0, 4.0, 8.0, 80.0])) == pytest.approx([0.5, 0.44, 0.28, 0.2, 0.128])


@pytest.fixture
def evaltree(shared: Path) -> Mapping[str, np.ndarray]:
    """EvalTree's public predictions: 1,000 items, five arms of five runs."""
    return read_scores(shared / "data" / "evaltree" / "math_scores.csv").tables


def test_public_results_as_an_analysis_of_variance_sees_them(evaltree: Mapping[str, np.ndarray]) -> None:
    """The components behind the interval, against scipy's one-way analysis of the run means."""
    a, b = evaltree["EvalTree"], evaltree["Generic-Capability"]
    found = parts(a, b)
    runs = [cells.mean(axis=0) for cells in (a, b)]
    pooled = np.mean([run.var(ddof=1) for run in runs])
    assert f_oneway(*runs).statistic == pytest.approx((a.mean() - b.mean()) ** 2 * 5 / 2 / pooled)
    assert float(sum(found.runs)) == pytest.approx(2 * pooled / 5)
