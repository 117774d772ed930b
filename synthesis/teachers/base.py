"""The Teacher seam. Concurrency, retries and caching live inside a teacher."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from memory.errors import LabelError
from memory.records import LABEL_PREFIX, TeacherReply, TeacherRequest

_LABEL = re.compile(rf"(?<!\S){re.escape(LABEL_PREFIX)}\S")


class Teacher(Protocol):
    """Writes practice problems for what it is shown: the text of failed problems and nothing else."""

    @property
    def name(self) -> str:
        """Short name, stored with every draft."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes the replies."""

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """One reply for each request, order kept; a failed request is a reply with ``error`` set.

        Raises:
            TeacherError: the teacher cannot be reached at all.
        """


def refuse_labelled(requests: Sequence[TeacherRequest]) -> None:
    """Stop a tag of the form ``label:...`` anywhere in what the user or the user's data put into a request.

    The wrong answer is not looked at: the student wrote it, and it must not stop a run.

    Raises:
        LabelError: naming the request.
    """
    for request in requests:
        texts = [request.label, request.weakness_id, request.note or "", *request.parents]
        texts += [text for item in request.exemplars for text in (item.statement, item.answer)]
        if any(_LABEL.search(text) for text in texts):
            raise LabelError(
                f"request {request.id} for {request.weakness_id} carries a hidden label ({LABEL_PREFIX}...), "
                "which may not reach a teacher; take it out of the data."
            )
