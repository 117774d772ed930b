"""The random strategy: the same teacher, told nothing of what failed. The baseline that targeting must beat."""

from __future__ import annotations

from synthesis.strategies.base import Aim, View, one_aim
from synthesis.strategies.targeted import Targeted


class Random(Targeted):
    """Shows problems of the whole probe split in a seeded order, solved ones too, and never a wrong answer."""

    name = "random"

    def aims(self, view: View, seed: int) -> list[Aim]:
        """One aim: all of the probe split."""
        return one_aim(self.name, view, view.problems)
