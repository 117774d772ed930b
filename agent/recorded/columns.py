"""Plain JSON lines with a column mapping, and GSM8K's example solutions, where each column is a model.

Owns the guesses where a column is not named. Knows nothing of grading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.recorded.base import Asked, Output, Recording
from agent.recorded.fields import (
    demand,
    finish_of,
    flag_of,
    gold_of,
    names_of,
    outputs_of,
    statement_of,
    text_of,
)
from eval.benchmarks.jsonl import read_rows
from memory.errors import DataError, UsageError
from memory.records import Finish, Problem, Split

#: Names that are tried, in this order, where the user gives none.
PROBLEM_NAMES = ("problem", "question", "statement", "prompt", "input", "query", "instruction")
ANSWER_NAMES = ("answer", "gold", "gold_answer", "target", "ground_truth", "reference", "expected", "expected_answer")
OUTPUT_NAMES = (
    "output", "model_output", "response", "model_solution", "model_answer", "completion", "generation", "generated",
    "prediction", "predicted", "pred",
)  # fmt: skip
#: The model of a file that names none.
UNNAMED = "recorded"


def read_columns(path: Path, asked: Asked) -> Recording:
    """Outputs of a JSON lines file by the columns that were named, or by names that are usual.

    A cell of outputs may hold a list: samples of one model. Rows that repeat a problem are samples too. With several
    ``outputs`` columns each is a model, named by its column; with ``model_column`` a row says whose it is.

    Raises:
        DataError: with file and line; see `agent.recorded.fields`.
        UsageError: ``correct`` does not fit ``outputs``.
    """
    number, first = first_row(path)
    where = f"{path}, line {number}"
    problem = asked.problem or guess(first, PROBLEM_NAMES, "--problem", "the problem", where)
    answer = asked.answer or guess(first, ANSWER_NAMES, "--answer", "the gold answer", where)
    outputs = asked.outputs or (guess(first, OUTPUT_NAMES, "--output", "the model's output", where),)
    models = outputs if len(outputs) > 1 else ("",)
    columns = list(zip(models, outputs, paired(outputs, asked.correct), strict=True))
    found = _read(path, problem, answer, columns, asked)
    guessed = [name for name, given in ((problem, asked.problem), (answer, asked.answer)) if not given]
    guessed += [] if asked.outputs else [outputs[0]]
    return Recording("jsonl", found, (f"columns taken by their names: {', '.join(guessed)}",) if guessed else ())


def read_solutions(path: Path, asked: Asked) -> Recording:
    """GSM8K's ``example_model_solutions.jsonl``: ``question``, ``ground_truth``, and of each model ``{solution,
    is_correct}`` in a column of its own.

    Raises:
        DataError: with file and line.
    """
    columns = [(name, f"{name}.solution", f"{name}.is_correct") for name in solution_columns(first_row(path)[1])]
    return Recording("gsm8k-solutions", _read(path, "question", "ground_truth", columns, asked))


def _read(
    path: Path, problem: str, answer: str, columns: Sequence[tuple[str, str, str | None]], asked: Asked
) -> tuple[Output, ...]:
    """All outputs; ``columns`` are (model, its output, the verdict on it)."""
    return tuple(
        output
        for number, row in read_rows(path)
        for output in _of_row(path, number, row, problem, answer, columns, asked)
    )


def _of_row(
    path: Path,
    number: int,
    row: Mapping[str, Any],
    problem: str,
    answer: str,
    columns: Sequence[tuple[str, str, str | None]],
    asked: Asked,
) -> Iterator[Output]:
    where = f"{path}, line {number}"
    made = Problem.make(
        statement_of(demand(row, problem, "--problem", where), problem, where),
        gold_of(demand(row, answer, "--answer", where), answer, where),
        source=path.name,
        split=Split.PROBE,
    )
    finish, prefix = Finish.STOP, ""
    if asked.finish:
        finish = finish_of(demand(row, asked.finish, "--finish", where), asked.finish, where)
    if asked.model_column:
        prefix = demand(row, asked.model_column, "--model-column", where)
        prefix = text_of(prefix, asked.model_column, "--model-column", where)
    for model, column, flag in columns:
        texts = outputs_of(demand(row, column, "--output", where), column, where)
        name = ": ".join(filter(None, (prefix, model))) or UNNAMED
        correct = flag_of(demand(row, flag, "--correct", where), flag, where) if flag else None
        for text in texts:
            # One verdict over several samples is none on any of them; a null is a request that failed.
            own = correct if len(texts) == 1 else None
            yield Output(number, name, made, text or "", finish if text is not None else Finish.ERROR, own)


def solution_columns(row: Mapping[str, Any]) -> list[str]:
    """The columns that are models of GSM8K's example solutions."""
    return [
        key for key, value in row.items() if isinstance(value, Mapping) and {"solution", "is_correct"} <= set(value)
    ]


def first_row(path: Path) -> tuple[int, Mapping[str, Any]]:
    """The first row and its line.

    Raises:
        DataError: the file is missing, is no JSON lines file, or has no rows.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file. Give a JSONL file of recorded outputs: remedial diagnose FILE")
    if path.is_dir():
        raise DataError(
            f"{path}: a folder, not a file. Of a run, name an artifact with attempts, such as "
            f"{path / 'round-00' / 'probe.jsonl'}."
        )
    for number, row in read_rows(path):
        return number, row
    raise DataError(f"{path}: the file is empty; it needs at least one line with a problem, its answer and an output.")


def guess(row: Mapping[str, Any], names: Sequence[str], option: str, role: str, where: str) -> str:
    """The first of the usual names that the row has.

    Raises:
        DataError: none of them; the message says which there are.
    """
    found = next((name for name in names if row.get(name) is not None), None)
    if found is None:
        raise DataError(
            f"{where}: none of its columns is known to hold {role}. Say which does: {option} COLUMN. "
            f"Columns there: {', '.join(names_of(row)) or 'none'}."
        )
    return found


def paired(outputs: Sequence[str], correct: Sequence[str]) -> list[str | None]:
    """The verdict's column for each column of outputs.

    Raises:
        UsageError: their numbers do not fit.
    """
    if not correct:
        return [None] * len(outputs)
    if len(correct) != len(outputs):
        raise UsageError(
            f"{len(outputs)} --output and {len(correct)} --correct: give --correct once for each --output, in the same "
            "order, or not at all."
        )
    return list(correct)
