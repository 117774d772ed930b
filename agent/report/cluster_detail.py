"""One cluster in full: who failed and how, what was written for it, what was refused, and what annealing did to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.clusters import trend_text
from agent.report.drafts import misconceptions
from agent.report.facts import RoundFacts, fails, find_cluster, first_failure, probe_problems, round_facts
from agent.report.lineage import diagnoses_of, threads
from agent.report.reading import read_records
from agent.report.terminal import one_line, plain_table, short
from agent.review.state import decided
from agent.triage import Triage
from memory.errors import UsageError
from memory.records import Accepted, Allocation, CheckOutcome, Draft, Problem, Verdict, Weakness
from memory.reviews import Point
from memory.store import RunFolder


def cluster_detail(run: RunFolder, cluster_id: str, round_index: int | None = None) -> dict[str, Any]:
    """Everything `remedial clusters show ID --json` holds; rates are in points.

    Raises:
        UsageError: no cluster, or several, have this id or beginning of an id.
    """
    diagnoses = diagnoses_of(run)
    looked = [item for item in diagnoses if round_index is None or item.round == round_index]
    if round_index is not None and not looked:
        known = ", ".join(str(item.round) for item in diagnoses) or "none yet"
        raise UsageError(f"{run.path}: round {round_index} has no diagnosis. Diagnosed rounds: {known}.")
    cluster = find_cluster(looked, cluster_id, str(run.path))
    facts = round_facts(run, cluster.round)
    later = next((item.round for item in diagnoses if item.round > cluster.round), None)
    # A round in which nothing failed is probed too, and the one that a run was stopped in may be.
    after = round_facts(run, cluster.round + 1 if later is None else later)
    problems = probe_problems(run)
    allotted = read_records(run, facts.stage, "allocate", Allocation)
    thread = next(
        item for item in threads(diagnoses) if any(cluster.id in point["ids"] for point in item["rounds"])
    )  # fmt: skip
    return {
        "run": str(run.path),
        "round": cluster.round,
        "id": cluster.id,
        "label": cluster.label,
        "keyphrases": list(cluster.keyphrases),
        "n": cluster.n,
        "failures": cluster.failures,
        "failure_rate": round(100 * cluster.failure_rate, 2),
        "low": round(100 * cluster.low, 2),
        "high": round(100 * cluster.high, 2),
        "stability": cluster.stability,
        "trend": cluster.trend.value,
        "parent": cluster.parent,
        "parent_failures": cluster.parent_failures,
        "note": cluster.note,
        "review": _review(run, cluster),
        "misconception": misconceptions(run, facts.stage).get(cluster.id),
        "lineage": thread,
        "budget": sum(
            item.n for found in allotted for item in found.allotments if item.weakness_id == cluster.id
        ),
        "failed": [_failed(name, facts, after, problems) for name in cluster.problem_ids],
        "written": _written(cluster, facts),
        "after": _after(cluster, facts, after),
    }  # fmt: skip


def _review(run: RunFolder, cluster: Weakness) -> dict[str, Any] | None:
    """What a person decided about the cluster before anything was written for it."""
    record = decided(run, cluster.round, Point.DIAGNOSE)
    own = next((item for item in record.decisions.clusters if item.id == cluster.id), None) if record else None
    if record is None or own is None:
        return None
    decision = own.model_dump(mode="json", exclude={"schema_version", "id"}, exclude_none=True)
    return {"author": record.author, "time": record.time, **decision}


def _failed(name: str, facts: RoundFacts, after: RoundFacts, problems: dict[str, Problem]) -> dict[str, Any]:
    """One failed problem with the gold answer and what the student said."""
    samples = facts.attempts.get(name, ())
    wrong = first_failure(samples)
    problem, kind, then = problems.get(name), facts.outcome(name), after.outcome(name)
    return {
        "id": name,
        "statement": problem.statement if problem else None,
        "answer": problem.answer if problem else None,
        "solution": problem.solution if problem else None,
        "student": wrong.extracted if wrong else None,
        "student_text": wrong.text if wrong else None,
        "attempt": wrong.id if wrong else None,
        "kind": kind.value if kind else None,
        "samples": len(samples),
        "correct": sum(1 for sample in samples if sample.outcome.value == "correct"),
        "next": None if then is None else then.value,
    }


def _written(cluster: Weakness, facts: RoundFacts) -> dict[str, Any]:
    """Drafts and replies for the cluster, and what became of them."""
    trained = {item.problem_id for item in facts.mixture.items} if facts.mixture else set()
    drafts = [draft for batch in facts.batches for draft in batch.drafts if draft.weakness_id == cluster.id]
    unread = [item for batch in facts.batches for item in batch.refusals if item.weakness_id == cluster.id]
    entries = [_draft(draft, facts.verdicts.get(draft.id), draft.problem.id in trained) for draft in drafts]
    refused = Counter(entry["reason"] for entry in entries if entry["reason"])
    refused.update(f"reply:{item.reason}" for item in unread)
    return {
        "drafted": len(drafts) + len(unread),
        "accepted": sum(1 for entry in entries if entry["accepted"] == Accepted.YES.value),
        "trained": sum(1 for entry in entries if entry["trained"]),
        "refused": dict(refused.most_common()),
        "drafts": entries,
        "unread": [{"reason": item.reason, "evidence": item.evidence} for item in unread],
    }


def _draft(draft: Draft, verdict: Verdict | None, trained: bool) -> dict[str, Any]:
    checks = verdict.checks if verdict else ()
    yes = verdict is not None and verdict.accepted is Accepted.YES
    return {
        "id": draft.id,
        "problem": draft.problem.id,
        "statement": draft.problem.statement,
        "answer": draft.problem.answer,
        "solution": draft.problem.solution,
        "strategy": draft.strategy,
        "teacher": draft.teacher,
        "accepted": verdict.accepted.value if verdict else None,
        "trained": trained and yes,
        "reason": verdict.reason if verdict else "",
        "evidence": next((check.evidence for check in checks if check.outcome is CheckOutcome.FAIL), ""),
        "checks": {check.verifier: check.outcome.value for check in checks},
    }


def _after(cluster: Weakness, facts: RoundFacts, after: RoundFacts) -> dict[str, Any]:
    """What the next probe says of the cluster's problems, and whose probe that is."""
    record = facts.record
    found: dict[str, Any] = {
        "adapter": record.candidate.id if record and record.candidate else None,
        "kept": record.decision.keep if record else None,
        "round": None, "probed": 0, "solved": 0, "still_failing": 0,
    }  # fmt: skip
    outcomes = [after.outcome(name) for name in cluster.problem_ids]
    probed = [outcome for outcome in outcomes if outcome not in (None, Triage.ERRORED)]
    if not probed:
        found["note"] = (
            "the round is unfinished" if record is None
            else f"round {cluster.round} was the last: the problems were not probed again"
        )  # fmt: skip
        return found
    still = sum(fails(outcome) for outcome in probed)
    found |= {"round": after.index, "probed": len(probed), "solved": len(probed) - still, "still_failing": still}
    rolled_back = record is not None and not record.decision.keep
    found["note"] = (
        "the adapter was rolled back, so the next probe asked the student as it was before"
        if rolled_back
        else "problems that were chosen because they failed get better by chance too; the dev split decides"
    )
    return found


