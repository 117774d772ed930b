"""The Strategy seam: what to spend a round's budget on, what to ask for, and how to read the reply. No I/O.

A strategy is also an arm of a comparison: what tells two arms apart is which problems they show to whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from memory.ids import short_id
from memory.records import Attempt, Draft, Problem, Refusal, TeacherReply, TeacherRequest, Weakness

#: A probe problem that may be shown; with the student's wrong attempt where the strategy may know of it.
Failure = tuple[Problem, Attempt | None]
#: Who answers the requests: the teacher, the corpus of `draft.retrieval`, the text of `draft.web`, or nobody (there are
#: no requests).
Writer = Literal["teacher", "corpus", "web", "nobody"]


@dataclass(frozen=True)
class Aim:
    """One thing a part of the budget is spent on: a cluster, or what stands for one, and the problems shown for it."""

    weakness: Weakness
    shown: tuple[Failure, ...]


@dataclass(frozen=True)
class View:
    """What a strategy may choose from.

    Attributes:
        problems: the whole probe split.
        clusters: the clusters of failures, as diagnosed.
        losses: the student's mean loss on each probe problem's gold solution, nats per token; empty unless the
            strategy ``needs_losses``.
        dropped: failed problems that are in none of ``clusters``, because a person dropped theirs.
    """

    problems: tuple[Problem, ...]
    clusters: tuple[Aim, ...]
    losses: Mapping[str, float] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    @property
    def n_failed(self) -> int:
        """Failed problems in all clusters."""
        return sum(len(aim.shown) for aim in self.clusters)


class Strategy(Protocol):
    """Chooses aims, turns an aim into requests, and replies into drafts."""

    @property
    def name(self) -> str:
        """The strategy's name in configs and records."""

    @property
    def fingerprint(self) -> str:
        """Hash of name and settings."""

    @property
    def writer(self) -> Writer:
        """Who answers its requests."""

    @property
    def needs_losses(self) -> bool:
        """Whether `View.losses` must be there."""

    @property
    def checks(self) -> frozenset[str] | None:
        """The only verifiers that are asked about its drafts, and none of them must pass; None: as configured."""

    def aims(self, view: View, seed: int) -> list[Aim]:
        """What the budget is to be split over; empty where there is nothing to write."""

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``; ``failed`` is what an aim shows.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Read one reply. Never raises on what a model wrote: what cannot be read becomes a Refusal."""


class OnClusters:
    """What most strategies share: they aim at the clusters as found, and ask the teacher."""

    writer: Writer = "teacher"
    needs_losses = False
    checks: frozenset[str] | None = None

    def aims(self, view: View, seed: int) -> list[Aim]:
        """The clusters, with all their failures."""
        return list(view.clusters)


def one_aim(name: str, view: View, problems: Sequence[Problem]) -> list[Aim]:
    """A single aim at ``problems`` that tells nothing of failure: no name, no key phrases, no wrong answers.

    It carries the round of the view's clusters and counts as many failures as it has problems, so that it gets
    the whole budget whatever the allocation's method.
    """
    if not problems:
        return []
    names = tuple(sorted(problem.id for problem in problems))
    weakness = Weakness(
        id=short_id("w", [name, names]),
        round=view.clusters[0].weakness.round if view.clusters else 0,
        label="",
        keyphrases=(),
        problem_ids=names,
        n=len(names),
        failures=len(names),
        failure_rate=1.0,
        low=0.0,
        high=1.0,
    )
    return [Aim(weakness, tuple((problem, None) for problem in problems))]
