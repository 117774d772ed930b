"""The Teacher seam. Concurrency, retries and caching live inside a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from memory.records import TeacherReply, TeacherRequest


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
