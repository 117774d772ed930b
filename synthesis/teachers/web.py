"""Answers requests with rows of a text corpus, in a seeded order: no teacher, no choice, no check."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import cached_property

from memory.ids import derive_seed, fingerprint
from memory.records import Cost, TeacherReply, TeacherRequest


class WebTeacher:
    """A `synthesis.teachers.base.Teacher` over rows of (statement, answer, text), given once.

    Args:
        rows: the corpus, in any order; a row's answer may be empty.
    """

    name = "web"

    def __init__(self, rows: Sequence[tuple[str, str, str]]) -> None:
        self._rows = sorted(set(rows))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the rows."""
        return fingerprint([self.name, 1, self._rows])

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """``request.n`` rows each, drawn without replacement by the request's seed; fewer where there are no more."""
        replies = []
        for request in requests:
            drawn = random.Random(derive_seed(self.name, request.seed)).sample(
                self._rows, min(request.n, len(self._rows))
            )
            rows = [{"statement": a, "solution": text, "answer": answer} for a, answer, text in drawn]
            text = json.dumps({"problems": rows})
            replies.append(TeacherReply(request_id=request.id, teacher=self.name, text=text, cost=Cost()))
            if progress is not None:
                progress(1)
        return replies
