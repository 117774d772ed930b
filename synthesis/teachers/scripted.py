"""A teacher that answers by a function: for the demo and for tests. No I/O, no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memory.ids import fingerprint
from memory.records import Cost, TeacherReply, TeacherRequest


class ScriptedTeacher:
    """Replies with ``respond(request)``.

    Args:
        respond: the reply's text for a request; must depend on the request alone.
        name: stored with every draft.
    """

    def __init__(self, respond: Callable[[TeacherRequest], str], name: str = "scripted") -> None:
        self._respond, self.name = respond, name
        self.asked: list[TeacherRequest] = []

    @property
    def fingerprint(self) -> str:
        """Hash of the name; the function is the caller's to keep still."""
        return fingerprint(["scripted", self.name])

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """One reply for each request, order kept; every request is remembered in ``asked``."""
        replies = []
        for request in requests:
            self.asked.append(request)
            text = self._respond(request)
            shown = sum(len(exemplar.statement) for exemplar in request.exemplars)
            cost = Cost(prompt_tokens=shown // 4, completion_tokens=len(text) // 4)
            replies.append(TeacherReply(request_id=request.id, teacher=self.name, text=text, cost=cost))
            if progress is not None:
                progress(1)
        return replies
