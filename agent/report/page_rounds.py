"""What the page says of each round: its numbers, the funnel in plain words, what changed on dev, the reviews.

Reads a run folder; knows nothing of HTML. Long texts are given apart (`Changes.items`), to be packed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.report.facts import RoundFacts
from agent.report.reading import read_records
from memory.records import Accepted, Attempt, Measurement, Origin, Outcome, Problem
from memory.store import RunFolder

#: What a stage of the verification funnel leaves, in the words of the page.
PLAIN = {
    "read": "parsed",
    "agreement": "agreed",
    "algebra": "checked",
    "program": "checked",
    "second_family": "checked",
    "difficulty": "of use",
    "duplicate": "unique",
    "contamination": "clean",
    "review": "approved",
    "policy": "accepted",
}


def round_cards(rounds: Sequence[dict[str, Any]], facts: Sequence[RoundFacts]) -> list[dict[str, Any]]:
    """One dictionary a round, made from `agent.report.story`'s; regressions come before what was solved."""
    cards = []
    for entry, own in zip(rounds, facts, strict=True):
        mixture = own.mixture
        diagnosis = own.diagnosis
        cards.append(
            {
                **{key: value for key, value in entry.items() if key not in ("diagnosis", "funnel", "mixture")},
                "funnel": funnel(entry.get("funnel"), own),
                "mixture": None if mixture is None else {
                    "counts": mixture.counts, "requested": mixture.requested, "realised": mixture.realised,
                    "tokens": mixture.n_tokens,
                },
                "diagnosis": None if diagnosis is None else {
                    "k": diagnosis.k, "rule": diagnosis.k_rule, "stability": diagnosis.stability,
                    "triage": diagnosis.triage, "gone": len(diagnosis.gone),
                },
            }
        )  # fmt: skip
    return cards


def funnel(rows: Sequence[dict[str, Any]] | None, facts: RoundFacts) -> list[dict[str, Any]]:
    """From drafted to trained: ``name``, ``step``, ``left``, ``lost`` by reason, and on how many it abstained."""
    if not rows:
        return []
    found = [{"name": "drafted", "step": "teacher", "left": rows[0]["entered"], "lost": {}, "abstained": 0}]
    found += [
        {"name": PLAIN.get(row["name"], row["name"]), "step": row["name"], "left": row["left"],
         "lost": row["reasons"], "abstained": row["abstained"]}
        for row in rows
    ]  # fmt: skip
    if facts.mixture is not None:
        trained = trained_drafts(facts)
        spare = rows[-1]["left"] - len(trained)
        found.append(
            {"name": "trained", "step": "mix", "left": len(trained),
             "lost": {"more than planned": spare} if spare > 0 else {}, "abstained": 0}
        )  # fmt: skip
    return found


def trained_drafts(facts: RoundFacts) -> set[str]:
    """The ids of this round's drafts that stand in its mixture."""
    if facts.mixture is None:
        return set()
    new = {item.problem_id for item in facts.mixture.items if item.origin is Origin.NEW}
    drafts = [draft for batch in facts.batches for draft in batch.drafts]
    found: dict[str, str] = {}
    for draft in drafts:
        verdict = facts.verdicts.get(draft.id)
        if draft.problem.id in new and verdict is not None:
            accepted = verdict.accepted is Accepted.YES
            if accepted or draft.problem.id not in found:
                found[draft.problem.id] = draft.id
    return set(found.values())


def dev_changes(
    run: RunFolder, facts: Sequence[RoundFacts], problems: Mapping[str, Problem]
) -> dict[int, dict[str, Any]]:
    """By round, how its candidate fares on dev against the incumbent, item by item.

    ``regressed``, ``solved`` and ``failing`` are lists of items (statement, gold, both answers). The sealed test is
    never read.
    """
    known: dict[str, Measurement] = {}
    for found in read_records(run, "base", "measure", Measurement):
        known[found.report.student] = found
    changes: dict[int, dict[str, Any]] = {}
    for own in facts:
        for found in read_records(run, own.stage, "measure", Measurement):
            earlier = known.get(found.report.incumbent or "")
            if earlier is not None:
                changes[own.index] = _changes(earlier, found, problems)
            known.setdefault(found.report.student, found)
    return changes


def _changes(before: Measurement, after: Measurement, problems: Mapping[str, Problem]) -> dict[str, Any]:
    was = {attempt.problem_id: attempt for attempt in before.attempts}
    groups: dict[str, list[dict[str, Any]]] = {"regressed": [], "solved": [], "failing": []}
    for attempt in after.attempts:
        old = was.get(attempt.problem_id)
        if old is None:
            continue
        right = (old.outcome is Outcome.CORRECT, attempt.outcome is Outcome.CORRECT)
        name = {(True, False): "regressed", (False, True): "solved", (False, False): "failing"}.get(right)
        if name is not None:
            groups[name].append(_dev_item(old, attempt, problems.get(attempt.problem_id)))
    return groups


def _dev_item(old: Attempt, new: Attempt, problem: Problem | None) -> dict[str, Any]:
    return {
        "id": new.problem_id,
        "statement": problem.statement if problem else "(this problem is not in the run's data)",
        "gold": problem.answer if problem else "",
        "before": {"outcome": old.outcome.value, "extracted": old.extracted, "text": old.text},
        "after": {"outcome": new.outcome.value, "extracted": new.extracted, "text": new.text},
    }
