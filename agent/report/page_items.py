"""What the page says of each failure and each cluster: columns for the map and the table, long texts apart.

A failure is one problem in one round: what is cured and fails again is two. Reads a run folder, loads no student.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.config import DiagnoseConfig, load_config
from agent.diagnose import embedded_texts
from agent.report.drafts import misconceptions
from agent.report.facts import RoundFacts
from agent.report.layout import lay_out, run_embedder
from agent.report.page_rounds import trained_drafts
from agent.report.reading import read_records
from agent.triage import Triage, triage
from memory.errors import RemedialError
from memory.records import Allocation, Attempt, CheckOutcome, Draft, Problem, Verdict, Weakness
from memory.store import CONFIG, RunFolder

#: Failures in one chunk of heads (statement and answers) and of bodies (what the student wrote).
HEADS, BODIES = 400, 100
#: Places on the map are whole numbers up to this.
GRID = 4095
#: Drafts of a cluster that the page holds; the run folder has all.
DRAFTS = 400
KINDS = tuple(kind.value for kind in Triage)


@dataclass(frozen=True)
class Failures:
    """``columns`` of equal length (round, cluster, kind, x, y, id), ``heads`` and ``bodies`` in the same order."""

    columns: dict[str, list[Any]]
    heads: list[Any]
    bodies: list[Any]
    words: str


def cluster_rows(run: RunFolder, facts: Sequence[RoundFacts]) -> list[dict[str, Any]]:
    """The clusters of all rounds, those of a round together, the largest first; rates are in [0, 1]."""
    rows = []
    for own in facts:
        if own.diagnosis is None:
            continue
        said = misconceptions(run, own.stage)
        allotted = read_records(run, own.stage, "allocate", Allocation)
        budget = {item.weakness_id: item.n for found in allotted for item in found.allotments}
        total = sum(budget.values())
        for item in own.diagnosis.weaknesses:
            rows.append(_cluster_row(item, budget.get(item.id, 0), total, said.get(item.id)))
    return rows


def _cluster_row(item: Weakness, budget: int, total: int, misconception: str | None) -> dict[str, Any]:
    return {
        "id": item.id, "round": item.round, "label": item.label[:300],
        "phrases": [phrase[:100] for phrase in item.keyphrases[:8]],
        "n": item.n, "failures": item.failures, "rate": round(item.failure_rate, 4), "low": round(item.low, 4),
        "high": round(item.high, 4), "stability": item.stability, "trend": item.trend.value,
        "before": item.parent_failures, "budget": budget, "share": round(budget / total, 4) if total else None,
        "note": item.note[:2000] if item.note else None,
        "misconception": misconception[:2000] if misconception else None,
    }  # fmt: skip


def failures(
    run: RunFolder, facts: Sequence[RoundFacts], problems: Mapping[str, Problem], clusters: Sequence[dict[str, Any]]
) -> Failures:
    """Every failed problem of every diagnosed round."""
    at = {row["id"]: index for index, row in enumerate(clusters)}
    config = _diagnosis(run)
    columns: dict[str, list[Any]] = {name: [] for name in ("round", "cluster", "kind", "x", "y", "id")}
    heads: list[Any] = []
    bodies: list[Any] = []
    texts: list[str] = []
    fates = [{name: own.outcome(name) for name in own.attempts} for own in facts]
    for own in facts:
        if own.diagnosis is None:
            continue
        attempts = [attempt for samples in own.attempts.values() for attempt in samples]
        kinds = triage(attempts)
        names = [(name, at[item.id]) for item in own.diagnosis.weaknesses for name in item.problem_ids]
        names = [(name, cluster) for name, cluster in names if name in problems and name in kinds]
        texts += embedded_texts(problems, kinds, attempts, [name for name, _ in names], config)
        for name, cluster in names:
            columns["round"].append(own.index)
            columns["cluster"].append(cluster)
            columns["kind"].append(KINDS.index(kinds[name].value))
            columns["id"].append(name)
            samples = own.attempts[name]
            wrong = next((sample for sample in samples if sample.outcome.value != "correct"), samples[0])
            heads.append([problems[name].statement, problems[name].answer, wrong.extracted])
            bodies.append(
                {
                    "solution": problems[name].solution,
                    "source": problems[name].source,
                    "attempts": [_attempt(sample) for sample in samples],
                    "fate": [[facts[i].index, kind.value if kind else None]
                             for i, fate in enumerate(fates) if (kind := fate.get(name)) is not None],
                }
            )  # fmt: skip
    embedder, source = run_embedder(run) if texts else (None, "")
    if embedder is None:
        return Failures(columns, heads, bodies, "no failures")
    layout = lay_out(texts, embedder, source, 0, columns["id"])
    grid = (layout.places * GRID).round().astype(int)
    columns["x"], columns["y"] = grid[:, 0].tolist(), grid[:, 1].tolist()
    what = "question and first wrong answer" if config.embed_wrong_answer else "question"
    masked = ", numbers and names masked" if config.mask else ""
    crowded = " Failures with equal texts stand around one place." if layout.crowded else ""
    return Failures(columns, heads, bodies, f"{layout.words} of the {what}{masked}.{crowded}")


def _diagnosis(run: RunFolder) -> DiagnoseConfig:
    try:
        return load_config(run.path / CONFIG).diagnose
    except (RemedialError, OSError, ValueError):
        return DiagnoseConfig()


def _attempt(sample: Attempt) -> dict[str, Any]:
    return {
        "id": sample.id, "outcome": sample.outcome.value, "extracted": sample.extracted, "text": sample.text,
        "tokens": sample.n_tokens, "finish": sample.finish.value,
    }  # fmt: skip


def written(facts: RoundFacts) -> dict[str, dict[str, Any]]:
    """By cluster id, what was drafted for it: ``drafts`` with their checks, and ``unread`` parts of replies."""
    trained = trained_drafts(facts)
    found: dict[str, dict[str, Any]] = {}
    for batch in facts.batches:
        for draft in batch.drafts:
            part = found.setdefault(draft.weakness_id, {"drafts": [], "unread": []})
            part["drafts"].append(_draft(draft, facts.verdicts.get(draft.id), draft.id in trained))
        for refusal in batch.refusals:
            part = found.setdefault(refusal.weakness_id, {"drafts": [], "unread": []})
            part["unread"].append({"reason": refusal.reason, "evidence": refusal.evidence})
    for part in found.values():
        part["n"] = len(part["drafts"])
        part["accepted"] = sum(1 for draft in part["drafts"] if draft["accepted"] == "yes")
        part["trained"] = sum(1 for draft in part["drafts"] if draft["trained"])
        part["drafts"] = sorted(part["drafts"], key=lambda item: (item["accepted"] == "yes", item["id"]))[:DRAFTS]
        part["unread"] = part["unread"][:DRAFTS]
    return found


def _draft(draft: Draft, verdict: Verdict | None, trained: bool) -> dict[str, Any]:
    checks = verdict.checks if verdict is not None else ()
    return {
        "id": draft.id, "statement": draft.problem.statement, "answer": draft.problem.answer,
        "solution": draft.problem.solution, "teacher": draft.teacher, "strategy": draft.strategy,
        "accepted": verdict.accepted.value if verdict is not None else None, "trained": trained,
        "reason": verdict.reason if verdict is not None else "not verified yet",
        "checks": [
            {"by": check.verifier, "outcome": check.outcome.value, "reason": check.reason,
             "evidence": check.evidence if check.outcome is CheckOutcome.FAIL else ""}
            for check in checks
        ],
    }  # fmt: skip
