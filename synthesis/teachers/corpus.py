"""A teacher that writes nothing: it answers with the nearest problems of a corpus.

Owns what is given for which request, and that no problem is given twice. It keeps no memory of its own: what was given
before is told to it (`CorpusTeacher.beyond`), so that a run that was killed and goes on gives the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from memory.ids import fingerprint, statement_key
from memory.records import Cost, DraftBatch, Problem, TeacherReply, TeacherRequest
from synthesis.strategies.envelope import Fault, write_envelope
from synthesis.teachers.base import refuse_labelled
from synthesis.teachers.neighbours import Library, pick
from synthesis.teachers.solutions import Distiller

VERSION = 1


class CorpusTeacher:
    """A `synthesis.teachers.base.Teacher` over a corpus; the exemplars of a request are its queries.

    A reply is the usual envelope. Where solutions are distilled, a problem that the model did not solve stands in it as
    ``{"refused": reason, "evidence": ..., "statement": ...}``, which `synthesis.strategies.retrieval` reads.

    Args:
        library: the corpus; its problems are usable (`synthesis.teachers.solutions.usable`).
        distiller: writes the solutions; None gives those of the corpus.
    """

    name = "corpus"

    def __init__(self, library: Library, distiller: Distiller | None = None) -> None:
        self._library, self._distiller = library, distiller
        self._given: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """Hash of the corpus' content, how it is searched, who solves, and what was given before."""
        return fingerprint([self._constant, sorted(self._given)])

    @cached_property
    def _constant(self) -> str:
        library, distiller = self._library, self._distiller
        content = [[problem.id, problem.solution] for problem in library.problems]
        settings = [library.masked, library.kind, library.exact_up_to]
        return fingerprint(["corpus", VERSION, content, library.embedder, settings, distiller])

    def beyond(self, given: Iterable[str]) -> CorpusTeacher:
        """The same teacher where problems with these keys (`memory.ids.statement_key`) have been given already."""
        _ = self._constant  # made once, for all views
        view = copy.copy(self)
        view._given = frozenset(given)
        return view

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """One reply for each request, order kept, with fewer problems than asked for where the corpus has no more.

        Raises:
            LabelError: a request carries a hidden label.
            TeacherError: solutions are distilled and the model cannot be reached.
        """
        refuse_labelled(requests)
        problems = self._library.problems
        taken = self._library.places(self._given)
        chosen = [[problems[at] for at in row] for row in pick(self._library, requests, taken)]
        rows, costs = self._rows(requests, chosen)
        replies = []
        for request, row, cost in zip(requests, rows, costs, strict=True):
            replies.append(TeacherReply(request_id=request.id, teacher=self.name, text=write_envelope(row), cost=cost))
            if progress is not None:
                progress(1)
        return replies

    def _rows(
        self, requests: Sequence[TeacherRequest], chosen: Sequence[Sequence[Problem]]
    ) -> tuple[list[list[dict[str, str]]], list[Cost]]:
        """The rows of each reply, and what they cost."""
        if self._distiller is None:
            return [[_row(item.statement, item.solution or "", item.answer) for item in row] for row in chosen], [
                Cost() for _ in chosen
            ]
        asked = [(request, item) for request, row in zip(requests, chosen, strict=True) for item in row]
        solved = iter(self._distiller.solve(asked))
        rows, costs = [], []
        for row in chosen:
            made, prompt, completion = [], 0, 0
            for problem in row:
                found = next(solved)
                prompt, completion = prompt + found.cost.prompt_tokens, completion + found.cost.completion_tokens
                made.append(
                    {"refused": found.item.reason, "evidence": found.item.evidence, "statement": problem.statement}
                    if isinstance(found.item, Fault)
                    else _row(found.item.statement, found.item.solution, found.item.answer)
                )
            rows.append(made)
            costs.append(Cost(prompt_tokens=prompt, completion_tokens=completion))
        return rows, costs


def given_before(earlier: Iterable[Problem], batches: Iterable[DraftBatch]) -> frozenset[str]:
    """Keys of all that need not be given again: what earlier rounds accepted, and what this round's waves brought."""
    keys = {statement_key(problem.statement) for problem in earlier}
    for batch in batches:
        keys |= {statement_key(draft.problem.statement) for draft in batch.drafts}
        keys |= {refusal.about for refusal in batch.refusals if refusal.about is not None}
    return frozenset(keys)


def _row(statement: str, solution: str, answer: str) -> dict[str, str]:
    return {"statement": statement, "solution": solution, "answer": answer}
