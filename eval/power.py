"""What a comparison over items and runs can find, before anything is spent: power and minimum detectable effect.

The power of the very rule of `eval.crossed`, by normal theory, with the chance of the run means' variances summed out.
Light: numpy, and scipy where it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from eval.crossed import Array, Parts, standard_error
from eval.stats import minimum_detectable_effect

#: Quantiles of each arm's run variance over which the power is averaged.
GRID = 96


@dataclass(frozen=True)
class Plan:
    """A comparison of two arms with ``seeds`` runs each on ``items`` shared items.

    ``disagreement`` is the share of items on which two runs of one arm differ (it holds the run component);
    ``run_variance`` the variance of the true means of an arm's runs; ``interaction`` the variance over items of the
    true difference between the arms. All are of shares, not points.

    Raises:
        ValueError: where these make no comparison.
    """

    items: int
    seeds: int
    disagreement: float
    run_variance: float = 0.0
    interaction: float = 0.0

    def __post_init__(self) -> None:
        if self.items < 2 or self.seeds < 1 or not 0 < self.disagreement <= 1:
            raise ValueError("a plan has at least two items, at least one seed, and a disagreement in (0, 1]")
        if min(self.run_variance, self.interaction) < 0 or self.run_variance >= self.disagreement / 2:
            raise ValueError(
                "variances are not negative, and two runs' disagreement is more than twice the run variance"
            )


def _critical(plan: Plan, alpha: float) -> tuple[Array, float]:
    """The differences beyond which the rule finds one, over a grid of run variances; and the true standard error."""
    from scipy.special import gammaincinv, stdtrit

    n, seeds = plan.items, plan.seeds
    residual = np.asarray((plan.disagreement / 2 - plan.run_variance) / (n * seeds))
    items = 2 * residual + plan.interaction / n
    nu = seeds - 1
    # Chi-square over its degrees of freedom at the midpoints of equal shares; one axis for each arm.
    chance = gammaincinv(nu / 2, (np.arange(GRID) + 0.5) / GRID) * 2 / nu
    runs = (residual + plan.run_variance / seeds) * chance
    error = standard_error(Parts(n, items, (runs[:, None], runs[None, :]), (residual, residual), (nu, nu)))
    return stdtrit(error.df, 1 - alpha / 2) * error.se, float(np.sqrt(items + 2 * plan.run_variance / seeds))


def power(plan: Plan, effect: float, alpha: float = 0.05) -> float:
    """Chance that the verdict is not ``not distinguishable`` where the true difference is ``effect``.

    With two seeds or more; an ``effect`` of 0 gives the rule's false-positive rate.

    Raises:
        ValueError: one seed only.
    """
    if plan.seeds < 2:
        raise ValueError("power is for two seeds or more")
    critical, se = _critical(plan, alpha)
    return _beyond(critical, se, effect)


def _beyond(critical: Array, se: float, effect: float) -> float:
    from scipy.special import ndtr

    return float((ndtr((effect - critical) / se) + ndtr((-effect - critical) / se)).mean())


def detectable_effect(plan: Plan, power: float = 0.8, alpha: float = 0.05, pairs: int = 1) -> float:
    """The smallest true difference that is found with the given power; infinity where even the largest is not.

    With one seed, Connor's formula for McNemar's test plus 1 / items, since the exact test behaves like one with a
    continuity correction. With ``pairs`` compared, Holm's first step, ``alpha`` over
    ``pairs``: what holds whatever the other pairs show.

    Raises:
        ValueError: power or alpha outside (0, 1), or fewer than one pair.
    """
    if not (0 < power < 1 and 0 < alpha < 1) or pairs < 1:
        raise ValueError("power and alpha are in (0, 1), and there is at least one pair")
    alpha /= pairs
    if plan.seeds == 1:
        spread = min(1.0, plan.disagreement + plan.interaction)
        return minimum_detectable_effect(plan.items, spread, power, alpha) + 1 / plan.items
    critical, se = _critical(plan, alpha)
    low, high = 0.0, 1.0
    if _beyond(critical, se, high) < power:
        return inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _beyond(critical, se, middle) >= power else (middle, high)
    return high
