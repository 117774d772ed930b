"""What may be decided: every fault of some decisions about what a run waits for, each with its place.

Pure. Owns the rules; files and lines are `agent.review.files`' business.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.review.pending import Pending
from memory.errors import UsageError
from memory.records import LABEL_PREFIX
from memory.reviews import ClusterDecision, Decisions, DraftDecision, Point

MAX_LABEL, MAX_NOTE, MAX_COMMENT, MAX_WEIGHT = 200, 4000, 4000, 1000.0
_HIDDEN = re.compile(rf"(?<!\S){re.escape(LABEL_PREFIX)}\S")
#: How a name that was meant is found: the similarity of an id to a known one.
_NEAR = 0.6


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: in which list, at which place of it, with which key (None: all of it), and the words."""

    part: str
    at: int | None
    key: str | None
    text: str


def checked(waiting: Pending | None, decisions: Decisions) -> Decisions:
    """The decisions without what changes nothing, in the order of ids.

    Raises:
        UsageError: a line for each fault.
    """
    found = faults(waiting, decisions)
    if found:
        raise UsageError("\n".join(_placed(fault, decisions) for fault in found))
    assert waiting is not None  # else there is a fault
    return slimmed(waiting, decisions)


def faults(waiting: Pending | None, decisions: Decisions) -> list[Fault]:
    """All that is wrong; a stale review is told as such and looked at no further."""
    stale = _stale(waiting, decisions)
    if stale is not None or waiting is None:
        return [stale] if stale is not None else []
    found = list(_long("", None, "comment", decisions.comment, MAX_COMMENT, lines=True))
    if waiting.point is Point.DIAGNOSE:
        if decisions.drafts:
            found.append(Fault("drafts", None, None, "there are no drafts yet: this review is of the clusters"))
        return [*found, *_cluster_faults(waiting, decisions.clusters)]
    if decisions.clusters:
        found.append(Fault("clusters", None, None, "the clusters are decided already: this review is of the drafts"))
    return [*found, *_draft_faults(waiting, decisions.drafts)]


def _stale(waiting: Pending | None, decisions: Decisions) -> Fault | None:
    made = f"it was made for round {decisions.round} after {decisions.point.value}"
    if waiting is None:
        return Fault("", None, "state", f"{made}, and the run waits for no review (it was decided already, or went on)")
    if (decisions.round, decisions.point) != (waiting.round, waiting.point):
        now = f"round {waiting.round} after {waiting.point.value}"
        return Fault("", None, "round", f"{made}, and the run now waits at {now}. Look at that: remedial review")
    if decisions.state != waiting.state:
        what = "clusters" if waiting.point is Point.DIAGNOSE else "drafts"
        return Fault("", None, "state", f"it was made for other {what} than the run waits with now. Write a new one")
    return None


def _cluster_faults(waiting: Pending, given: Sequence[ClusterDecision]) -> Iterator[Fault]:
    labels = {item.id: item.label for item in waiting.clusters}
    yield from _names("clusters", [item.id for item in given], list(labels), "cluster")
    by_id = {item.id: item for item in reversed(given)}
    for at, item in enumerate(given):
        if item.id not in labels:
            continue
        yield from _merging(at, item, by_id, list(labels))
        if item.weight is not None and not (math.isfinite(item.weight) and 0 < item.weight <= MAX_WEIGHT):
            text = f"weight {item.weight:g} must be above 0 and at most {MAX_WEIGHT:g}"
            yield Fault("clusters", at, "weight", f"{text}; to give a cluster nothing, drop it")
        if item.label is not None and item.label != labels[item.id]:
            if not item.label.strip():
                yield Fault("clusters", at, "label", "label is empty; give a name, or leave the key out")
            yield from _long("clusters", at, "label", item.label, MAX_LABEL, lines=False)
        if item.note is not None:
            yield from _long("clusters", at, "note", item.note, MAX_NOTE, lines=True)
        for key in _changes(item, labels[item.id]) if item.action != "keep" else ():
            where = f"{item.into}, which it is merged into" if item.action == "merge" else "a cluster that is kept"
            yield Fault("clusters", at, key, f"{key} of a cluster that is not kept changes nothing; give it to {where}")
    gone = {item.id for item in given if item.action != "keep"}
    if labels and gone >= labels.keys() and all(item.action == "drop" for item in given if item.id in labels):
        text = "all clusters are dropped, so that nothing is left to practise. Keep one, or end the run: "
        yield Fault("clusters", None, None, text + f"remedial resume {waiting.run} --finish")


