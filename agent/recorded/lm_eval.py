"""lm-evaluation-harness' ``samples_*.jsonl`` (``--log_samples``, 0.4): ``doc``, ``target``, ``resps``, one row for each
document and filter.

Owns which filter is read and where the statement stands. The full response in ``resps`` is graded, not what the filter
left of it; the harness' own metric is the file's verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.recorded.base import Asked, Output, Recording
from agent.recorded.columns import PROBLEM_NAMES, UNNAMED, paired
from agent.recorded.fields import (
    MISSING,
    demand,
    finish_of,
    flag_of,
    gold_of,
    look_up,
    names_of,
    outputs_of,
    shown,
    statement_of,
)
from eval.benchmarks.jsonl import read_rows
from memory.errors import DataError
from memory.records import Finish, Problem, Split

METRIC = "exact_match"


def read_samples(path: Path, asked: Asked) -> Recording:
    """Outputs of a samples file, once for each document.

    Raises:
        DataError: with file and line; a task without generated text (multiple choice); an unknown filter.
    """
    rows = list(read_rows(path))
    filters = list(dict.fromkeys(str(row["filter"]) for _, row in rows if "filter" in row))
    chosen = asked.filter or (filters[0] if filters else None)
    if asked.filter and asked.filter not in filters:
        raise DataError(
            f"{path}: no filter '{asked.filter}'. Filters there: {', '.join(map(shown, filters)) or 'none'}."
        )
    found = [
        output
        for number, row in rows
        if "filter" not in row or row["filter"] == chosen
        for output in _of_row(path, number, row, asked)
    ]
    notes = []
    if len(filters) > 1:
        others = ", ".join(name for name in filters if name != chosen)
        notes.append(f"verdicts of the file are those of its filter {chosen}; others: {others} (--filter)")
    return Recording("lm-eval", tuple(found), tuple(notes))


def is_samples(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like one of a samples file."""
    return isinstance(row.get("doc"), Mapping) and ("resps" in row or "filtered_resps" in row)


def _of_row(path: Path, number: int, row: Mapping[str, Any], asked: Asked) -> Iterator[Output]:
    where = f"{path}, line {number}"
    if not is_samples(row):
        raise DataError(f"{where}: no row of a samples file: 'doc' is an object and 'resps' a list in those.")
    name = asked.problem or _statement_name(row, where)
    answer = asked.answer or "target"
    problem = Problem.make(
        statement_of(demand(row, name, "--problem", where), name, where),
        gold_of(demand(row, answer, "--answer", where), answer, where),
        source=path.name,
        split=Split.PROBE,
    )
    column = asked.outputs[0] if asked.outputs else ("resps" if "resps" in row else "filtered_resps")
    (flag,) = paired((column,), asked.correct)
    value = demand(row, column, "--output", where)
    if _is_likelihood(value):
        raise DataError(
            f"{where}: '{column}' holds log-likelihoods of choices, no generated text; only tasks of output_type "
            "generate_until can be diagnosed."
        )
    texts = outputs_of(value, column, where)
    correct = flag_of(demand(row, flag, "--correct", where), flag, where) if flag else _own_verdict(row, where)
    finish = (
        finish_of(demand(row, asked.finish, "--finish", where), asked.finish, where) if asked.finish else Finish.STOP
    )
    for text in texts:
        own = correct if len(texts) == 1 else None
        yield Output(number, UNNAMED, problem, text or "", finish if text is not None else Finish.ERROR, own)


def _statement_name(row: Mapping[str, Any], where: str) -> str:
    doc = row["doc"]
    found = next((name for name in PROBLEM_NAMES if isinstance(doc.get(name), str)), None)
    if found is None:
        raise DataError(
            f"{where}: none of the columns of 'doc' is known to hold the problem. Say which: --problem doc.COLUMN. "
            f"Columns there: {', '.join(f'doc.{name}' for name in names_of(doc)) or 'none'}."
        )
    return f"doc.{found}"


def _is_likelihood(value: Any) -> bool:
    """``[[[-3.2, false]], ...]``: pairs of a number and whether it was the greedy choice."""
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    return isinstance(value, list) and len(value) == 2 and str(value[1]) in ("True", "False")


def _own_verdict(row: Mapping[str, Any], where: str) -> bool | None:
    """The row's ``exact_match``, or its first metric, where that is 0 or 1."""
    metrics = row.get("metrics")
    names = [METRIC, *(metrics if isinstance(metrics, list) else [])]
    for name in names:
        value = look_up(row, str(name))
        if value is not MISSING and str(value) in ("0", "1", "0.0", "1.0", "True", "False"):
            return flag_of(value, str(name), where)
    return None
