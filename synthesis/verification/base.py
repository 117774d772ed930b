"""The Verifier seam: one word on every draft, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memory.records import Check, Draft


class Verifier(Protocol):
    """Checks drafts; may abstain.

    Attributes:
        name: its name in configs and checks.
        version: names everything in its code that changes a check.
        independent: whether a pass is evidence that the answer is right which the teacher had no part in.
        judges_answer: whether it speaks about the answer at all, so that it must tell gold answers from corrupted ones.
    """

    name: str
    version: str
    independent: bool
    judges_answer: bool

    @property
    def costly(self) -> bool:
        """Whether it asks a model. Costly verifiers come last and see only what no other has failed."""

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the texts compared with."""

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. Hostile text never raises: it fails or is abstained on."""
