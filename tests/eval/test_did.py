"""Difference in differences: by hand, with runs in both groups, by simulation."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import t

from eval.crossed import standard_error
from eval.did import contrast_parts, difference_in_differences
from eval.stats import paired_difference

MASK = np.arange(200) < 60


def draw(
    rng: np.random.Generator, comparisons: int, seeds: tuple[int, int], common: float, own: float, effect: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Two arms, (comparisons, items, seeds); spreads of the runs on the logit scale, in both groups and in each."""
    item = 3 * rng.standard_normal((comparisons, MASK.size, 1))
    arms = []
    for count, gain in zip(seeds, (effect, 0.0), strict=True):
        both, on, off = rng.standard_normal((3, comparisons, 1, count)) if count > 1 else np.zeros((3, 1, 1, 1))
        logit = item + common * both + own * np.where(MASK[:, None], on, off) + gain * MASK[:, None]
        arms.append((rng.random((comparisons, MASK.size, count)) < expit(logit)).astype(float))
    return arms[0], arms[1]


def found_share(a: np.ndarray, b: np.ndarray) -> float:
    gap = a.mean(axis=2) - b.mean(axis=2)
    difference = gap[:, MASK].mean(axis=1) - gap[:, ~MASK].mean(axis=1)
    error = standard_error(contrast_parts(a, b, MASK))
    return float((2 * t.sf(np.abs(difference) / error.se, error.df) <= 0.05).mean())


def test_by_hand() -> None:
    targeted = np.array([True, True, False, False])
    a = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], dtype=float)
    b = np.array([[0, 1], [0, 0], [1, 1], [0, 0]], dtype=float)
    found = difference_in_differences(a, b, targeted)
    assert (found.targeted, found.untargeted, found.difference) == pytest.approx((0.5, -0.25, 0.75))
    pieces = contrast_parts(a, b, targeted)
    # Differences of the items: 0.5, 0.5 and -0.5, 0; contrasts of the runs: 0.5, 0.5 of a and -0.5, 0 of b.
    assert float(pieces.items) == pytest.approx(0 / 2 + 0.125 / 2)
    assert [float(run) for run in pieces.runs] == pytest.approx([0, 0.125 / 2])
    assert pieces.dfs == (1, 1)
    assert found.low <= found.difference <= found.high


def test_what_runs_share_between_the_groups_falls_out() -> None:
    """A run that is better everywhere is no evidence on targeting; what each group has of its own is."""
    rng = np.random.default_rng(1)
    shared = contrast_parts(*draw(rng, 400, (5, 5), 0.5, 0.0), MASK)
    own = contrast_parts(*draw(rng, 400, (5, 5), 0.0, 0.5), MASK)
    assert np.mean(shared.runs[0]) == pytest.approx(np.mean(shared.residuals[0]), rel=0.1)
    assert np.mean(own.runs[0]) > 2 * np.mean(own.residuals[0])


def test_the_variance_is_that_of_fresh_draws() -> None:
    a, b = draw(np.random.default_rng(2), 3000, (4, 4), 0.3, 0.3)
    gap = a.mean(axis=2) - b.mean(axis=2)
    true = (gap[:, MASK].mean(axis=1) - gap[:, ~MASK].mean(axis=1)).var()
    pieces = contrast_parts(a, b, MASK)
    estimate = np.mean(pieces.items + sum(pieces.runs) - sum(pieces.residuals))
    assert estimate == pytest.approx(true, rel=0.08)


@pytest.mark.parametrize(
    ("seeds", "common", "own"), [((5, 5), 0.0, 0.0), ((3, 3), 0.3, 0.0), ((3, 3), 0.1, 0.3), ((5, 1), 0.2, 0.1)]
)
def test_level(seeds: tuple[int, int], common: float, own: float) -> None:
    a, b = draw(np.random.default_rng(3), 1000, seeds, common, own)
    assert 0.01 <= found_share(a, b) <= 0.075


def test_an_effect_is_found() -> None:
    a, b = draw(np.random.default_rng(4), 200, (5, 5), 0.2, 0.0, effect=2.0)
    assert found_share(a, b) > 0.9
    found = difference_in_differences(a[0], b[0], MASK)
    assert found.method == "crossed"
    assert found.low > 0
    assert found.p < 0.05
    assert found.difference == pytest.approx(found.targeted - found.untargeted)
    turned = difference_in_differences(b[0], a[0], MASK)
    assert (turned.difference, turned.low, turned.p) == pytest.approx((-found.difference, -found.high, found.p))
    mirrored = difference_in_differences(a[0], b[0], ~MASK)
    assert (mirrored.difference, mirrored.low, mirrored.p) == pytest.approx((-found.difference, -found.high, found.p))


def test_single_runs_add_the_intervals_of_both_groups() -> None:
    a, b = draw(np.random.default_rng(5), 1, (1, 1), 0.0, 0.0, effect=2.0)
    found = difference_in_differences(a[0], b[0], MASK)
    on = paired_difference(a[0, MASK, 0].astype(int), b[0, MASK, 0].astype(int))
    off = paired_difference(a[0, ~MASK, 0].astype(int), b[0, ~MASK, 0].astype(int))
    assert found.method == "single"
    assert found.difference == pytest.approx(on.difference - off.difference)
    assert (found.difference - found.low) ** 2 == pytest.approx(
        (on.difference - on.low) ** 2 + (off.high - off.difference) ** 2
    )
    limits = difference_in_differences(a[0], b[0], MASK, alpha=found.p)
    assert limits.low == pytest.approx(0, abs=1e-6)
    copies = difference_in_differences(np.repeat(a[0], 3, axis=1), np.repeat(b[0], 2, axis=1), MASK)
    assert copies == found


def test_edges_have_finite_answers() -> None:
    right, wrong = np.ones((20, 3)), np.zeros((20, 3))
    noise = (np.random.default_rng(6).random((20, 3)) < 0.5).astype(float)
    targeted = np.arange(20) < 5
    whole = np.tile([1.0, 0.0, 0.0], (20, 1))  # each run all right or all wrong: no contrast, no residual
    split = np.where(targeted[:, None], right, wrong)
    for a, b in ((right, wrong), (right, right), (noise, right), (noise, 1 - noise), (whole, whole), (split, wrong)):
        found = difference_in_differences(a, b, targeted)
        assert -2 <= found.low <= found.difference <= found.high <= 2
        assert 0 <= found.p <= 1
    assert difference_in_differences(whole, right, targeted).p == 1
    assert 0 < difference_in_differences(split, wrong, targeted).p < 0.01


@pytest.mark.parametrize(
    ("shape", "mask", "value", "message"),
    [
        ((6, 2), np.ones(5, dtype=bool), 0.0, "6 items"),
        ((6, 2), np.ones(6), 0.0, "true or false"),
        ((6, 2), np.arange(6) < 1, 0.0, "two targeted"),
        ((5, 2), np.arange(5) < 2, 0.0, "same items"),
        ((6, 2), np.arange(6) < 2, 0.5, "0 or 1"),
    ],
)
def test_bad_input_is_refused(shape: tuple[int, int], mask: np.ndarray, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        difference_in_differences(np.full(shape, value), np.zeros((6, 2)), mask)
