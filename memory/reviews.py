"""Records of the review gate: what a person decided about a round's clusters or drafts, when, and who.

Light, like `memory.records`. Knows nothing of files, of what may be decided, or of what follows from it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from memory.ids import short_id
from memory.records import Record


class Point(StrEnum):
    """Where a round can wait for a person: after ``diagnose`` (clusters) or after ``verify`` (drafts)."""

    DIAGNOSE = "diagnose"
    VERIFY = "verify"


class ClusterDecision(Record):
    """About one cluster, by its id. None leaves a field as it is.

    ``into`` is the cluster that a merged one joins; ``weight`` multiplies the cluster's claim to the budget; ``note``
    goes to the teacher.
    """

    id: str
    action: Literal["keep", "drop", "merge"] = "keep"
    into: str | None = None
    label: str | None = None
    weight: float | None = None
    note: str | None = None


class DraftDecision(Record):
    """About one draft, by its id; ``keep`` leaves the verdict as it is."""

    id: str
    action: Literal["keep", "veto", "accept"]


class Decisions(Record):
    """All that was decided at one point of one round. What is not named stays as it is.

    ``state`` is the hash of what was looked at: decisions about anything else are refused.
    """

    round: int
    point: Point
    state: str
    clusters: tuple[ClusterDecision, ...] = ()
    drafts: tuple[DraftDecision, ...] = ()
    comment: str = ""


class ReviewRecord(Record):
    """Decisions as they were submitted: ``time`` is UTC in ISO 8601, ``author`` a name. Written once."""

    id: str
    decisions: Decisions
    time: str
    author: str

    @classmethod
    def make(cls, decisions: Decisions, time: str, author: str) -> ReviewRecord:
        """Build a record and derive its id."""
        identity = [decisions.model_dump(mode="json"), time, author]
        return cls(id=short_id("review", identity), decisions=decisions, time=time, author=author)
