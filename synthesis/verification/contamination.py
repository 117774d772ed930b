"""The `contamination` verifier: a draft must not be a twin of a problem that is measured.

Owns which kinds of twin are refused. What makes a twin is `eval.overlap`'s business; which problems are measured is
the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eval.overlap import VERSION as OVERLAP
from eval.overlap import OverlapIndex, TwinKind, index_of
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft, Problem

SameTemplate = Literal["refuse", "allow"]
_ALWAYS = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.SAME_NUMBERS, TwinKind.NGRAM)


class Contamination:
    """Fails drafts with the text, or the numbers and answer, or most of the words of a measured problem.

    Args:
        sealed: the problems of probe, dev, test and guard.
        same_template: whether a measured problem with other numbers is a twin too; ``allow`` is meant for worlds of
            templates, where training and test differ in nothing else.
    """

    name = "contamination"
    version = f"1+{OVERLAP}"
    independent = False
    judges_answer = False
    costly = False

    def __init__(self, sealed: Sequence[Problem], same_template: SameTemplate = "refuse") -> None:
        self._sealed = tuple(sealed)
        self._kinds = _ALWAYS if same_template == "allow" else (*_ALWAYS, TwinKind.SAME_TEMPLATE)

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the problems compared with."""
        return fingerprint([self.name, self.version, self._kinds, sorted(problem.id for problem in self._sealed)])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. The evidence names the twin and its split."""
        sealed = index_of(self._sealed)
        return [self._check(draft, sealed) for draft in drafts]

    def _check(self, draft: Draft, sealed: OverlapIndex) -> Check:
        twin = sealed.find(draft.problem.statement, draft.problem.answer, self._kinds)
        if twin is None:
            return Check(verifier=self.name, version=self.version, outcome=CheckOutcome.PASS)
        return Check(
            verifier=self.name,
            version=self.version,
            outcome=CheckOutcome.FAIL,
            reason=twin.kind.value,
            evidence=f"{twin.problem.id} ({twin.problem.split.value}) {twin.shared}".rstrip(),
        )
