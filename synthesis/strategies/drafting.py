"""What all strategies that ask a teacher share: who may be shown, and how a reply becomes drafts and refusals.

Knows nothing of how a strategy chooses what to show.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from eval.answers import answer_type
from memory.ids import sha256_text
from memory.records import (
    Cost,
    Draft,
    Exemplar,
    Problem,
    Refusal,
    Split,
    TeacherReply,
    TeacherRequest,
    refuse_labels,
    refuse_sealed,
)
from synthesis.strategies.base import Failure
from synthesis.strategies.envelope import Fault
from synthesis.strategies.replies import read_reply


def admitted(failed: Sequence[Failure], seed: int) -> list[Failure]:
    """The failed problems in a seeded order that does not depend on the order they come in.

    Raises:
        SplitError: a problem is of a sealed split.
        LabelError: a problem carries a hidden label.
    """
    problems = [problem for problem, _ in failed]
    refuse_sealed(problems, "the teacher")
    refuse_labels(problems, "the teacher")
    ordered = sorted(failed, key=lambda pair: pair[0].id)
    random.Random(seed).shuffle(ordered)
    return ordered


def exemplar(failure: Failure) -> Exemplar:
    """What a teacher sees of a problem; the wrong answer only where there is an attempt to show."""
    problem, attempt = failure
    wrong = None if attempt is None else attempt.extracted
    return Exemplar(statement=problem.statement, answer=problem.answer, wrong_answer=wrong)


def parts(n: int, count: int) -> list[int]:
    """``n`` split over ``count`` as evenly as can be, the larger parts first."""
    return [n // count + (1 if index < n % count else 0) for index in range(count)]


def parse(request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
    """Drafts and refusals of one reply; see `synthesis.strategies.replies`. The reply's cost is shared out to them."""
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
                answer_type=answer_type(item.answer),
                strategy=request.strategy,
                weakness_id=request.weakness_id,
            )
        )
    return drafts, refusals


def _shares(cost: Cost, n: int) -> list[Cost]:
    """A reply's cost dealt out evenly to what it brought; the remainder goes to the first."""
    prompt, completion = parts(cost.prompt_tokens, n), parts(cost.completion_tokens, n)
    return [Cost(prompt_tokens=a, completion_tokens=b) for a, b in zip(prompt, completion, strict=True)]
