"""The replay strategy: no new data at all. The control that shows what more of the same training does."""

from __future__ import annotations

from collections.abc import Sequence

from memory.ids import fingerprint
from memory.records import Draft, Refusal, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies.base import Aim, Failure, View, Writer


class Replay:
    """Asks for nothing; the round's mixture is validated replay alone, of the same size."""

    name = "replay"
    fingerprint = fingerprint(["replay"])
    writer: Writer = "nobody"
    needs_losses = False
    checks: frozenset[str] | None = None

    def aims(self, view: View, seed: int) -> list[Aim]:
        """None."""
        return []

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """None."""
        return []

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Nothing."""
        return [], []
