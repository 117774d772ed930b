"""Splits a round's budget over the clusters. Knows nothing of how they were found or of who writes the practice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from memory.errors import ConfigError
from memory.records import Allocation, Allotment, Weakness

#: What share of the budget each cluster has a claim to, in proportion.
Claim = Callable[[Weakness], int]

#: Every way to split a budget, by its name in a config.
ALLOCATORS: dict[str, Claim] = {
    "error_mass": lambda weakness: weakness.failures,
    "uniform": lambda weakness: 1,
}


def allocate(
    weaknesses: Sequence[Weakness],
    *,
    method: str,
    budget: int,
    strategy: str,
    round_index: int,
    min_per_cluster: int,
    weights: Mapping[str, float] | None = None,
) -> Allocation:
    """One allotment for each cluster, in the order given; together exactly ``budget``.

    Args:
        weaknesses: the clusters, or what a strategy aims at in their place.
        method: ``error_mass``, in proportion to the failures, or ``uniform``; see `ALLOCATORS`.
        budget: accepted drafts wanted this round.
        strategy: the name of the strategy that shall write them.
        round_index: the round.
        min_per_cluster: what every cluster gets at least; lowered to an equal share where the budget is too small.
        weights: factors of the clusters' claims by id, above 0, where a review gave some.

    Without clusters there is nothing to spend on: no allotment and a budget of 0.

    Raises:
        ConfigError: unknown method (with the known ones), or a negative number.
    """
    if method not in ALLOCATORS:
        raise ConfigError(f"allocate.method: unknown method {method!r}; known: {', '.join(sorted(ALLOCATORS))}.")
    if budget < 0 or min_per_cluster < 0:
        raise ConfigError(f"allocate: budget {budget} and min_per_cluster {min_per_cluster} must not be negative.")
    if not weaknesses:
        return Allocation(round=round_index, method=method, budget=0, allotments=())
    factors = weights or {}
    # Through its decimal text, so that 0.1 is a tenth: what a person wrote, not its nearest float.
    claims = [ALLOCATORS[method](item) * Fraction(str(factors.get(item.id, 1))) for item in weaknesses]
    names = [weakness.id for weakness in weaknesses]
    amounts = _with_minimum(claims, names, budget, min(min_per_cluster, budget // len(weaknesses)))
    return Allocation(
        round=round_index,
        method=method,
        budget=budget,
        allotments=tuple(
            Allotment(weakness_id=name, strategy=strategy, n=n) for name, n in zip(names, amounts, strict=True)
        ),
    )


def largest_remainder(claims: Sequence[int | Fraction], names: Sequence[str], total: int) -> list[int]:
    """Whole numbers in proportion to the claims that sum to ``total`` (Hamilton's method); ties go by name.

    All claims zero are taken as all equal.
    """
    if not claims:
        return []
    weights = list(claims) if sum(claims) > 0 else [1] * len(claims)
    shares = [Fraction(weight * total, sum(weights)) for weight in weights]
    amounts = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda at: (amounts[at] - shares[at], names[at]))
    for at in order[: total - sum(amounts)]:
        amounts[at] += 1
    return amounts


def _with_minimum(claims: Sequence[int | Fraction], names: Sequence[str], budget: int, least: int) -> list[int]:
    """In proportion to the claims, but ``least`` for those whose share is smaller; the others share the rest."""
    raised: set[int] = set()
    while True:
        free = [at for at in range(len(claims)) if at not in raised]
        part = largest_remainder([claims[at] for at in free], [names[at] for at in free], budget - least * len(raised))
        below = {at for at, n in zip(free, part, strict=True) if n < least}
        if not below:
            amounts = dict(zip(free, part, strict=True))
            return [amounts.get(at, least) for at in range(len(claims))]
        raised |= below
