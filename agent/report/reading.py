"""Records out of a run folder, for every view: a step that is unfinished has none."""

from __future__ import annotations

from typing import TypeVar

from memory.records import Record
from memory.store import RunFolder

R = TypeVar("R", bound=Record)


def read_records(run: RunFolder, stage: str, step: str, kind: type[R]) -> list[R]:
    """The records of a finished step; an empty list where it is unfinished."""
    if run.marker(stage, step) is None:
        return []
    return [kind.model_validate_json(line) for line in run.read(stage, step)]


def rounds_of(run: RunFolder) -> list[str]:
    """The stages ``round-NN`` there are, in order."""
    return sorted(path.name for path in run.path.glob("round-*") if path.is_dir())
