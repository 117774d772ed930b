"""From checks to verdicts, and which verifiers may judge at all.

Owns `judge` and `earn_place`. Knows no verifier by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from eval.answers import extract
from eval.expressions import check_equations, value
from memory.errors import ConfigError
from memory.ids import derive_seed
from memory.records import (
    Accepted,
    Check,
    CheckOutcome,
    Draft,
    Problem,
    Split,
    Verdict,
    refuse_labels,
    refuse_sealed,
)
from synthesis.verification.base import Verifier

EARNS = 0.95  # of gold solutions accepted, and of corrupted ones refused

_INTEGER = re.compile(r"(?<![\d.,])\d{1,9}(?![\d]|[.,]\d)")


def judge(drafts: Sequence[Draft], verifiers: Sequence[Verifier], *, min_independent: int = 1) -> list[Verdict]:
    """One verdict for each draft, order kept; every verifier sees the whole batch.

    Accepted is YES without a failing check and with ``min_independent`` passes of independent verifiers, NO with a
    failing check, else UNDECIDED, which is not trained on. All checks are kept, in the order of the verifiers.

    Raises:
        SplitError: a draft is of a sealed split.
        LabelError: a draft carries a hidden label.
    """
    problems = [draft.problem for draft in drafts]
    refuse_sealed(problems, "a verdict")
    refuse_labels(problems, "a verdict")
    columns = [verifier.check(drafts) for verifier in verifiers]
    for verifier, column in zip(verifiers, columns, strict=True):
        if len(column) != len(drafts):
            raise ValueError(f"verifier {verifier.name} gave {len(column)} checks for {len(drafts)} drafts")
    independent = [verifier.independent for verifier in verifiers]
    verdicts = []
    for position, draft in enumerate(drafts):
        checks = tuple(column[position] for column in columns)
        verdicts.append(
            Verdict(draft_id=draft.id, accepted=_accepted(checks, independent, min_independent), checks=checks)
        )
    return verdicts


def _accepted(checks: Sequence[Check], independent: Sequence[bool], min_independent: int) -> Accepted:
    if any(check.outcome is CheckOutcome.FAIL for check in checks):
        return Accepted.NO
    passes = sum(
        check.outcome is CheckOutcome.PASS for check, counts in zip(checks, independent, strict=True) if counts
    )
    return Accepted.YES if passes >= min_independent else Accepted.UNDECIDED


def earn_place(verifiers: Sequence[Verifier], gold: Sequence[Problem]) -> None:
    """Let no verifier judge that refuses gold solutions or accepts corrupted ones.

    Each independent verifier must pass 95 % of the gold solutions on which it does not abstain, and at most 5 % of
    what is made of those it passes: the boxed answer raised by one, and a number in a step raised by one.
    Problems without a solution are left out; with no problems at all nothing is asked.

    Raises:
        ConfigError: naming the verifier, an example, and the cure.
    """
    usable = [problem for problem in sorted(gold, key=lambda item: item.id) if problem.solution]
    if not usable:
        return
    for verifier in verifiers:
        if verifier.independent:
            accepted = _must_accept(verifier, usable)
            _must_refuse(verifier, accepted, raise_box, "a boxed answer raised by one")
            _must_refuse(verifier, accepted, raise_step, "a number in a step raised by one")


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
    missed = [
        problem for problem, check in zip(corrupted, checks, strict=True) if check.outcome is not CheckOutcome.FAIL
    ]
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
