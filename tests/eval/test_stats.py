import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from eval.stats import (
    bootstrap,
    mcnemar,
    minimum_detectable_effect,
    normal_quantile,
    paired_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(k: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3."""
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.data())
def test_wilson_as_in_scipy(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_refuses_the_impossible() -> None:
    for k, n in [(1, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="successes"):
            wilson(k, n)


def pairs(both: int, first: int, second: int, neither: int) -> tuple[list[int], list[int]]:
    return [1] * (both + first) + [0] * (second + neither), [1] * both + [0] * first + [1] * second + [0] * neither


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Fagerland, Lydersen and Laake (2017), Statistical Analysis of Contingency Tables, chapter 8.
        ((1, 1, 7, 12), (-0.2857, -0.5069, -0.0256)),
        ((59, 6, 16, 80), (-0.0621, -0.1186, -0.0046)),
        # Altman, Machin, Bryant and Gardner (2000), Statistics with Confidence, table 6.2.
        ((14, 5, 0, 22), (0.122, 0.011, 0.226)),
    ],
)
def test_paired_difference_as_published(table: tuple[int, int, int, int], expected: tuple[float, ...]) -> None:
    assert paired_difference(*pairs(*table)) == pytest.approx(expected, abs=5e-4)


def test_paired_difference_of_the_same_run_is_nothing() -> None:
    difference, low, high = paired_difference([1, 0, 1, 1] * 50, [1, 0, 1, 1] * 50)
    assert difference == 0
    assert low < 0 < high
    assert high - low < 0.03


def test_paired_difference_turns_its_sign() -> None:
    a, b = pairs(59, 6, 16, 80)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there == pytest.approx((-back.difference, -back.high, -back.low))


def test_paired_difference_refuses_other_items() -> None:
    for a, b in [([1], [1, 0]), ([], []), ([2], [1])]:
        with pytest.raises(ValueError, match="paired items"):
            paired_difference(a, b)


def test_paired_difference_covers() -> None:
    """95 % intervals hold the truth in 93.5 to 97.5 % of simulated comparisons."""
    rng = np.random.default_rng(0)
    share, truth, n, runs, covered = [0.45, 0.15, 0.08, 0.32], 0.07, 200, 2000, 0
    for counts in rng.multinomial(n, share, size=runs):
        _, low, high = paired_difference(*pairs(*(int(count) for count in counts)))
        covered += low <= truth <= high
    assert 0.935 <= covered / runs <= 0.975


@pytest.mark.parametrize(
    ("gained", "lost", "two_sided", "greater"),
    [
        (1, 7, 0.0703125, 0.99609375),
        (15, 5, 0.0413895, 0.0206947),
        (0, 0, 1, 1),
        (3, 3, 1, 0.65625),
        (5, 0, 0.0625, 0.03125),
    ],
)
def test_mcnemar_is_the_binomial_test(gained: int, lost: int, two_sided: float, greater: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(two_sided, abs=1e-6)
    assert mcnemar(gained, lost, alternative="greater") == pytest.approx(greater, abs=1e-6)
    assert mcnemar(lost, gained, alternative="less") == pytest.approx(greater, abs=1e-6)


def test_mcnemar_agrees_with_scipy_small_and_large() -> None:
    for gained, lost in [(40, 22), (1100, 1000), (900, 1200)]:
        assert mcnemar(gained, lost) == pytest.approx(binomtest(gained, gained + lost).pvalue, rel=1e-9)
        theirs = binomtest(gained, gained + lost, alternative="greater").pvalue
        assert mcnemar(gained, lost, alternative="greater") == pytest.approx(theirs, rel=1e-9)


def test_mcnemar_keeps_its_level() -> None:
    """No change: the one-sided test at 5 % claims a gain in at most 5 % of runs."""
    rng = np.random.default_rng(1)
    claims = [mcnemar(int(gained), 60 - int(gained), "greater") < 0.05 for gained in rng.binomial(60, 0.5, 3000)]
    assert 0.015 < np.mean(claims) <= 0.055


def test_minimum_detectable_effect_is_detected_with_that_power() -> None:
    n, discordance = 500, 0.2
    effect = minimum_detectable_effect(n, discordance)
    assert effect == pytest.approx(0.0559, abs=2e-4)
    assert minimum_detectable_effect(1319, discordance) < effect
    assert minimum_detectable_effect(n, discordance, two_sided=False) < effect
    assert math.isinf(minimum_detectable_effect(5, 0.1))
    rng = np.random.default_rng(2)
    up, down = (discordance + effect) / 2, (discordance - effect) / 2
    tables = rng.multinomial(n, [up, down, 1 - discordance], size=4000)
    z = (tables[:, 0] - tables[:, 1]) / np.sqrt(np.maximum(1, tables[:, 0] + tables[:, 1]))
    assert np.mean(z > normal_quantile(0.975)) == pytest.approx(0.8, abs=0.03)


def test_bootstrap_repeats_and_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(3).random(400)
    first = bootstrap(values, seed=7)
    assert first == bootstrap(values, seed=7)
    assert first != bootstrap(values, seed=8)
    half = 1.96 * values.std() / 20
    assert first == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)
    with pytest.raises(ValueError, match="each item"):
        bootstrap([], seed=0)
