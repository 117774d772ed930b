"""Where a review stands in a run folder: its points, the hash of what is looked at, and what was decided.

Owns the names of the files. Reads markers and records only, and knows nothing of what may be decided.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.report.reading import read_records
from memory.errors import StoreError
from memory.ids import fingerprint
from memory.reviews import Point, ReviewRecord
from memory.store import RunFolder, write_atomic

#: Beside the artifacts: which points pause, where the run waits, and files that a person edits.
FOLDER, GATE, WAITING = "review", "gate.json", "waiting.json"
#: The step that begins once the point has passed.
_NEXT = {Point.DIAGNOSE: "allocate", Point.VERIFY: "mix"}


def stage_of(index: int) -> str:
    """``round-00`` for round 0."""
    return f"round-{index:02d}"


def step_of(point: Point) -> str:
    """The step that holds the decision: ``review-diagnose`` or ``review-verify``."""
    return f"review-{point.value}"


def waves(run: RunFolder, stage: str, step: str) -> list[str]:
    """``verify``, ``verify-1``, ... as far as they are finished."""
    names = [step]
    while run.marker(stage, names[-1]) is not None:
        names.append(f"{step}-{len(names)}")
    return names[:-1]


def state_of(run: RunFolder, index: int, point: Point) -> str:
    """The hash of what is looked at: 16 hex digits over the outputs of the steps that made it."""
    stage = stage_of(index)
    steps = ["diagnose"] if point is Point.DIAGNOSE else [*waves(run, stage, "draft"), *waves(run, stage, "verify")]
    markers = {step: run.marker(stage, step) for step in steps}
    outputs = {step: marker["outputs"] for step, marker in markers.items() if marker is not None}
    return fingerprint([stage, point.value, outputs])[:16]


def decided(run: RunFolder, index: int, point: Point) -> ReviewRecord | None:
    """What was decided at this point, None where nothing was."""
    found = read_records(run, stage_of(index), step_of(point), ReviewRecord)
    return found[0] if found else None


def passed(run: RunFolder, index: int, point: Point) -> bool:
    """Whether the round has gone on from this point."""
    stage = stage_of(index)
    return any(run.marker(stage, step) is not None for step in (_NEXT[point], "round"))


def is_over(run: RunFolder) -> bool:
    """Whether the loop has ended."""
    return run.marker("final", "stop") is not None


def write_side(run: RunFolder, name: str, value: dict[str, Any]) -> None:
    """Write a small file beside the artifacts, whole or not at all."""
    folder = run.path / FOLDER
    folder.mkdir(exist_ok=True)
    write_atomic(folder / name, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_side(run: RunFolder, name: str) -> dict[str, Any] | None:
    """Such a file's content, None where there is none.

    Raises:
        StoreError: it is not a JSON object.
    """
    path = run.path / FOLDER / name
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}). Remove it, and resume: the run stops here again.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path} is damaged (no JSON object). Remove it, and resume: the run stops here again.")
    return found


def waiting(run: RunFolder) -> tuple[int, Point, str] | None:
    """Round, point and state at which the run stopped for a review that is still to be made.

    Raises:
        StoreError: the file that says so is damaged.
    """
    found = read_side(run, WAITING)
    if found is None or is_over(run):
        return None
    try:
        index, point, state = int(found["round"]), Point(found["point"]), str(found["state"])
    except (KeyError, ValueError, TypeError) as error:
        path = run.path / FOLDER / WAITING
        raise StoreError(f"{path} is damaged ({error}). Remove it, and resume: the run stops here again.") from error
    if passed(run, index, point) or run.marker(stage_of(index), step_of(point)) is not None:
        return None
    if state != state_of(run, index, point):  # its steps were removed and made again
        return None
    return index, point, state


def decision_file(run: RunFolder, index: int, point: Point) -> Path:
    """The file that a person edits."""
    return run.path / FOLDER / f"{stage_of(index)}-{point.value}.yaml"
