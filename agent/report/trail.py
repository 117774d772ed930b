"""The lines of a run by the ids that stand in them, so that of forty thousand records only a few are parsed.

Ids are hashes of content with a prefix that says what they name. A line holds an id where it stands between quotes
that JSON itself put there: text of a model, in which quotes are escaped, cannot pose as one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TypeVar

from agent.report.reading import rounds_of
from memory.errors import UsageError
from memory.records import Record
from memory.store import RunFolder

R = TypeVar("R", bound=Record)

#: What the beginning of an id says.
KINDS = {"p": "problem", "a": "attempt", "w": "cluster", "d": "draft", "mix": "mixture", "adapter": "adapter"}
_ID = re.compile(rf'(?<!\\)"((?:{"|".join(KINDS)})-[0-9a-f]{{16}})"')


class Trail:
    """Reads each finished step of a run once, and parses what is asked for."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.rounds = rounds_of(run)
        self._lines: dict[tuple[str, str], list[str]] = {}

    def steps(self, stage: str, prefix: str = "") -> list[str]:
        """The finished steps of a stage whose names are ``prefix`` or ``prefix-N``; without a prefix all of them."""
        names = sorted(path.name.removesuffix(".done") for path in (self.run.path / stage).glob("*.done"))
        return [name for name in names if not prefix or re.fullmatch(rf"{prefix}(-\d+)?", name)]

    def lines(self, stage: str, step: str) -> list[str]:
        """The lines of one step, checked against their hash when they are first read."""
        key = (stage, step)
        if key not in self._lines:
            self._lines[key] = self.run.read(stage, step) if self.run.marker(stage, step) is not None else []
        return self._lines[key]

    def holding(self, stage: str, prefix: str, kind: type[R], wanted: Collection[str]) -> Iterable[tuple[str, R]]:
        """The records of a stage's steps in whose line one of ``wanted`` stands, each with its ``stage/step``."""
        names = set(wanted)
        if not names:
            return
        lone = f'"{next(iter(names))}"' if len(names) == 1 else None
        for step in self.steps(stage, prefix):
            for line in self.lines(stage, step):
                if (lone is None or lone in line) and not names.isdisjoint(_ID.findall(line)):
                    yield f"{stage}/{step}", kind.model_validate_json(line)

    def resolve(self, beginning: str) -> str:
        """The one id of the run that is, or begins with, ``beginning``.

        Raises:
            UsageError: there is none, or several, or it is too short.
        """
        if len(beginning) < 3:
            raise UsageError(f"'{beginning}' is too short for an id; give at least its first three characters.")
        found: set[str] = set()
        for stage in ("base", *self.rounds, "final"):
            for step in self.steps(stage):
                for line in self.lines(stage, step):
                    if beginning in line:
                        found.update(name for name in _ID.findall(line) if name.startswith(beginning))
        if beginning in found:
            return beginning
        if not found:
            kinds = ", ".join(f"{prefix}-... ({name})" for prefix, name in KINDS.items())
            raise UsageError(
                f"{self.run.path} has no record '{beginning}'. Ids begin with {kinds}; `remedial clusters --json` "
                "lists those of clusters and problems."
            )
        if len(found) > 1:
            some = ", ".join(sorted(found)[:5])
            raise UsageError(f"'{beginning}' fits {len(found)} records ({some} ...); give more of the id.")
        return found.pop()
