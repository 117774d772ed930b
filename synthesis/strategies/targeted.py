"""The targeted strategy: show the teacher every kind of failure of a cluster, ask for practice of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from memory.ids import derive_seed, fingerprint, sha256_text
from memory.records import (
    Attempt,
    Cost,
    Draft,
    Exemplar,
    Problem,
    Refusal,
    Split,
    TeacherReply,
    TeacherRequest,
    Weakness,
    refuse_labels,
    refuse_sealed,
)
from synthesis.strategies.replies import Fault, read_reply


class Targeted:
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

    def requests(
        self, weakness: Weakness, failed: Sequence[tuple[Problem, Attempt]], n: int, seed: int
    ) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``.

        There are enough of them to show every failed problem, as long as each then still asks for one problem.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """
        problems = [problem for problem, _ in failed]
        refuse_sealed(problems, "the teacher")
        refuse_labels(problems, "the teacher")
        if n <= 0 or not failed:
            return []
        ordered = sorted(failed, key=lambda pair: pair[0].id)
        random.Random(seed).shuffle(ordered)
        needed = max(-(-n // self._asked), -(-len(ordered) // self._shown))
        count = min(n, needed)
        made = []
        for index in range(count):
            shown = [ordered[(index * self._shown + offset) % len(ordered)] for offset in range(self._shown)]
            pairs = shown[: len(ordered)]
            made.append(
                TeacherRequest.make(
                    weakness_id=weakness.id,
                    strategy=self.name,
                    label=weakness.label,
                    exemplars=tuple(
                        Exemplar(statement=problem.statement, answer=problem.answer, wrong_answer=attempt.extracted)
                        for problem, attempt in pairs
                    ),
                    parents=tuple(problem.id for problem, _ in pairs),
                    n=n // count + (1 if index < n % count else 0),
                    seed=derive_seed(seed, index),
                )
            )
        return made

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Drafts and refusals of one reply; see `synthesis.strategies.replies`."""
        items = read_reply(reply, request.n)
        costs = _shares(reply.cost, len(items))
        drafts, refusals = [], []
        for item, cost in zip(items, costs, strict=True):
            if isinstance(item, Fault):
                refusals.append(
                    Refusal(
                        request_id=request.id,
                        strategy=request.strategy,
                        weakness_id=request.weakness_id,
                        reason=item.reason,
                        evidence=item.evidence,
                    )
                )
                continue
            problem = Problem.make(
                item.statement,
                item.answer,
                solution=item.solution,
                source=f"{request.strategy}:{reply.teacher}",
                split=Split.SYNTHETIC,
                parents=request.parents,
            )
            drafts.append(
                Draft.make(
                    problem=problem,
                    prompt_hash=sha256_text(request.id),
                    teacher=reply.teacher,
                    seed=request.seed,
                    cost=cost,
                    strategy=request.strategy,
                    weakness_id=request.weakness_id,
                )
            )
        return drafts, refusals


def _shares(cost: Cost, n: int) -> list[Cost]:
    """A reply's cost dealt out evenly to what it brought; the remainder goes to the first."""

    def split(total: int, index: int) -> int:
        return total // n + (total % n if index == 0 else 0)

    return [
        Cost(prompt_tokens=split(cost.prompt_tokens, index), completion_tokens=split(cost.completion_tokens, index))
        for index in range(n)
    ]
