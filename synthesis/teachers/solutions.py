r"""Solutions of corpus problems in the form that drafts must have: the corpus' own, or written by a model.

Owns where the one ``\boxed{}`` comes from and when a corpus problem cannot be used. The texts are hostile: they are
data in a prompt, and nothing raises on what they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.answers import compare
from eval.engines.base import Engine, Sample, Sampling
from memory.errors import EngineError, TeacherError
from memory.ids import derive_seed, fingerprint
from memory.records import Cost, Finish, Problem, TeacherRequest
from synthesis.prompting import Prompts
from synthesis.strategies.envelope import Fault, fault
from synthesis.strategies.replies import Item, boxes, read_item
from synthesis.teachers.llm import Record, cost_of
from synthesis.verification.solving import Compare, says_unsolvable

_FINAL = re.compile(r"(?:\A|\n)[ \t]*####[ \t]*([^\n]+?)[ \t]*\Z")
_NOTE = re.compile(r"<<[^<>\n]*>>")
_END_OF_THOUGHT = "</think>"
VERSION = 1


def usable(problem: Problem, *, distill: bool = False) -> Problem | str:
    r"""The problem as drafts must be, or in a word why it cannot be one.

    A solution that ends in ``#### 42`` (GSM8K), or has no box, gets its box from the answer; an answer that the corpus
    lacks (empty) is read from the box; one that is written in another way than in the box becomes the box's. Where
    solutions are to be distilled, the corpus' own is not looked at.

    Reasons: ``no_solution``, ``no_answer``, and those of `synthesis.strategies.replies`.
    """
    answer = problem.answer.strip()
    if distill:
        shown = answer or "0"
        item = read_item({"statement": problem.statement, "solution": f"\\boxed{{{shown}}}", "answer": shown})
        if isinstance(item, Fault):
            return item.reason
        return problem.model_copy(update={"statement": item.statement, "answer": answer, "solution": None})
    text = _NOTE.sub("", problem.solution or "").rstrip()
    final = _FINAL.search(text) if not boxes(text) else None
    if final is not None:
        text, stated = text[: final.start()].rstrip(), final.group(1)
        if not answer:
            answer = stated
        elif " ".join(stated.split()) != " ".join(answer.split()) and compare(stated, answer) is not True:
            return "box_differs"
    if not text.strip():
        return "no_solution"
    found = boxes(text)
    if not found and not answer:
        return "no_answer"
    if not found:
        text = f"{text}\n\\boxed{{{answer}}}"
    elif len(found) == 1 and (not answer or compare(found[0], answer) is True):
        answer = found[0]
    item = read_item({"statement": problem.statement, "solution": text, "answer": answer})
    if isinstance(item, Fault):
        return item.reason
    return Problem.make(
        item.statement, item.answer, solution=item.solution, source=problem.source, split=problem.split,
        tags=problem.tags,
    )  # fmt: skip


@dataclass(frozen=True)
class Solved:
    """What a model made of one problem, and the tokens it took."""

    item: Item | Fault
    cost: Cost


class Distiller:
    """Has a model solve corpus problems: the text it writes becomes the solution where its answer is right.

    The model is not shown the corpus' answer. All samples are of one seed, so a statement is solved and paid for once,
    in whatever run, round or order it is asked about.

    Args:
        engine: the model; it is not closed here.
        prompts: ``solve`` is used, with the statement alone.
        grade: compares two answers, whatever they hold, and returns in bounded time.
        temperature: of the one sample.
        top_p: nucleus sampling.
        max_new_tokens: for each solution.
        record: told about every sample, for the ledger.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        *,
        grade: Compare,
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int = 4096,
        record: Record | None = None,
    ) -> None:
        self._engine, self._prompts, self._equal, self._record = engine, prompts, grade, record
        # A seed of its own: the verifier `agreement` must not meet the very sample it is to check.
        self._sampling = Sampling(1, temperature, top_p, max_new_tokens, derive_seed("distill"))

    @property
    def fingerprint(self) -> str:
        """Hash of version, model, prompts and settings."""
        return fingerprint(["distill", VERSION, self._engine.fingerprint, self._prompts.fingerprint, self._sampling])

    def solve(
        self,
        asked: Sequence[tuple[TeacherRequest, Problem]],
        progress: Callable[[int], None] | None = None,
    ) -> list[Solved]:
        """One result for each problem, each given with the request it is for; order kept.

        Faults: ``teacher_error``, ``truncated``, ``unsolvable``, ``other_answer`` (than the corpus has), and those of
        `synthesis.strategies.replies`.

        Raises:
            TeacherError: the model cannot be reached at all.
        """
        prompts = [self._prompts.render("solve", statement=problem.statement) for _, problem in asked]
        try:
            rows = self._engine.generate(prompts, self._sampling, progress) if prompts else []
        except EngineError as error:
            raise TeacherError(f"draft.retrieval.solutions: distill: {error}") from error
        if len(rows) != len(prompts) or any(len(row) != 1 for row in rows):
            raise TeacherError(
                "draft.retrieval.solutions: distill: the engine did not return a sample for each problem"
            )
        found = []
        for (request, problem), (sample,) in zip(asked, rows, strict=True):
            if self._record is not None:
                self._record(request, "distill", sample)
            found.append(Solved(self._read(problem, sample), cost_of(sample)))
        return found

    def _read(self, problem: Problem, sample: Sample) -> Item | Fault:
        if sample.finish is Finish.ERROR:
            return fault("teacher_error", sample.error or "the engine gave no reason")
        if sample.finish is not Finish.STOP:
            return fault("truncated", sample.text[-80:])
        text = sample.text.rpartition(_END_OF_THOUGHT)[2].strip()
        found = boxes(text)
        answer = found[0] if found else ""
        if says_unsolvable(answer):
            return fault("unsolvable", answer)
        if len(found) == 1 and problem.answer and not self._equal(answer, problem.answer):
            return fault("other_answer", f"boxed {answer[:60]!r}, the corpus has {problem.answer[:60]!r}")
        return read_item({"statement": problem.statement, "solution": text, "answer": answer or "0"})
