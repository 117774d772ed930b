"""Which verifiers may judge at all: each is tried on gold solutions and on what is made of them by a known error.

Knows no verifier by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from eval.answers import extract
from eval.expressions import check_equations, value
from memory.errors import ConfigError
from memory.ids import derive_seed
from memory.records import CheckOutcome, Draft, Problem, Record, Split
from synthesis.verification.base import Verifier

EARNS = 0.95  # of gold solutions accepted, and of corrupted ones refused

_INTEGER = re.compile(r"(?<![\d.,])\d{1,9}(?![\d]|[.,]\d)")


class Earned(Record):
    """How a verifier that asks a model did: gold answers it passed, and corrupted ones it failed, of those asked."""

    verifier: str
    gold: int
    passed: int
    corrupted: int
    refused: int


def earn_place(verifiers: Sequence[Verifier], gold: Sequence[Problem]) -> None:
    """Let no verifier judge that refuses gold solutions or accepts corrupted ones. Nothing is spent.

    Each independent verifier that costs nothing must pass 95 % of the gold solutions on which it does not abstain, and
    at most 5 % of what is made of those it passes: the boxed answer raised by one, and a number in a step raised by
    one. Problems without a solution are left out; with no problems at all nothing is asked.

    Raises:
        ConfigError: naming the verifier, an example, and the cure.
    """
    usable = [problem for problem in sorted(gold, key=lambda item: item.id) if problem.solution]
    if not usable:
        return
    for verifier in verifiers:
        if verifier.independent and not verifier.costly:
            accepted = _must_accept(verifier, usable)
            _must_refuse(verifier, accepted, raise_box, "a boxed answer raised by one")
            _must_refuse(verifier, accepted, raise_step, "a number in a step raised by one")


def earn_place_asking(
    verifiers: Sequence[Verifier], gold: Sequence[Problem], *, min_accept: float = 0.5
) -> list[Earned]:
    """The same for verifiers that ask a model and judge answers. It costs tokens: at the start of a run, on few
    problems.

    Each must pass at least ``min_accept`` of the gold answers (a solver may fail at hard ones, but one that refuses
    most right drafts makes no data) and fail 95 % of the same problems with the answer raised by one. Abstaining is
    neither. Problems whose answer is no number serve as gold only.

    Raises:
        ConfigError: naming the verifier, an example, and the cure.
    """
    usable = sorted(gold, key=lambda item: item.id)
    corrupted = [changed for problem in usable if (changed := raise_answer(problem)) is not None]
    drafts = [_as_draft(problem) for problem in (*usable, *corrupted)]
    found = []
    for verifier in verifiers:
        if not (verifier.costly and verifier.judges_answer) or not usable:
            continue
        checks = verifier.check(drafts)  # in one batch: the solver is asked about a statement once
        on_gold, on_corrupted = checks[: len(usable)], checks[len(usable) :]
        earned = Earned(
            verifier=verifier.name,
            gold=len(usable),
            passed=sum(check.outcome is CheckOutcome.PASS for check in on_gold),
            corrupted=len(corrupted),
            refused=sum(check.outcome is CheckOutcome.FAIL for check in on_corrupted),
        )
        if earned.passed < min_accept * earned.gold:
            problem, check = next(
                pair for pair in zip(usable, on_gold, strict=True) if pair[1].outcome is not CheckOutcome.PASS
            )
            raise ConfigError(
                f"verify.{verifier.name}: it passes {earned.passed} of {earned.gold} gold answers of the replay, fewer "
                f"than {min_accept:.0%}; for example {problem.id} with answer {problem.answer[:60]!r} is "
                f"{check.reason}: {check.evidence}. Use a stronger model for it, more max_new_tokens, or remove it."
            )
        passed = [
            problem
            for problem, check in zip(corrupted, on_corrupted, strict=True)
            if check.outcome is CheckOutcome.PASS
        ]
        if len(passed) > (1 - EARNS) * len(corrupted):
            raise ConfigError(
                f"verify.{verifier.name}: it passes {len(passed)} of {len(corrupted)} answers raised by one, as "
                f"{passed[0].id} with answer {passed[0].answer[:60]!r}. It is no evidence that an answer is right: "
                "remove it or use another model for it."
            )
        found.append(earned)
    return found


def _must_accept(verifier: Verifier, gold: Sequence[Problem]) -> list[Problem]:
    """The gold problems that were accepted."""
    checks = verifier.check([_as_draft(problem) for problem in gold])
    decided = [
        (problem, check)
        for problem, check in zip(gold, checks, strict=True)
        if check.outcome is not CheckOutcome.ABSTAIN
    ]
    if not decided:
        raise ConfigError(
            f"verify.verifiers: {verifier.name} decides none of {len(gold)} gold solutions of the replay, so no draft "
            f"like them could ever be accepted, for example {_shown(gold[0])}. Give a replay with worked equations "
            "and answers, or another verifier."
        )
    accepted = [problem for problem, check in decided if check.outcome is CheckOutcome.PASS]
    if len(accepted) < EARNS * len(decided):
        problem, check = next(pair for pair in decided if pair[1].outcome is CheckOutcome.FAIL)
        raise ConfigError(
            f"verify.verifiers: {verifier.name} refuses {len(decided) - len(accepted)} of {len(decided)} gold "
            f"solutions of the replay, for example {_shown(problem)} as {check.reason}: {check.evidence}. Correct "
            "these solutions in data.replay, or remove the verifier."
        )
    return accepted


def _must_refuse(
    verifier: Verifier, accepted: Sequence[Problem], corrupt: Callable[[Problem], Problem | None], what: str
) -> None:
    corrupted = [changed for problem in accepted if (changed := corrupt(problem)) is not None]
    checks = verifier.check([_as_draft(problem) for problem in corrupted])
    # To abstain accepts nothing: real solutions have steps ("3 feet = 36 inches") that nobody can call wrong.
    missed = [problem for problem, check in zip(corrupted, checks, strict=True) if check.outcome is CheckOutcome.PASS]
    if len(missed) > (1 - EARNS) * len(corrupted):
        raise ConfigError(
            f"verify.verifiers: {verifier.name} lets through {len(missed)} of {len(corrupted)} solutions with {what}, "
            f"for example {_shown(missed[0])}. It is no evidence that an answer is right: remove it or correct it."
        )


def _as_draft(problem: Problem) -> Draft:
    fresh = problem.model_copy(update={"split": Split.SYNTHETIC})
    return Draft.make(problem=fresh, prompt_hash="gold", weakness_id="gold", strategy="gold", teacher="gold", seed=0)


def _shown(problem: Problem) -> str:
    return f"{problem.id} ({' '.join((problem.solution or '').split())[:160]!r})"


def raise_box(problem: Problem) -> Problem | None:
    """The problem with the final answer of its solution raised by one; None where that is no number."""
    solution = problem.solution or ""
    stated = extract(solution)
    exact = value(stated) if stated is not None and len(stated) < 100 else None
    at = solution.rfind(stated) if stated else -1
    if stated is None or exact is None or at < 0:
        return None
    return _with_solution(problem, solution[:at] + str(exact + 1) + solution[at + len(stated) :])


def raise_answer(problem: Problem) -> Problem | None:
    """The problem with its answer raised by one; None where that is no number."""
    exact = value(problem.answer) if len(problem.answer) < 100 else None
    return None if exact is None else problem.model_copy(update={"answer": str(exact + 1)})


def raise_step(problem: Problem) -> Problem | None:
    """The problem with one whole number of a true equation raised by one, chosen by the problem's id."""
    solution = problem.solution or ""
    spots = [
        (equation.start + match.start(), equation.start + match.end())
        for equation in check_equations(solution)
        if equation.verdict
        for match in _INTEGER.finditer(equation.text)
    ]
    if not spots:
        return None
    start, end = spots[derive_seed("raise_step", problem.id) % len(spots)]
    return _with_solution(problem, solution[:start] + str(Fraction(solution[start:end]) + 1) + solution[end:])


def _with_solution(problem: Problem, solution: str) -> Problem:
    return problem.model_copy(update={"solution": solution})
