"""The `contamination` verifier: a draft must not be a twin of a problem that is measured.

Owns which kinds of twin are refused. What makes a twin is `eval.overlap`'s business and
`synthesis.verification.near`'s; which problems are measured is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from eval.overlap import VERSION as OVERLAP
from eval.overlap import OverlapIndex, TwinKind, index_of
from memory.embedding import Embedder
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft, Problem
from synthesis.verification.near import NEAR_TEMPLATE, NEIGHBOUR, Near, NearTemplates, near_index, neighbours_of
from synthesis.verification.near import VERSION as NEAR

SameTemplate = Literal["refuse", "allow"]
_ALWAYS = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.SAME_NUMBERS, TwinKind.NGRAM)


class Contamination:
    """Fails drafts with the text, or the numbers and answer, or most of the words of a measured problem.

    Args:
        sealed: the problems of probe, dev, test and guard, and of every other benchmark.
        same_template: whether a measured problem with other numbers, or told in other words, is a twin too; ``allow``
            is meant for worlds of templates, where training and test differ in nothing else.
        embedder: finds what is told in other words; without it that kind is not looked for.
        near: for ``near_template``, share of the runs of three words in (0, 1].
        neighbour: for ``embedding``, cosine plus share of word pairs, in (0, 2].
    """

    name = "contamination"
    version = f"2+{OVERLAP}+{NEAR}"
    independent = False
    judges_answer = False
    costly = False

    def __init__(
        self,
        sealed: Sequence[Problem],
        same_template: SameTemplate = "refuse",
        *,
        embedder: Embedder | None = None,
        near: float = NEAR_TEMPLATE,
        neighbour: float = NEIGHBOUR,
    ) -> None:
        self._sealed = tuple(sealed)
        self._templates = same_template == "refuse"
        self._kinds = (*_ALWAYS, TwinKind.SAME_TEMPLATE) if self._templates else _ALWAYS
        self._embedder = embedder if self._templates else None
        self._near, self._neighbour = near, neighbour

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the problems compared with."""
        settings: list[Any] = [self._kinds, sorted(problem.id for problem in self._sealed)]
        if self._templates:
            settings += [[self._near, self._neighbour], self._embedder.fingerprint if self._embedder else None]
        return fingerprint([self.name, self.version, *settings])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. The evidence names the twin and its split."""
        # Looked up once for a batch: finding an index among those known hashes all problems in it.
        exact = index_of(self._sealed)
        nearly = near_index(self._sealed, self._near) if self._templates else None
        found = [self._exact(draft, exact) or self._nearly(draft, nearly) for draft in drafts]
        if self._embedder is not None and self._sealed:
            open_ = [at for at, check in enumerate(found) if check is None]
            index = neighbours_of(self._embedder, self._sealed, self._neighbour)
            for at, near in zip(open_, index.find([drafts[at].problem.statement for at in open_]), strict=True):
                found[at] = self._refused("embedding", near)
        return [check or self._word(CheckOutcome.PASS) for check in found]

    def _exact(self, draft: Draft, index: OverlapIndex) -> Check | None:
        twin = index.find(draft.problem.statement, draft.problem.answer, self._kinds)
        return self._refused(twin.kind.value, Near(twin.problem, twin.shared)) if twin is not None else None

    def _nearly(self, draft: Draft, index: NearTemplates | None) -> Check | None:
        return None if index is None else self._refused("near_template", index.find(draft.problem.statement))

    def _refused(self, reason: str, near: Near | None) -> Check | None:
        if near is None:
            return None
        evidence = f"{near.problem.id} ({near.problem.split.value}) {near.shared}".rstrip()
        return self._word(CheckOutcome.FAIL, reason, evidence)

    def _word(self, outcome: CheckOutcome, reason: str = "", evidence: str = "") -> Check:
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=evidence)
