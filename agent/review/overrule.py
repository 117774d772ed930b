"""What a person may overrule: which refused drafts can be accepted by hand.

The rule: what is proven stays; what is a matter of degree, or the word of a model, a person may judge better. A draft
that copies a measured problem would make the measurement worthless, a solution with a false equation teaches it, and
a copy of what is trained on anyway adds nothing: no reader changes that. That a problem is too easy, much like another,
solved otherwise by a model, or that no independent check could speak, a reader of the solution can put right, and
answers for it by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from memory.records import Check, CheckOutcome, Verdict

ANY = frozenset({"*"})
#: Verifier -> reasons of its that a person may overrule.
SOFT: Mapping[str, frozenset[str]] = {
    "difficulty": ANY,
    "agreement": ANY,
    "second_family": ANY,
    "program": ANY,
    "duplicate": frozenset({"same_template", "near_template", "embedding"}),
}
#: Must have looked and found nothing before anything is accepted by hand.
REQUIRED = "contamination"
_WHY = {
    "contamination": "it copies a problem that is measured",
    "duplicate": "its text is trained on already",
    "algebra": "its solution is wrong by exact arithmetic",
}


def objection(verdict: Verdict) -> str | None:
    """Why a draft with this verdict can't be accepted by hand, None where it can."""
    for check in verdict.checks:
        if check.outcome is CheckOutcome.FAIL and not is_soft(check):
            return f"{check.verifier}:{check.reason}: {_WHY.get(check.verifier, 'this check cannot be overruled')}"
    seen = next((check for check in verdict.checks if check.verifier == REQUIRED), None)
    if seen is None or seen.outcome is not CheckOutcome.PASS:
        return f"{REQUIRED} has not compared it with the measured problems"
    return None


def copies_measured(verdict: Verdict) -> bool:
    """Whether the draft was found to copy a problem that is measured."""
    return any(check.verifier == REQUIRED and check.outcome is CheckOutcome.FAIL for check in verdict.checks)


def is_soft(check: Check) -> bool:
    """Whether a failed check can be overruled."""
    soft = SOFT.get(check.verifier, frozenset())
    return soft == ANY or check.reason in soft
