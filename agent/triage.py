"""What kind of failure each probe problem is, over its k samples. Knows nothing of texts' meaning or of clusters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum

from memory.ids import normalise_text
from memory.records import Attempt, Outcome

#: Fewer samples than this cannot cast doubt on a gold answer.
GOLD_SUSPECT_SAMPLES = 4


class Triage(StrEnum):
    """How a problem fared; a closed set, first match in this order (``passed`` when nothing failed)."""

    ERRORED = "errored"
    TRUNCATED = "truncated"
    UNPARSED = "unparsed"
    INCONSISTENT = "inconsistent"
    GOLD_SUSPECT = "gold_suspect"
    WRONG = "wrong"
    PASSED = "passed"


def triage(attempts: Sequence[Attempt]) -> dict[str, Triage]:
    """The kind of every problem that was attempted, by problem id, sorted."""
    by_problem: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_problem[attempt.problem_id].append(attempt)
    return {problem_id: triage_one(samples) for problem_id, samples in sorted(by_problem.items())}


def triage_one(samples: Sequence[Attempt]) -> Triage:
    """The kind of one problem from its samples; samples that errored count only where there are no others.

    - errored: every sample errored, nothing is known;
    - truncated: every failing sample ran out of tokens: a longer limit may be the cure, not practice;
    - unparsed: no failing sample gave an answer that could be read;
    - inconsistent: right in some samples, wrong in others;
    - gold_suspect: at least `GOLD_SUSPECT_SAMPLES` samples, not all the same text, agree on one other answer;
    - wrong: wrong in all.
    """
    judged = [sample for sample in samples if sample.outcome is not Outcome.ERRORED]
    if not judged:
        return Triage.ERRORED
    failing = [sample for sample in judged if sample.outcome is not Outcome.CORRECT]
    if not failing:
        return Triage.PASSED
    outcomes = {sample.outcome for sample in failing}
    if outcomes == {Outcome.TRUNCATED}:
        return Triage.TRUNCATED
    if Outcome.WRONG not in outcomes:
        return Triage.UNPARSED
    if len(failing) < len(judged):
        return Triage.INCONSISTENT
    return Triage.GOLD_SUSPECT if _agree_on_another(failing) else Triage.WRONG


def _agree_on_another(failing: Sequence[Attempt]) -> bool:
    """Several independent samples, one answer. Equal texts (greedy decoding) are one sample, not several."""
    if len(failing) < GOLD_SUSPECT_SAMPLES or any(sample.outcome is not Outcome.WRONG for sample in failing):
        return False
    answers = {normalise_text(sample.extracted) if sample.extracted is not None else None for sample in failing}
    return None not in answers and len(answers) == 1 and len({sample.text for sample in failing}) > 1


def counts(found: Mapping[str, Triage]) -> dict[str, int]:
    """How many failed problems are of each kind, all kinds named; sums to the number of failed problems."""
    return {kind.value: sum(1 for got in found.values() if got is kind) for kind in Triage if kind is not Triage.PASSED}


def wrong_answers(attempts: Sequence[Attempt]) -> dict[str, str | None]:
    """The answer read from the first failing sample of each failed problem, by problem id."""
    found: dict[str, str | None] = {}
    for attempt in sorted(attempts, key=lambda item: (item.problem_id, item.sample_index)):
        if attempt.outcome is not Outcome.CORRECT:
            found.setdefault(attempt.problem_id, attempt.extracted)
    return found
