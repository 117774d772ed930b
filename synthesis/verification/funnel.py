"""The funnel of a round: what was drafted, what each check took out and why, what is left.

Owns the counting only. A draft is counted where it first fails, in the order in which checks were asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from memory.records import CheckOutcome, DraftBatch, Verdict

READ = "read"
POLICY = "policy"


@dataclass(frozen=True)
class Stage:
    """One row: how many came in and were left, and the reasons for those that were not.

    Attributes:
        name: ``read`` (of the reply), a verifier, or ``policy`` (undecided drafts leave here).
        entered: items that reached it.
        left: items that passed it or on which it abstained.
        abstained: of ``left``, those it said nothing about, and those it was not asked about.
        reasons: how many left here for which reason; sums to ``entered - left``.
    """

    name: str
    entered: int
    left: int
    abstained: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def funnel(batches: Sequence[DraftBatch], verdicts: Sequence[Verdict]) -> list[Stage]:
    """The rows from ``read`` to ``policy``; the last one's ``left`` are the accepted drafts.

    Args:
        batches: all of the round's batches; their refusals never became drafts.
        verdicts: one for each draft of the batches.
    """
    unread = Counter(refusal.reason for batch in batches for refusal in batch.refusals)
    drafted = sum(len(batch.drafts) for batch in batches)
    stages = [Stage(READ, drafted + unread.total(), drafted, reasons=_sorted(unread))]
    standing = list(verdicts)
    for name in _order(verdicts):
        reasons: Counter[str] = Counter()
        abstained = 0
        kept = []
        for verdict in standing:
            check = next((item for item in verdict.checks if item.verifier == name), None)
            if check is not None and check.outcome is CheckOutcome.FAIL:
                reasons[check.reason or "failed"] += 1
                continue
            abstained += check is None or check.outcome is CheckOutcome.ABSTAIN
            kept.append(verdict)
        stages.append(Stage(name, len(standing), len(kept), abstained, _sorted(reasons)))
        standing = kept
    undecided = Counter(verdict.reason for verdict in standing if verdict.reason)
    stages.append(Stage(POLICY, len(standing), len(standing) - undecided.total(), reasons=_sorted(undecided)))
    return stages


def _order(verdicts: Sequence[Verdict]) -> list[str]:
    """The verifiers in their order; the verdict with most checks has them all, as far as any was asked."""
    names: list[str] = []
    for verdict in sorted(verdicts, key=lambda item: -len(item.checks)):
        names += [check.verifier for check in verdict.checks if check.verifier not in names]
    return names


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def as_text(stages: Sequence[Stage]) -> str:
    """The funnel as a Markdown table."""
    lines = ["| stage | in | left | abstained | refused by reason |", "|---|---|---|---|---|"]
    for stage in stages:
        reasons = ", ".join(f"{reason} {count}" for reason, count in stage.reasons.items())
        lines.append(f"| {stage.name} | {stage.entered} | {stage.left} | {stage.abstained} | {reasons} |")
    return "\n".join(lines)
