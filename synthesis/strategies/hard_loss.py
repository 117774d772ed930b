"""The hard_loss strategy: practice for the problems on whose solutions the student's loss is highest.

No clusters and no answers of the student: where its loss is high, whether or not it answers rightly. arXiv 2512.00884
finds this hard to beat.
"""

from __future__ import annotations

from memory.errors import ConfigError
from synthesis.strategies.base import Aim, View, one_aim
from synthesis.strategies.targeted import Targeted


class HardLoss(Targeted):
    """Shows as many problems as failed, those of the highest loss; ties go by id."""

    name = "hard_loss"
    needs_losses = True

    def aims(self, view: View, seed: int) -> list[Aim]:
        """One aim: the problems of the highest loss.

        Raises:
            ConfigError: a problem has no loss.
        """
        refuse_missing_losses(self.name, view)
        ranked = sorted(view.problems, key=lambda problem: (-view.losses[problem.id], problem.id))
        return one_aim(self.name, view, ranked[: view.n_failed])


def refuse_missing_losses(strategy: str, view: View) -> None:
    """Raise `ConfigError` where a problem has no loss."""
    missing = [problem.id for problem in view.problems if problem.id not in view.losses]
    if missing:
        raise ConfigError(f"draft.strategy {strategy}: no loss of probe problem {missing[0]}; it must be measured.")
