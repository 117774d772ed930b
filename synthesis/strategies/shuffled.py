"""The shuffled strategy: each cluster's budget is spent on another cluster's failures.

The teacher, its effort and the failures it sees in all are those of `targeted`; only that the practice goes where the
errors are is lost. What `targeted` gains over it is due to that.
"""

from __future__ import annotations

import random

from synthesis.strategies.base import Aim, View
from synthesis.strategies.targeted import Targeted


class Shuffled(Targeted):
    """Swaps what is shown between clusters, so that none keeps its own; one cluster alone stays as it is."""

    name = "shuffled"

    def aims(self, view: View, seed: int) -> list[Aim]:
        """The clusters in one seeded cycle: each is shown the failures, name and key phrases of the next one."""
        order = list(range(len(view.clusters)))
        random.Random(seed).shuffle(order)
        following = {at: order[(index + 1) % len(order)] for index, at in enumerate(order)}
        aims = []
        for at, own in enumerate(view.clusters):
            other = view.clusters[following[at]]
            told = {"label": other.weakness.label, "keyphrases": other.weakness.keyphrases}
            aims.append(Aim(own.weakness.model_copy(update=told), other.shown))
        return aims
