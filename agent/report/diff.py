"""Two rounds of a run side by side: what became of the clusters, and of the single problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.facts import RoundFacts, first_failure, probe_problems, round_facts
from agent.report.lineage import diagnoses_of, passage
from agent.report.reading import rounds_of
from agent.report.terminal import one_line, plain_table, short
from memory.errors import UsageError
from memory.records import Diagnosis, Problem, Weakness
from memory.store import RunFolder

#: Kinds of change of a cluster, in the order in which they are shown.
ORDER = ("new", "grown", "split", "merged", "same", "shrunk", "gone")


def diff(run: RunFolder, first: int, second: int) -> dict[str, Any]:
    """Everything `remedial diff R1 R2 --json` holds: ``clusters`` by kind of change, ``problems`` by theirs.

    Problems are compared where both rounds judged them. ``regressions`` were solved in the first round and fail in the
    second; ``solved`` the other way round; ``still_failing`` fail in both.

    Raises:
        UsageError: a round was not probed and diagnosed, or both are the same.
    """
    diagnoses = diagnoses_of(run)
    by_round = {item.round: item for item in diagnoses}
    for index in (first, second):
        if index not in by_round:
            known = ", ".join(map(str, by_round)) or "none yet"
            here = f"it has {len(rounds_of(run))} round(s)"
            raise UsageError(f"{run.path}: round {index} has no diagnosis ({here}). Diagnosed rounds: {known}.")
    if first == second:
        raise UsageError(f"Both rounds are {first}; give two different ones, such as `remedial diff 0 1`.")
    one, two = round_facts(run, first), round_facts(run, second)
    problems = probe_problems(run)
    judged = (one.failed | one.passed) & (two.failed | two.passed)
    regressed = sorted((one.passed & two.failed) & judged)
    solved = sorted((one.failed & two.passed) & judged)
    still = sorted((one.failed & two.failed) & judged)
    return {
        "run": str(run.path),
        "first": first,
        "second": second,
        "clusters": _clusters(diagnoses, by_round[first], by_round[second]),
        "problems": {
            "judged": len(judged),
            "regressions": [_problem(name, one, two, problems) for name in regressed],
            "solved": [_problem(name, one, two, problems) for name in solved],
            "still_failing": [_problem(name, one, two, problems) for name in still],
        },
    }


def _clusters(diagnoses: Sequence[Diagnosis], one: Diagnosis, two: Diagnosis) -> list[dict[str, Any]]:
    """Changes of clusters by the rule of `agent.report.lineage`; parents are followed over the rounds between."""
    step = passage(one.weaknesses, two.weaknesses, _ancestors(diagnoses, one, two))
    old = {item.id: item for item in one.weaknesses}
    found = []
    for item in two.weaknesses:
        takes = step.takes[item.id]
        source = step.source[item.id]
        pieces = step.gives[source] if source else ()
        absorbed = [name for name, taker in step.absorbed.items() if taker == item.id]
        before = sum(old[name].failures for name in dict.fromkeys([*([source] if source else []), *absorbed]))
        if len(takes) > 1:
            kind = "merged"
        elif len(pieces) > 1 or (takes and not source):
            kind = "split"
        elif not takes:
            kind = "new"
        else:
            kind = "same" if item.failures == before else "shrunk" if item.failures < before else "grown"
        found.append(
            {
                "change": kind,
                "id": item.id,
                "label": item.label,
                "failures": item.failures,
                "from": [_named(old[name]) for name in takes],
            }
        )
    found += [
        {"change": "gone", "id": name, "label": old[name].label, "failures": 0, "from": [_named(old[name])]}
        for name in step.gone
    ]
    return sorted(found, key=lambda item: (ORDER.index(item["change"]), -item["failures"], item["id"]))


def _named(item: Weakness) -> dict[str, Any]:
    return {"id": item.id, "label": item.label, "failures": item.failures}


def _ancestors(diagnoses: Sequence[Diagnosis], one: Diagnosis, two: Diagnosis) -> dict[str, str | None]:
    """Of the clusters of ``two`` the ones in ``one`` that they descend from; backwards only shared problems count."""
    if two.round < one.round:
        return {}
    found: dict[str, str | None] = {item.id: item.id for item in one.weaknesses}
    previous = one
    for diagnosis in diagnoses:
        if not one.round < diagnosis.round <= two.round:
            continue
        parents = {item.id: item.parent for item in diagnosis.weaknesses}
        step = passage(previous.weaknesses, diagnosis.weaknesses, parents)
        found = {name: found.get(source) if source else None for name, source in step.source.items()}
        previous = diagnosis
    return found


def _problem(name: str, one: RoundFacts, two: RoundFacts, problems: dict[str, Problem]) -> dict[str, Any]:
    problem = problems.get(name)
    return {
        "id": name,
        "statement": problem.statement if problem else None,
        "answer": problem.answer if problem else None,
        "first": _said(name, one),
        "second": _said(name, two),
    }


def _said(name: str, facts: RoundFacts) -> str | None:
    """What the student answered: the first failing sample's answer, or the right one."""
    samples = facts.attempts[name]
    return (first_failure(samples) or samples[0]).extracted


def print_diff(found: dict[str, Any], console: Console, limit: int = 10) -> None:
    """Regressions first, then what was solved, what still fails, and the clusters."""

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    problems = found["problems"]
    line(
        f"{found['run']}: round {found['first']} to round {found['second']}, {problems['judged']} problems judged in "
        f"both: {len(problems['regressions'])} newly failing, {len(problems['solved'])} newly solved, "
        f"{len(problems['still_failing'])} still failing",
        "bold",
    )
    for key, title in (
        ("regressions", "newly failing"),
        ("solved", "newly solved"),
        ("still_failing", "still failing"),
    ):
        entries = problems[key]
        if not entries:
            continue
        table = plain_table(f"{title}: {len(entries)}")
        table.add_column("id", no_wrap=True)
        table.add_column("problem", ratio=3)
        for heading in ("gold", f"round {found['first']}", f"round {found['second']}"):
            table.add_column(heading, ratio=1)
        for entry in entries[:limit]:
            answers = (entry["answer"] or "", entry["first"] or "(none)", entry["second"] or "(none)")
            table.add_row(
                short(entry["id"]),
                Text(one_line(entry["statement"] or "", 160)),
                *(Text(one_line(answer, 40)) for answer in answers),
            )
        console.print(table)
        if len(entries) > limit:
            line(f"... {len(entries) - limit} more {title}: --limit {len(entries)} or --json")
    table = plain_table("clusters")
    for heading in ("change", "id", "label", "failed", "from"):
        table.add_column(heading, no_wrap=heading in ("change", "id"))
    for entry in found["clusters"]:
        before = ", ".join(f"{one_line(item['label'], 40)} {item['failures']}" for item in entry["from"]) or "-"
        label = Text(one_line(entry["label"], 60))
        table.add_row(entry["change"], short(entry["id"]), label, str(entry["failures"]), Text(before))
    console.print(table)
