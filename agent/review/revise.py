"""From decisions to what a round goes on with. Pure: the same diagnosis or verdicts and decisions, the same result.

Owns what merging, renaming, weighting, annotating, vetoing and accepting mean. Expects decisions that
`agent.review.check` has let through; time and author never come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.review.overrule import is_soft
from eval.stats import wilson
from memory.records import Accepted, Check, CheckOutcome, Diagnosis, Trend, Verdict, Weakness
from memory.reviews import ClusterDecision, Decisions

MAX_KEYPHRASES = 8
#: The check that a veto or an acceptance by hand leaves in a verdict.
REVIEW, VERSION = "review", "1"


@dataclass(frozen=True)
class Steering:
    """What a review of the clusters changes about spending and asking, by cluster id; empty where nothing."""

    weights: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def revise_diagnosis(diagnosis: Diagnosis, decisions: Decisions | None) -> tuple[Diagnosis, Steering]:
    """The diagnosis to go on with, and weights and notes for it.

    A cluster that others join keeps its id: practice is booked under it. Its members are the union, ``n`` and
    ``failures`` are counted anew with their Wilson interval, and it has no stability, which nobody measured. Clusters
    that are not named stay as they are, so that approving changes nothing. The next round is matched with the clusters
    as they were found, not with these: what is dropped here still fails.
    """
    if decisions is None or not decisions.clusters:
        return diagnosis, Steering()
    by_id = {item.id: item for item in decisions.clusters}
    joining: dict[str, list[Weakness]] = {}
    for weakness in diagnosis.weaknesses:
        joining.setdefault(joined(weakness.id, by_id), []).append(weakness)
    kept = []
    for weakness in diagnosis.weaknesses:
        own = by_id.get(weakness.id)
        if own is not None and own.action != "keep":
            continue
        others = [item for item in joining.get(weakness.id, []) if item.id != weakness.id]
        revised = merged(weakness, others) if others else weakness
        if own is not None and own.label is not None:
            revised = revised.model_copy(update={"label": own.label})
        kept.append(revised)
    names = {weakness.id for weakness in kept}
    own_words = [item for item in decisions.clusters if item.id in names]
    return (
        diagnosis.model_copy(
            update={"weaknesses": tuple(sorted(kept, key=lambda item: (-item.failures, item.id)))},
        ),
        Steering(
            weights={item.id: item.weight for item in own_words if item.weight is not None},
            notes={item.id: item.note for item in own_words if item.note is not None},
        ),
    )


def joined(name: str, decisions: Mapping[str, ClusterDecision]) -> str:
    """The cluster in which ``name`` ends: merging may go through several."""
    for _ in range(len(decisions) + 1):
        own = decisions.get(name)
        if own is None or own.action != "merge" or own.into is None:
            return name
        name = own.into
    raise ValueError(f"clusters are merged in a circle, through {name}")


def merged(target: Weakness, others: Sequence[Weakness]) -> Weakness:
    """``target`` with the members of ``others``; what is known of the round before is added up where it is known."""
    group = [target, *sorted(others, key=lambda item: item.id)]
    members = tuple(sorted({name for item in group for name in item.problem_ids}))
    n = sum(item.n for item in group)
    low, high = wilson(len(members), n)
    before = [item.parent_failures for item in group if item.parent_failures is not None]
    phrases = list(dict.fromkeys(phrase for item in group for phrase in item.keyphrases))
    notes = [item.note for item in group if item.note]
    return target.model_copy(
        update={
            "keyphrases": tuple(phrases[:MAX_KEYPHRASES]),
            "problem_ids": members,
            "n": n,
            "failures": len(members),
            "failure_rate": len(members) / n,
            "low": low,
            "high": high,
            "stability": None,
            "parent_failures": sum(before) if before else None,
            "trend": _trend(len(members), sum(before)) if target.parent is not None else target.trend,
            "note": "; ".join(notes) or None,
        }
    )


def _trend(now: int, before: int) -> Trend:
    if now == before:
        return Trend.SAME
    return Trend.SHRUNK if now < before else Trend.GROWN


def revise_verdicts(verdicts: Sequence[Verdict], decisions: Decisions | None) -> list[Verdict]:
    """The verdicts to go on with, order kept; those of drafts that are not named stay as they are.

    Both kinds of decision leave a check of their own. A check that was overruled becomes an abstention whose reason
    says so: it is no longer held against the draft, and still to be read.
    """
    actions = {item.id: item.action for item in decisions.drafts} if decisions is not None else {}
    return [_revised(verdict, actions.get(verdict.draft_id, "keep")) for verdict in verdicts]


def _revised(verdict: Verdict, action: str) -> Verdict:
    if action == "veto" and verdict.accepted is Accepted.YES:
        checks = (*verdict.checks, _word(CheckOutcome.FAIL, "veto"))
        return verdict.model_copy(update={"accepted": Accepted.NO, "checks": checks})
    if action == "accept" and verdict.accepted is not Accepted.YES:
        overruled = tuple(_overruled(check) for check in verdict.checks)
        checks = (*overruled, _word(CheckOutcome.PASS, "accepted_by_hand"))
        return verdict.model_copy(update={"accepted": Accepted.YES, "checks": checks, "missing": ()})
    return verdict


def by_hand(verdict: Verdict) -> bool:
    """Whether a person accepted what the checks had not."""
    return verdict.accepted is Accepted.YES and any(check.verifier == REVIEW for check in verdict.checks)


def vetoed(verdict: Verdict) -> bool:
    """Whether a person refused what the checks had accepted."""
    return any(check.verifier == REVIEW and check.outcome is CheckOutcome.FAIL for check in verdict.checks)


def _overruled(check: Check) -> Check:
    if check.outcome is not CheckOutcome.FAIL:
        return check
    if not is_soft(check):
        raise ValueError(f"{check.verifier}:{check.reason} cannot be overruled")
    return check.model_copy(update={"outcome": CheckOutcome.ABSTAIN, "reason": f"{check.reason}_overruled"})


def _word(outcome: CheckOutcome, reason: str) -> Check:
    return Check(verifier=REVIEW, version=VERSION, outcome=outcome, reason=reason)
