"""The focused strategy: `targeted`, but only for failures that are gaps in knowledge and not slips.

A slip is a failure on a problem whose worked solution the student finds as likely as those of problems it solves: it
knows the way and stumbled. Practice of what is known already cannot mend that, and it is paid for like any other.
"""

from __future__ import annotations

import math

from memory.records import Weakness
from synthesis.strategies.base import Aim, View
from synthesis.strategies.hard_loss import refuse_missing_losses
from synthesis.strategies.targeted import Targeted

#: A failure is a gap where its loss is above that of this share of the solved problems.
SOLVED_BELOW = 0.95


class Focused(Targeted):
    """Clusters as found, cut down to their gaps; a cluster's claim is the number of its gaps.

    Where nothing was solved, or no failure lies above the threshold, every failure is a gap.
    """

    name = "focused"
    needs_losses = True

    def aims(self, view: View, seed: int) -> list[Aim]:
        """The clusters that have gaps, each shown with these alone.

        Raises:
            ConfigError: a problem has no loss.
        """
        refuse_missing_losses(self.name, view)
        gaps = gaps_of(view)
        aims = []
        for aim in view.clusters:
            shown = tuple(pair for pair in aim.shown if pair[0].id in gaps)
            if shown:
                aims.append(Aim(_narrowed(aim.weakness, gaps), shown))
        return aims


def gaps_of(view: View) -> set[str]:
    """Ids of the failed problems whose loss is above that of `SOLVED_BELOW` of the solved ones."""
    failed = {problem.id for aim in view.clusters for problem, _ in aim.shown}
    solved = sorted(view.losses[problem.id] for problem in view.problems if problem.id not in failed)
    threshold = solved[math.ceil(SOLVED_BELOW * len(solved)) - 1] if solved else -math.inf
    return {name for name in failed if view.losses[name] > threshold} or failed


def _narrowed(weakness: Weakness, gaps: set[str]) -> Weakness:
    """The cluster with its gaps as members; its id stays, so that drafts and lineage name the same cluster."""
    members = tuple(name for name in weakness.problem_ids if name in gaps)
    return weakness.model_copy(update={"problem_ids": members, "failures": len(members)})
