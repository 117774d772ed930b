"""The Verifier seam: one word on every draft, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memory.records import Check, Draft


class Verifier(Protocol):
    """Checks drafts; may abstain. ``independent`` says whether a pass is evidence that the answer is right."""

    name: str
    version: str
    independent: bool

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the texts compared with."""

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. Hostile text never raises: it fails or is abstained on."""
