"""What may be said of a cluster's failure rate: whether it fails more than the rest, or is too small to tell.

Owns the rule, which every view of clusters shares. Numbers in, words out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from eval.crossed import holm
from eval.stats import fisher_greater

ALPHA = 0.05


class Standing(StrEnum):
    """A cluster against the rest of the problems; a closed set."""

    MORE = "more"
    NOT_MORE = "not_more"
    TOO_SMALL = "too_small"
    ALONE = "alone"


@dataclass(frozen=True)
class Stands:
    """One cluster's standing.

    Attributes:
        standing: the verdict.
        p: Fisher's exact one-sided p-value; None where nothing was tested.
        p_holm: Holm's adjusted p-value over the clusters that were tested.
        remark: a sentence where the cluster does not stand out, else None.
    """

    standing: Standing
    p: float | None
    p_holm: float | None
    remark: str | None


def standings(counts: Sequence[tuple[int, int]], alpha: float = ALPHA) -> list[Stands]:
    """The standing of each cluster, order kept.

    ``counts`` are (failures, n) of disjoint clusters that make up all problems. Each is held against all the others
    together by Fisher's exact test, one-sided: does it fail more? Clusters for which no outcome could be significant
    (with the same number of failures overall, even n of n) are too small and are not tested, which costs the others
    nothing (Tarone 1990, Biometrics 46:515-522). Holm's step-down over the rest holds ``alpha`` for all of them.
    """
    failures, n = sum(count[0] for count in counts), sum(count[1] for count in counts)
    if len(counts) == 1:
        words = "the only cluster: there is no rest to compare it with"
        return [Stands(Standing.ALONE, None, None, words)]
    testable = [
        fisher_greater(most := min(size, failures), size, failures - most, n - size) <= alpha for _, size in counts
    ]
    p_values = [fisher_greater(failed, size, failures - failed, n - size) for failed, size in counts]
    adjusted = iter(holm([p for p, tested in zip(p_values, testable, strict=True) if tested]))
    found = []
    for (failed, size), p, tested in zip(counts, p_values, testable, strict=True):
        rest = 100 * (failures - failed) / (n - size) if n > size else 0.0
        if not tested:
            words = f"too small to tell: not even {size} failed of {size} would stand out from the rest ({rest:.0f} %)"
            found.append(Stands(Standing.TOO_SMALL, None, None, words))
            continue
        p_holm = next(adjusted)
        if p_holm <= alpha:
            found.append(Stands(Standing.MORE, p, p_holm, None))
            continue
        words = f"does not clearly fail more than the rest ({rest:.0f} %): p {p_holm:.2g} after Holm"
        found.append(Stands(Standing.NOT_MORE, p, p_holm, words))
    return found