def print_cluster(found: dict[str, Any], console: Console, limit: int = 10) -> None:
    """The cluster for people: gold and student side by side, then drafts, refusals and the effect.

    Args:
        found: from `cluster_detail`.
        console: where to.
        limit: of problems, accepted drafts and refused drafts, each.
    """

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    line(f"{found['id']} in {found['run']}, round {found['round']}: {one_line(found['label'], 120)}", "bold")
    line(
        f"failed {found['failures']} of {found['n']} ({found['failure_rate']:.0f} %, 95 % {found['low']:.0f}-"
        f"{found['high']:.0f}); {trend_text(found)}; budget {found['budget']}"
    )
    line(f"lineage: {one_line(found['lineage']['text'], 300)}")
    if review := found["review"]:
        changes = ", ".join(f"{key} {value}" for key, value in review.items() if key not in ("author", "time"))
        line(f"reviewed by {one_line(review['author'], 80)} at {review['time']}: {one_line(changes, 600)}")
    for heading, text in (("teacher", found["misconception"]), ("note", found["note"])):
        if text:
            line(f"{heading}: {one_line(text, 600)}")
    table = plain_table("failed problems")
    table.add_column("id", no_wrap=True)
    table.add_column("problem", ratio=3)
    for heading in ("gold", "student"):
        table.add_column(heading, ratio=1)
    table.add_column("next", no_wrap=True)
    for entry in found["failed"][:limit]:
        said = one_line(entry["student"], 60) if entry["student"] is not None else f"({entry['kind']})"
        then = {None: "-", "passed": "solved"}.get(entry["next"], entry["next"])
        shown = (one_line(entry["statement"] or "", 200), one_line(entry["answer"] or "", 60), said)
        table.add_row(short(entry["id"]), *map(Text, shown), then)
    console.print(table)
    _more(len(found["failed"]), limit, "failed problems", line)
    written = found["written"]
    line(
        f"written for it: {written['drafted']} drafted, {written['accepted']} accepted, "
        f"{written['trained']} trained on",
        "bold",
    )
    accepted = [entry for entry in written["drafts"] if entry["accepted"] == "yes"]
    for entry in accepted[:limit]:
        line(f"  {short(entry['id'])}: {one_line(entry['statement'], 200)} = {one_line(entry['answer'], 60)}")
    _more(len(accepted), limit, "accepted drafts", line)
    if written["refused"]:
        line("refused: " + ", ".join(f"{one_line(reason, 80)} {n}" for reason, n in written["refused"].items()), "bold")
    refused = [entry for entry in written["drafts"] if entry["reason"]]
    for entry in refused[:limit]:
        why = one_line(entry["reason"], 80) + (f" ({one_line(entry['evidence'], 120)})" if entry["evidence"] else "")
        line(f"  {short(entry['id'])}: {why}: {one_line(entry['statement'], 200)} = {one_line(entry['answer'], 60)}")
    for item in written["unread"][: max(0, limit - len(refused))]:
        line(f"  unread: {one_line(item['reason'], 80)}: {one_line(item['evidence'], 200)}")
    _more(len(refused) + len(written["unread"]), limit, "refusals", line)
    after = found["after"]
    line("after annealing", "bold")
    if after["round"] is not None:
        line(f"  round {after['round']} solves {after['solved']} of its {after['probed']} problems")
    line(f"  {after['note']}")


def _more(n: int, limit: int, what: str, line: Any) -> None:
    if n > limit:
        line(f"  ... {n - limit} more {what}: --limit {n} or --json")
