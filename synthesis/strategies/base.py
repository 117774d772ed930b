"""The Strategy seam: what to ask for, and how to read the reply. A strategy does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memory.records import Attempt, Draft, Problem, Refusal, TeacherReply, TeacherRequest, Weakness


class Strategy(Protocol):
    """Turns a weakness into teacher requests, and replies into drafts."""

    @property
    def name(self) -> str:
        """The strategy's name in configs and records."""

    @property
    def fingerprint(self) -> str:
        """Hash of name and settings."""

    def requests(
        self, weakness: Weakness, failed: Sequence[tuple[Problem, Attempt]], n: int, seed: int
    ) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``; ``failed`` are the cluster's failed problems with a wrong attempt.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Read one reply. Never raises on what a model wrote: what cannot be read becomes a Refusal."""
