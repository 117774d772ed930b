"""The gate in the loop: apply what was decided, or stop where a person wants to look.

Owns the choice of points, which is kept in the run folder beside the artifacts and is no part of the config: whether
somebody looks changes nothing, only what they decide does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.review.revise import Steering, revise_diagnosis, revise_verdicts
from agent.review.state import GATE, WAITING, decided, passed, read_side, stage_of, state_of, step_of, write_side
from memory.errors import Paused, StoreError, UsageError
from memory.records import Diagnosis, Verdict
from memory.reviews import Decisions, Point
from memory.store import RunFolder

NONE = "none"


@dataclass(frozen=True)
class Gate:
    """The points at which a run stops for a review; none unless somebody asks. What was decided is always applied."""

    pause_after: frozenset[Point] = frozenset()

    @classmethod
    def opened(cls, run: RunFolder, chosen: Sequence[str] = ()) -> Gate:
        """The gate of a run: the points chosen now, or else those of before. ``none`` switches it off.

        Raises:
            UsageError: see `points_of`.
            StoreError: the stored choice is damaged.
        """
        if chosen:
            points = points_of(chosen)
            write_side(run, GATE, {"pause_after": sorted(points)})
            return cls(points)
        found = read_side(run, GATE)
        return cls(points_of(found.get("pause_after", [])) if found is not None else frozenset())

    def diagnosis(self, run: RunFolder, index: int, found: Diagnosis) -> tuple[Diagnosis, Steering]:
        """The round's diagnosis as it was reviewed.

        Raises:
            Paused: somebody is to look at it first.
            StoreError: it was decided about another diagnosis.
        """
        return revise_diagnosis(found, self._decisions(run, index, Point.DIAGNOSE))

    def verdicts(self, run: RunFolder, index: int, found: Sequence[Verdict]) -> list[Verdict]:
        """The round's verdicts as they were reviewed.

        Raises:
            Paused: somebody is to look at them first.
            StoreError: it was decided about other drafts.
        """
        return revise_verdicts(found, self._decisions(run, index, Point.VERIFY) if found else None)

    def _decisions(self, run: RunFolder, index: int, point: Point) -> Decisions | None:
        state = state_of(run, index, point)
        record = decided(run, index, point)
        if record is not None:
            if record.decisions.state != state:
                raise StoreError(
                    f"{run.path}: the review of round {index} after {point.value} was about something else than is "
                    f"stored there now. Remove {stage_of(index)}/{step_of(point)}.done to decide again."
                )
            return record.decisions
        if point in self.pause_after and not passed(run, index, point):
            write_side(run, WAITING, {"round": index, "point": point.value, "state": state})
            raise Paused(index, point.value)
        return None


def points_of(chosen: Iterable[str]) -> frozenset[Point]:
    """The points named.

    Raises:
        UsageError: an unknown one, or ``none`` together with another.
    """
    names = set(chosen)
    known = ", ".join(point.value for point in Point)
    if unknown := names - {NONE, *Point}:
        raise UsageError(f"--pause-after {sorted(unknown)[0]}: known points are {known}, and {NONE} for no pause.")
    if NONE in names and len(names) > 1:
        raise UsageError(f"--pause-after {NONE} stands beside another point; give one or the other.")
    return frozenset(Point(name) for name in names - {NONE})
