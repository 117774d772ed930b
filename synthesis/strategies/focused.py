"""The focused strategy: `targeted`, but only for failures within reach: neither slips nor what is far too hard.

A slip is a failure on a problem whose worked solution the student finds as likely as those of problems it solves: it
knows the way and stumbled, and practice of what is known does not mend that. At the other end, practice of what the
student finds least likely taught it nothing in one epoch (docs/results.md), and it is paid for like any other.
"""

from __future__ import annotations

import math
from fractions import Fraction

from memory.records import Weakness
from synthesis.strategies.base import Aim, View
from synthesis.strategies.hard_loss import refuse_missing_losses
from synthesis.strategies.targeted import Targeted

#: A failure is a slip where its loss is no higher than that of this share of the solved problems.
SOLVED_BELOW = 0.95
#: Of the failures that are no slips, this share, those of the highest loss, is left out.
TOO_HARD = Fraction(1, 3)


class Focused(Targeted):
    """Clusters as found, cut down to the failures within reach; a cluster's claim is the number of these.

    Where nothing was solved there are no slips, and where all failures are slips they are all kept.
    """

    name = "focused"
    needs_losses = True

    def aims(self, view: View, seed: int) -> list[Aim]:
        """The clusters that have failures within reach, each shown with these alone.

        Raises:
            ConfigError: a problem has no loss.
        """
        refuse_missing_losses(self.name, view)
        kept = within_reach(view)
        aims = []
        for aim in view.clusters:
            shown = tuple(pair for pair in aim.shown if pair[0].id in kept)
            if shown:
                aims.append(Aim(_narrowed(aim.weakness, kept), shown))
        return aims


def within_reach(view: View) -> set[str]:
    """Ids of the failed problems that are neither slips nor among the hardest; ties go by id."""
    failed = {problem.id for aim in view.clusters for problem, _ in aim.shown}
    wrong = failed | view.dropped
    solved = sorted(view.losses[problem.id] for problem in view.problems if problem.id not in wrong)
    threshold = solved[math.ceil(SOLVED_BELOW * len(solved)) - 1] if solved else -math.inf
    gaps = sorted((view.losses[name], name) for name in failed if view.losses[name] > threshold)
    return {name for _, name in gaps[: len(gaps) - math.floor(TOO_HARD * len(gaps))]} or failed


def _narrowed(weakness: Weakness, kept: set[str]) -> Weakness:
    """The cluster with those as members; its id stays, so that drafts and lineage name the same cluster."""
    members = tuple(name for name in weakness.problem_ids if name in kept)
    return weakness.model_copy(update={"problem_ids": members, "failures": len(members)})
