"""Recorded outputs to graded attempts, and where our verdict and the file's own are not the same.

Grading is `eval.grading`'s, as of any student. Knows no file format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.recorded.base import Output
from eval.answers import MAX_ANSWER, answer_type, extract
from eval.grading import Grader
from memory.records import Attempt, Outcome, Problem

_CHUNK = 64


@dataclass(frozen=True)
class Graded:
    """The outputs of one model.

    Attributes:
        problems: each once, by first occurrence.
        attempts: one for each output, in its order.
        outputs: what was graded.
    """

    problems: tuple[Problem, ...]
    attempts: tuple[Attempt, ...]
    outputs: tuple[Output, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """How many attempts ended how; every outcome is named, and they sum to the number of outputs."""
        found = Counter(attempt.outcome.value for attempt in self.attempts)
        return {outcome.value: found[outcome.value] for outcome in Outcome}

    @property
    def compared(self) -> int:
        """How many outputs have a verdict of the file's own, those that errored left out."""
        return sum(1 for _ in self._judged())

    @property
    def disagreements(self) -> list[tuple[Output, Attempt]]:
        """Where the file says correct and we do not, or the other way round."""
        return [
            (output, attempt)
            for output, attempt in self._judged()
            if output.correct is not (attempt.outcome is Outcome.CORRECT)
        ]

    def _judged(self) -> list[tuple[Output, Attempt]]:
        pairs = zip(self.outputs, self.attempts, strict=True)
        return [
            (output, attempt)
            for output, attempt in pairs
            if output.correct is not None and attempt.outcome is not Outcome.ERRORED
        ]


def grade(
    outputs: Sequence[Output], grader: Grader, *, bare: bool, progress: Callable[[int], None] | None = None
) -> Graded:
    """Grade the outputs of one model.

    Args:
        outputs: in the order of the file; outputs at one problem are its samples.
        grader: compares the answers.
        bare: an output that is nothing but an answer (``18``) counts as one; see `stated`.
        progress: told how many more are done.
    """
    attempts: list[Attempt] = []
    samples: Counter[str] = Counter()
    for start in range(0, len(outputs), _CHUNK):
        part = outputs[start : start + _CHUNK]
        texts = [stated(output.text) if bare else output.text for output in part]
        grades = grader.grade([(output.problem, text, output.finish) for output, text in zip(part, texts, strict=True)])
        for output, found in zip(part, grades, strict=True):
            attempts.append(
                Attempt.make(
                    problem_id=output.problem.id,
                    student=output.model,
                    sample_index=samples[output.problem.id],
                    seed=0,
                    text=output.text,
                    n_tokens=0,
                    finish=output.finish,
                    outcome=found.outcome,
                    extracted=found.extracted,
                )
            )
            samples[output.problem.id] += 1
        if progress is not None:
            progress(len(part))
    problems = {output.problem.id: output.problem for output in outputs}
    return Graded(tuple(problems.values()), tuple(attempts), tuple(outputs))


def stated(text: str) -> str:
    r"""The text, boxed where it is nothing but one answer: a column of extracted answers holds no ``answer is``."""
    line = text.strip()
    if not line or len(line) > MAX_ANSWER or "\n" in line or extract(line) is not None or answer_type(line) is None:
        return text
    return f"\\boxed{{{line}}}"


def restrict(outputs: Sequence[Output], limit: int | None) -> list[Output]:
    """The outputs at the ``limit`` problems with the smallest ids: the same in whatever order the file is."""
    if limit is None:
        return list(outputs)
    kept = set(sorted({output.problem.id for output in outputs})[:limit])
    return [output for output in outputs if output.problem.id in kept]
