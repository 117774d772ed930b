"""What a check found: each finding is a sentence with a place, and checks go on after the first that fails.

Owns the collecting. Knows nothing of what is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from memory.errors import RemedialError

T = TypeVar("T")

State = Literal["ok", "problem", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """One result.

    Attributes:
        place: the key of the config, or what was looked at.
        state: ``unchecked`` is neither good nor bad: the sentence says what it would take.
        message: a sentence; of a problem, with what to do.
    """

    place: str
    state: State
    message: str

    def __str__(self) -> str:
        """``place: message``, the place once."""
        return self.message if self.message.startswith(self.place) else f"{self.place}: {self.message}"


@dataclass
class Findings:
    """Findings in the order they were made."""

    items: list[Finding] = field(default_factory=list)

    def ok(self, place: str, message: str) -> None:
        """Something is as it should be."""
        self._add(Finding(place, "ok", message))

    def problem(self, place: str, message: str) -> None:
        """Something is wrong; each line of the message is a finding of its own."""
        for line in message.splitlines():
            if line.strip():
                self._add(Finding(place, "problem", line.strip()))

    def unchecked(self, place: str, message: str) -> None:
        """Something could not be looked at."""
        self._add(Finding(place, "unchecked", message))

    def attempt(self, place: str, work: Callable[[], T], ok: str | None = None) -> T | None:
        """What ``work`` gives; None where it raises a deliberate error, which becomes a problem."""
        try:
            found = work()
        except RemedialError as error:
            self.problem(place, str(error))
            return None
        if ok is not None:
            self.ok(place, ok)
        return found

    def holds(self, place: str, work: Callable[[], None], ok: str | None = None) -> bool:
        """Whether ``work`` raises no deliberate error; see `attempt`."""

        def worked() -> bool:
            work()
            return True

        return self.attempt(place, worked, ok) is True

    def extend(self, other: Findings) -> None:
        """Add another's findings."""
        for item in other.items:
            self._add(item)

    @property
    def problems(self) -> list[Finding]:
        """Those that have to be put right."""
        return [item for item in self.items if item.state == "problem"]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: ``ok`` and the findings by state."""
        by_state = {state: [asdict(item) for item in self.items if item.state == state] for state in _STATES}
        return {
            "ok": not self.problems,
            "problems": by_state["problem"],
            "unchecked": by_state["unchecked"],
            "passed": by_state["ok"],
        }

    def _add(self, item: Finding) -> None:
        if item not in self.items:  # one cause may be met twice
            self.items.append(item)


_STATES: tuple[State, ...] = ("problem", "unchecked", "ok")


def one_line(error: Exception) -> str:
    """The beginning of a library's error on one line, without terminal codes."""
    return " ".join("".join(char for char in str(error) if char.isprintable() or char.isspace()).split())[:200]
