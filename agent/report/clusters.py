"""Failure clusters of one round, with trend, share of the budget and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.drafts import misconceptions
from agent.report.lineage import diagnoses_of, threads
from agent.report.reading import read_records, rounds_of
from agent.report.standing import Standing, standings
from agent.report.terminal import plain_table, safe, short
from agent.triage import wrong_answers
from memory.errors import UsageError
from memory.records import Allocation, Attempt, Diagnosis, Problem, Weakness
from memory.store import RunFolder

EXAMPLES = 3


def clusters(run: RunFolder, round_index: int | None = None) -> dict[str, Any]:
    """The clusters of a round (by default the latest that was diagnosed); rates are in points.

    Raises:
        UsageError: the round has no diagnosis; the message names those that have.
    """
    diagnosed = [stage for stage in rounds_of(run) if run.marker(stage, "diagnose") is not None]
    known = ", ".join(str(int(stage.removeprefix("round-"))) for stage in diagnosed) or "none yet"
    stage = f"round-{round_index:02d}" if round_index is not None else (diagnosed[-1] if diagnosed else None)
    if stage is None or stage not in diagnosed:
        wanted = "this run" if round_index is None else f"round {round_index}"
        raise UsageError(f"{run.path}: {wanted} has no diagnosis. Diagnosed rounds: {known}.")
    (diagnosis,) = read_records(run, stage, "diagnose", Diagnosis)
    allocations = read_records(run, stage, "allocate", Allocation)
    share = {item.weakness_id: item.n for allocation in allocations for item in allocation.allotments}
    problems = {problem.id: problem for problem in read_records(run, "base", "data", Problem)}
    wrong = wrong_answers(read_records(run, stage, "probe", Attempt))
    said = misconceptions(run, stage)
    followed = threads([item for item in diagnoses_of(run) if item.round <= diagnosis.round])
    line = {name: thread["text"] for thread in followed for point in thread["rounds"] for name in point["ids"]}
    ordered = sorted(diagnosis.weaknesses, key=lambda item: (-item.failures, item.id))
    return {
        "run": str(run.path),
        "round": diagnosis.round,
        "k": diagnosis.k,
        "k_rule": diagnosis.k_rule,
        "stability": diagnosis.stability,
        "triage": diagnosis.triage,
        "gone": list(diagnosis.gone),
        "clusters": [
            {**entry, **_in_run(item, share), "misconception": said.get(item.id), "lineage": line[item.id]}
            for item, entry in zip(
                ordered, with_standings([cluster_entry(item, problems, wrong) for item in ordered]), strict=True
            )
        ],
    }


def cluster_entry(
    item: Weakness, problems: Mapping[str, Problem], wrong: Mapping[str, str | None], examples: int = EXAMPLES
) -> dict[str, Any]:
    """What every view says of a cluster, of a run or of recorded outputs; rates are in points."""
    return {
        "id": item.id,
        "label": item.label,
        "keyphrases": list(item.keyphrases),
        "size": len(item.problem_ids),
        "n": item.n,
        "failures": item.failures,
        "failure_rate": round(100 * item.failure_rate, 2),
        "low": round(100 * item.low, 2),
        "high": round(100 * item.high, 2),
        "stability": item.stability,
        "examples": [
            {
                "id": problem_id,
                "statement": problems[problem_id].statement,
                "answer": problems[problem_id].answer,
                "student": wrong.get(problem_id),
            }
            for problem_id in item.problem_ids[:examples]
            if problem_id in problems
        ],
    }


def with_standings(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of all clusters of one diagnosis, each with ``standing``, ``p``, ``p_holm`` and ``remark``.

    See `agent.report.standing`; order kept.
    """
    stands = standings([(entry["failures"], entry["n"]) for entry in entries])
    return [
        {**entry, "standing": found.standing.value, "p": found.p, "p_holm": found.p_holm, "remark": found.remark}
        for entry, found in zip(entries, stands, strict=True)
    ]


def _in_run(item: Weakness, share: Mapping[str, int]) -> dict[str, Any]:
    """What a cluster of a run has besides: its trend and its part of the budget."""
    return {
        "trend": item.trend.value,
        "parent": item.parent,
        "parent_failures": item.parent_failures,
        "budget": share.get(item.id, 0),
    }


def trend_text(entry: dict[str, Any]) -> str:
    """``41 -> 12 shrunk`` or ``new``."""
    if entry["parent_failures"] is None:
        return str(entry["trend"])
    return f"{entry['parent_failures']} -> {entry['failures']} {entry['trend']}"


#: The column ``stands out``.
STANDS_OUT = {Standing.MORE: "yes", Standing.NOT_MORE: "no", Standing.TOO_SMALL: "too small", Standing.ALONE: "-"}


def print_standings(entries: Sequence[Mapping[str, Any]], console: Console) -> None:
    """What ``stands out`` means, and the clusters that do not, in words."""
    for standing, words in (
        (
            Standing.NOT_MORE,
            "do not clearly fail more than the rest (Fisher's exact test, Holm over the clusters, 5 %)",
        ),
        (Standing.TOO_SMALL, "are too small to tell: not even all of theirs failed would stand out from the rest"),
    ):
        ids = [short(entry["id"]) for entry in entries if entry["standing"] == standing]
        if ids:
            named = ", ".join(ids[:8]) + (", ..." if len(ids) > 8 else "")
            console.print(Text(f"{len(ids)} of {len(entries)} clusters {words}: {named}"), soft_wrap=True)


def print_clusters(found: dict[str, Any], console: Console) -> None:
    """The table, then the first example of each cluster."""
    table = plain_table(f"{found['run']} round {found['round']}: {len(found['clusters'])} clusters")
    table.add_column("id", no_wrap=True)
    table.add_column("label", min_width=15)
    for heading in ("failed / n", "% [95 %]"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("stands out", justify="right", max_width=6)
    for heading in ("trend", "budget"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in found["clusters"]:
        before = entry["parent_failures"]
        table.add_row(
            short(entry["id"]),
            Text(safe(entry["label"], 60)),
            f"{entry['failures']} / {entry['n']}",
            f"{entry['failure_rate']:.0f} [{entry['low']:.0f}-{entry['high']:.0f}]",
            STANDS_OUT[Standing(entry["standing"])],
            str(entry["trend"]) if before is None else f"{before} -> {entry['failures']}",
            str(entry["budget"]),
        )
    console.print(table)
    print_standings(found["clusters"], console)
    stability = "-" if found["stability"] is None else f"{found['stability']:.2f}"
    console.print(
        Text(f"k: {found['k_rule']}; stability over seeds {stability}; gone: {', '.join(found['gone']) or '-'}")
    )
    console.print(Text("failures: " + ", ".join(f"{name} {n}" for name, n in found["triage"].items())))
    for entry in found["clusters"]:
        if found["round"] > 0:
            console.print(Text(f"{short(entry['id'])}: lineage: {safe(entry['lineage'], 200)}"), soft_wrap=True)
        if entry["misconception"]:
            line = f"{short(entry['id'])}: teacher: {safe(entry['misconception'], 300)}"
            console.print(Text(line), soft_wrap=True)
        for example in entry["examples"][:1]:
            answer = safe(str(example["student"]), 60)
            gold = safe(example["answer"], 40)
            line = f"{short(entry['id'])}: {safe(example['statement'], 160)} (gold {gold}, student {answer})"
            console.print(Text(line), soft_wrap=True)
