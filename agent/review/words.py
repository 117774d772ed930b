"""Reviews as views show them: a JSON-able entry for each, and what was changed in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.review.state import decided
from memory.reviews import ClusterDecision, Decisions, Point, ReviewRecord
from memory.store import RunFolder

APPROVED = "approved as it was"


def reviews(run: RunFolder, index: int) -> list[dict[str, Any]]:
    """The reviews of a round in their order: point, time, author, comment, changes in words, and the decisions."""
    found = (decided(run, index, point) for point in Point)
    return [entry(record) for record in found if record is not None]


def entry(record: ReviewRecord) -> dict[str, Any]:
    """One review. Labels, notes, comment and author are as they were given: escape them for where they are shown."""
    decisions = record.decisions
    return {
        "id": record.id,
        "point": decisions.point.value,
        "time": record.time,
        "author": record.author,
        "comment": decisions.comment,
        "changes": changes(decisions),
        "clusters": [item.model_dump(mode="json", exclude={"schema_version"}) for item in decisions.clusters],
        "drafts": [item.model_dump(mode="json", exclude={"schema_version"}) for item in decisions.drafts],
    }


def changes(decisions: Decisions) -> list[str]:
    """What was changed, in words; `APPROVED` where nothing was."""
    found = [text for item in decisions.clusters for text in _of_cluster(item)]
    found += [f"{'vetoed' if item.action == 'veto' else 'accepted by hand'} {item.id}" for item in decisions.drafts]
    return found or [APPROVED]


def _of_cluster(item: ClusterDecision) -> Iterator[str]:
    if item.action == "drop":
        yield f"dropped {item.id}"
    if item.action == "merge":
        yield f"merged {item.id} into {item.into}"
    if item.label is not None:
        yield f"renamed {item.id} to {item.label!r}"
    if item.weight is not None:
        yield f"gave {item.id} {item.weight:g} times its share"
    if item.note is not None:
        yield f"told the teacher about {item.id}: {item.note!r}"
