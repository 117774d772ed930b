"""Our own records: the attempts of a run (``probe.jsonl``), of a measurement, or of ``remedial eval --output``.

Owns where their problems come from: the run's ``base/data.jsonl``, or a problem file that the user names. An artifact
inside a run folder is checked against its hash before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.measuring import detect_format
from agent.recorded.base import Asked, Output, Recording
from agent.recorded.columns import first_row
from eval.benchmarks.table import read_problems
from memory.errors import DataError, UsageError
from memory.records import Attempt, Measurement, Outcome, Problem, Split
from memory.store import MANIFEST, RunFolder


def read_run(path: Path, asked: Asked) -> Recording:
    """Outputs of an artifact; the model is the student's id, the verdict the stored outcome.

    Raises:
        DataError: a line that is no attempt or measurement, or an attempt at a problem that is not known.
        StoreError: an artifact of a run was changed since it was written.
    """
    if asked.outputs or asked.correct or asked.finish or asked.model_column:
        raise UsageError(
            f"{path} holds our own records: --output, --correct, --finish and --model-column do not apply. "
            "Read it as a plain file with --format jsonl if that is meant."
        )
    run = _run_of(path)
    known = {problem.id: problem for problem in _problems(path, run, asked)}
    found = []
    for number, attempt in _attempts(path, run):
        problem = known.get(attempt.problem_id)
        if problem is None:
            raise DataError(
                f"{path}, line {number}: problem {attempt.problem_id} is not among the {len(known)} known ones. "
                "A run keeps the text of its probe and dev problems only; for others name their file: "
                "--problems FILE (with --problem and --answer for its columns)."
            )
        found.append(
            Output(
                line=number,
                model=attempt.student,
                problem=problem,
                text=attempt.text,
                finish=attempt.finish,
                correct=attempt.outcome is Outcome.CORRECT,
            )
        )
    if not found:
        raise DataError(f"{path}: the file holds no attempts.")
    return Recording("run", tuple(found), bare=False)


def is_record(row: Mapping[str, Any]) -> bool:
    """Whether a row is an attempt or a measurement."""
    return {"problem_id", "outcome", "sample_index"} <= row.keys() or {"report", "attempts"} <= row.keys()


def _run_of(path: Path) -> RunFolder | None:
    root = path.resolve().parent.parent
    return RunFolder(root) if (root / MANIFEST).is_file() else None


def _problems(path: Path, run: RunFolder | None, asked: Asked) -> list[Problem]:
    if asked.problems is not None:
        columns = {"statement": asked.problem or "question", "answer": asked.answer or "answer", "solution": None}
        form = detect_format(asked.problems)
        return list(read_problems(asked.problems, form, columns=columns, split=Split.PROBE))
    if run is None or run.marker("base", "data") is None:
        raise DataError(
            f"{path} names its problems by id, and it lies in no run folder. Name the file of the problems: "
            "--problems FILE (with --problem and --answer for its columns)."
        )
    return [Problem.model_validate_json(line) for line in run.read("base", "data")]


def _attempts(path: Path, run: RunFolder | None) -> Iterator[tuple[int, Attempt]]:
    stage, step = path.resolve().parent.name, path.stem
    if run is not None and run.marker(stage, step) is not None:
        lines = run.read(stage, step)  # checks the hash
    else:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON strings may hold U+2028
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
    measurements = "attempts" in first_row(path)[1]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if measurements:
                for attempt in Measurement.model_validate_json(line).attempts:
                    yield number, attempt
            else:
                yield number, Attempt.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"])) or "the line"
            raise DataError(f"{path}, line {number}: no attempt or measurement ({place}: {fault['msg']}).") from error
