"""Problems from JSON lines with any column names, and the benchmark made of problems and a grader.

Owns the reading and the checks of a file: whatever is wrong is a `DataError` that names file and line.
Knows nothing of engines. `eval.grading` is needed only to grade.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from eval.answers import compare
from eval.benchmarks.base import Grade
from memory.errors import DataError
from memory.ids import fingerprint, normalise_text
from memory.records import Finish, Problem, Split

if TYPE_CHECKING:
    from eval.grading import Grader

#: Which column holds what, unless the configuration says otherwise; ``None`` is "there is none".
DEFAULT_COLUMNS: Mapping[str, str | None] = {"statement": "question", "answer": "answer", "solution": "solution"}


class ProblemSet:
    """A benchmark over problems at hand.

    Args:
        name: as shown in reports.
        problems: in any order; kept sorted by id.
        grader: grades the attempts.
    """

    def __init__(self, name: str, problems: Sequence[Problem], grader: Grader) -> None:
        self.name = name
        self._problems = tuple(sorted(problems, key=lambda problem: problem.id))
        self._grader = grader

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the problem ids and the grader's version."""
        return fingerprint({"ids": [problem.id for problem in self._problems], "grader": self._grader.version})

    def problems(self) -> tuple[Problem, ...]:
        """All problems, sorted by id."""
        return self._problems

    def grade(self, items: Sequence[tuple[Problem, str, Finish]]) -> list[Grade]:
        """Grade (problem, text, finish) items, order kept."""
        return self._grader.grade(items)


def read_jsonl(
    path: Path, *, columns: Mapping[str, str | None] | None = None, split: Split, limit: int | None = None
) -> tuple[Problem, ...]:
    """Problems of a JSON lines file, sorted by id.

    Rows that repeat a problem count once. Answers may be JSON numbers. ``limit`` keeps the ``limit`` smallest
    ids, hence the same problems in whatever order the file is.

    Args:
        path: the file.
        columns: names of the columns ``statement``, ``answer`` (with None all answers are empty) and ``solution``
            (which may be absent or None).
        split: the problems' split.
        limit: at most so many problems.

    Raises:
        DataError: no file, a line that is no JSON object, a missing column, an empty or wrong value, one statement
            with two answers, or no rows; with file and line.
    """
    names = {**DEFAULT_COLUMNS, **(columns or {})}

    def make(row: Mapping[str, Any], where: str) -> Problem:
        statement = _text(row, names, "statement", where)
        answer = _text(row, names, "answer", where) if names["answer"] else ""
        solution = row.get(names["solution"]) if names["solution"] else None
        if solution is not None and not isinstance(solution, str):
            raise DataError(f"{where}: column '{names['solution']}' is {_kind(solution)}; a solution is text.")
        return Problem.make(statement, answer, source=path.name, split=split, solution=solution or None)

    return collect(path, make, limit)


def collect(path: Path, make: Callable[[Mapping[str, Any], str], Problem], limit: int | None) -> tuple[Problem, ...]:
    """Problems of all rows of a file, each once, sorted by id; ``make`` turns a row and its place into a problem.

    Raises:
        DataError: see `read_jsonl`.
    """
    seen: dict[str, tuple[Problem, int]] = {}
    for number, row in read_rows(path):
        problem = make(row, f"{path}, line {number}")
        key = normalise_text(problem.statement)
        if key not in seen:
            seen[key] = (problem, number)
            continue
        other, line = seen[key]
        if problem.id != other.id and compare(problem.answer, other.answer) is not True:
            raise DataError(
                f"{path}, line {number}: the statement of line {line} again, but with answer {problem.answer!r} "
                f"instead of {other.answer!r}. Keep the right one."
            )
        if _rank(problem) < _rank(other):  # independent of the order of the lines
            seen[key] = (problem, line)
    if not seen:
        raise DataError(f"{path}: the file holds no problems; give it at least one line.")
    problems = sorted((problem for problem, _ in seen.values()), key=lambda problem: problem.id)
    return tuple(problems if limit is None else problems[:limit])


def _rank(problem: Problem) -> tuple[str, str, str, str]:
    return problem.id, problem.statement, problem.answer, problem.solution or ""


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers and objects of a JSON lines file; blank lines are passed over.

    Raises:
        DataError: no file, not UTF-8, or a line that is no JSON object.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}. Paths in a config are relative to the config's own folder.")
    with path.open("rb") as handle:
        for number, raw in enumerate(handle, start=1):
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
            if not line:
                continue
            try:
                row = json.loads(line, parse_float=Decimal, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f'{where}: not valid JSON ({error}). Each line is one object: {{"question": ..., "answer": ...}}.'
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"{where}: {_kind(row)}, not an object. Each line is one object with named columns.")
            yield number, row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _text(row: Mapping[str, Any], names: Mapping[str, str | None], role: str, where: str) -> str:
    """A statement, or an answer, which may be a number."""
    name = names[role]
    if name is None or name not in row:
        found = ", ".join(f"'{key}'" for key in row) or "none"
        raise DataError(
            f"{where}: there is no column '{name}' for the {role}. Columns there: {found}. "
            f"Set columns.{role} to the right one."
        )
    value = row[name]
    if role == "answer" and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if not isinstance(value, str):
        raise DataError(f"{where}: column '{name}' is {_kind(value)}; the {role} must be text.")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise DataError(f"{where}: column '{name}' holds half of a surrogate pair, which is no character; remove it.")
    if not value.strip():
        raise DataError(f"{where}: column '{name}' is empty; every problem needs its {role}.")
    return value


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return names.get(type(value), "a number")
