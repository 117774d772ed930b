"""The targeted strategy: show the teacher every kind of failure of a cluster, ask for practice of it."""

from __future__ import annotations

from collections.abc import Sequence

from memory.ids import derive_seed, fingerprint
from memory.records import Draft, Refusal, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies import drafting
from synthesis.strategies.base import Failure, OnClusters


class Targeted(OnClusters):
    """Practice for one cluster at a time.

    The failed problems are dealt out to the requests in a seeded order, so that all of them are shown before any is
    shown twice: a cluster is rarely pure, and what is never shown is never practised.

    Args:
        exemplars_per_request: failed problems shown in one request.
        problems_per_request: most problems asked for in one request.
    """

    name = "targeted"

    def __init__(self, exemplars_per_request: int = 4, problems_per_request: int = 16) -> None:
        self._shown, self._asked = exemplars_per_request, problems_per_request

    @property
    def fingerprint(self) -> str:
        """Hash of name and settings."""
        return fingerprint([self.name, self._shown, self._asked])

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``.

        There are enough of them to show every failed problem, as long as each then still asks for one problem.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """
        ordered = drafting.admitted(failed, seed)
        if n <= 0 or not ordered:
            return []
        needed = max(-(-n // self._asked), -(-len(ordered) // self._shown))
        count = min(n, needed)
        made = []
        for index, share in enumerate(drafting.parts(n, count)):
            shown = [ordered[(index * self._shown + offset) % len(ordered)] for offset in range(self._shown)]
            pairs = shown[: len(ordered)]
            made.append(
                TeacherRequest.make(
                    weakness_id=weakness.id,
                    strategy=self.name,
                    label=weakness.label,
                    keyphrases=weakness.keyphrases,
                    exemplars=tuple(drafting.exemplar(pair) for pair in pairs),
                    parents=tuple(problem.id for problem, _ in pairs),
                    n=share,
                    seed=derive_seed(seed, index),
                )
            )
        return made

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Drafts and refusals of one reply."""
        return drafting.parse(request, reply)