def _merging(
    at: int, item: ClusterDecision, by_id: dict[str, ClusterDecision], known: Sequence[str]
) -> Iterator[Fault]:
    if item.action != "merge":
        if item.into:
            yield Fault("clusters", at, "into", f"into stands beside action {item.action}; write action: merge")
        return
    if not item.into:
        yield Fault("clusters", at, "action", "merge needs into: the id of the cluster that it joins")
        return
    if item.into not in known:
        yield Fault("clusters", at, "into", f"into: there is no cluster {item.into!r}{_nearest(item.into, known)}")
        return
    path, name = [item.id], item.into
    while name not in path:
        path.append(name)
        target = by_id.get(name)
        if target is None or target.action == "keep" or not target.into:
            if target is not None and target.action == "drop":
                yield Fault("clusters", at, "into", f"it is merged into {name}, which is dropped; drop it as well")
            return
        name = target.into
    if name == item.id:
        yield Fault("clusters", at, "into", f"clusters are merged in a circle: {' -> '.join([*path, name])}")


def _draft_faults(waiting: Pending, given: Sequence[DraftDecision]) -> Iterator[Fault]:
    known = {item.id: item for item in waiting.drafts}
    yield from _names("drafts", [item.id for item in given], list(known), "draft")
    trained = {item.id for item in waiting.drafts if item.accepted}
    before = len(trained)
    for at, item in enumerate(given):
        draft = known.get(item.id)
        if draft is None:
            continue
        if item.action == "veto":
            trained.discard(item.id)
        elif item.action == "accept":
            trained.add(item.id)
            if draft.objection is not None:
                yield Fault("drafts", at, "action", f"it can't be accepted by hand: {draft.objection}")
    if before and not trained:
        text = "all accepted drafts are vetoed, so that nothing is left to train on. Keep one, or end the run: "
        yield Fault("drafts", None, None, text + f"remedial resume {waiting.run} --finish")


def _names(part: str, given: Sequence[str], known: Sequence[str], what: str) -> Iterator[Fault]:
    for at, name in enumerate(given):
        if name not in known:
            yield Fault(part, at, "id", f"there is no {what} {name[:80]!r}{_nearest(name, known)}")
        elif name in given[:at]:
            yield Fault(part, at, "id", f"{what} {name} is given twice; keep one")


def _nearest(name: str, known: Sequence[str]) -> str:
    begun = [item for item in known if len(name) > 3 and item.startswith(name)]
    near = begun or difflib.get_close_matches(name[:80], known, n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]}?" if near else "; the ids are those of remedial review --json"


def _long(part: str, at: int | None, key: str, text: str, most: int, *, lines: bool) -> Iterator[Fault]:
    allowed = "\n\t" if lines else ""
    if len(text) > most:
        yield Fault(part, at, key, f"{key} has {len(text):,} characters, at most {most:,} are taken")
    elif any(unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in text):
        yield Fault(part, at, key, f"{key} holds control characters{'' if lines else ' or line ends'}; take them out")
    elif _HIDDEN.search(text):
        yield Fault(part, at, key, f"{key} holds a tag {LABEL_PREFIX}..., which may not reach a teacher; reword it")


def _changes(item: ClusterDecision, label: str) -> list[str]:
    """The keys of a cluster that are not as they were."""
    changed: dict[str, Callable[[], bool]] = {
        "label": lambda: item.label is not None and item.label != label,
        "weight": lambda: item.weight is not None and item.weight != 1,
        "note": lambda: bool(item.note and item.note.strip()),
    }
    return [key for key, is_changed in changed.items() if is_changed()]


def slimmed(waiting: Pending, decisions: Decisions) -> Decisions:
    """Only what changes something, in the order of ids: what is stored, and what a hash may depend on."""
    labels = {item.id: item.label for item in waiting.clusters}
    accepted = {item.id: item.accepted for item in waiting.drafts}
    clusters = []
    for item in sorted(decisions.clusters, key=lambda item: item.id):
        changes = _changes(item, labels[item.id])
        if item.action == "keep" and not changes:
            continue
        clusters.append(
            ClusterDecision(
                id=item.id,
                action=item.action,
                into=item.into or None,
                label=item.label.strip() if item.label and "label" in changes else None,
                weight=item.weight if "weight" in changes else None,
                note=item.note.strip() if item.note and "note" in changes else None,
            )
        )
    drafts = [item for item in decisions.drafts if item.action == ("veto" if accepted[item.id] else "accept")]
    return decisions.model_copy(
        update={
            "clusters": tuple(clusters),
            "drafts": tuple(sorted(drafts, key=lambda item: item.id)),
            "comment": decisions.comment.strip(),
        }
    )


def _placed(fault: Fault, decisions: Decisions) -> str:
    """A fault with the id it is about."""
    if fault.at is None:
        return f"review: {fault.text}."
    items: Sequence[ClusterDecision | DraftDecision] = getattr(decisions, fault.part)
    return f"review, {fault.part}[{fault.at}] ({items[fault.at].id[:80]}): {fault.text}."
