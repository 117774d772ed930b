"""The Benchmark seam: problems, and what one answer is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from memory.records import Finish, Outcome, Problem


class Grade(NamedTuple):
    """``outcome`` of one attempt and the answer read from it (None where there was none)."""

    outcome: Outcome
    extracted: str | None


class Benchmark(Protocol):
    """A named set of problems with a grader."""

    @property
    def name(self) -> str:
        """Short name, as shown in reports."""

    @property
    def fingerprint(self) -> str:
        """Hash over the sorted problem ids and the grader's version; independent of file order."""

    def problems(self) -> tuple[Problem, ...]:
        """All problems, sorted by id."""

    def grade(self, items: Sequence[tuple[Problem, str, Finish]]) -> list[Grade]:
        """Grade (problem, generated text, finish) items as a batch, order kept."""
