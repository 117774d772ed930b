"""The failures of a run as a table that Embedding Atlas (github.com/apple/embedding-atlas, MIT) opens.

One row for each probe problem in each diagnosed round. Probe problems only: dev, guard and test never leave.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.export.gather import clean
from agent.report.facts import fails, first_failure, probe_problems, round_facts
from agent.report.lineage import diagnoses_of
from memory.errors import UsageError
from memory.ids import derive_seed
from memory.records import Problem, Split
from memory.store import RunFolder

FILE = "failures.parquet"


def atlas_rows(run: RunFolder) -> tuple[list[dict[str, Any]], str]:
    """The rows, and how their places ``x`` and ``y`` were found, in words.

    Raises:
        UsageError: no round was diagnosed.
    """
    from agent.report.layout import lay_out, run_embedder

    problems = {name: item for name, item in probe_problems(run).items() if item.split is Split.PROBE}
    rows = []
    for diagnosis in diagnoses_of(run):
        facts = round_facts(run, diagnosis.round)
        home = {name: weakness for weakness in diagnosis.weaknesses for name in weakness.problem_ids}
        for name, samples in sorted(facts.attempts.items()):
            if name not in problems:
                continue
            outcome, weakness, wrong = facts.outcome(name), home.get(name), first_failure(samples)
            said = wrong or samples[0]
            rows.append(
                {
                    **_texts(problems[name]),
                    "student": clean(said.extracted or ""),
                    "student_text": clean(said.text),
                    "outcome": outcome.value if outcome else "",
                    "failed": fails(outcome),
                    "cluster": clean(weakness.label) if weakness else "",
                    "cluster_id": weakness.id if weakness else "",
                    "round": diagnosis.round,
                    "problem_id": name,
                }
            )
    if not rows:
        raise UsageError(f"{run.path} has no diagnosed round yet, so there is nothing to look at.")
    embedder, source = run_embedder(run)
    layout = lay_out([row["statement"] for row in rows], embedder, source, derive_seed("atlas"))
    for row, (x, y) in zip(rows, layout.places.tolist(), strict=True):
        row |= {"x": x, "y": y}
    return rows, layout.words


def _texts(problem: Problem) -> dict[str, Any]:
    return {"statement": clean(problem.statement), "gold": clean(problem.answer)}


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One column for each key of the rows."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def command(folder: Path) -> str:
    """What opens the file; places are given, so that nothing is embedded or downloaded."""
    return f"embedding-atlas {shlex.quote(str(folder / FILE))} --text statement --x x --y y"
