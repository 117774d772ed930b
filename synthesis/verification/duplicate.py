"""The `duplicate` verifier: a draft must not repeat the replay, an earlier draft, or another of its batch.

Owns which of two equal drafts is kept. What makes two problems equal is `eval.overlap`'s business and
`synthesis.verification.near`'s. A problem with the same numbers in other words is no duplicate (it is other text to
learn from) unless it is an embedding neighbour; see `contamination` for measured ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.overlap import VERSION as OVERLAP
from eval.overlap import OverlapIndex, TwinKind, index_of
from memory.embedding import Embedder
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft, Problem
from synthesis.verification.near import NEAR_TEMPLATE, Near, NearTemplates, Neighbours, near_index, neighbours_of
from synthesis.verification.near import VERSION as NEAR

_ALWAYS = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.NGRAM)
#: Above what contamination asks for: practice of one skill is meant to be alike.
NEIGHBOUR = 1.4

#: Its name, its exact index, and the one of near templates where that is asked.
_Pool = tuple[str, OverlapIndex, NearTemplates | None]


class Duplicate:
    """Fails drafts whose text is known: equal, equal but for names, most of it with all its numbers, or nearly so.

    Args:
        replay: the validated pool that is mixed in.
        accepted_before: what earlier rounds and waves accepted.
        allow_same_template: let through the same or nearly the same text with other numbers; meant for worlds of
            templates, where drafts differ in nothing else.
        embedder: finds the same story in other words; without it that kind is not looked for.
        near: for ``near_template``, share of the runs of three words in (0, 1].
        neighbour: for ``embedding``, cosine plus share of word pairs, in (0, 2].
    """

    name = "duplicate"
    version = f"2+{OVERLAP}+{NEAR}"
    independent = False
    judges_answer = False
    costly = False

    def __init__(
        self,
        replay: Sequence[Problem],
        accepted_before: Sequence[Problem] = (),
        *,
        allow_same_template: bool = False,
        embedder: Embedder | None = None,
        near: float = NEAR_TEMPLATE,
        neighbour: float = NEIGHBOUR,
    ) -> None:
        self._pools = (("replay", tuple(replay)), ("accepted before", tuple(accepted_before)))
        self._templates = not allow_same_template
        self._kinds = (*_ALWAYS, TwinKind.SAME_TEMPLATE) if self._templates else _ALWAYS
        self._embedder = embedder if self._templates else None
        self._near, self._neighbour = near, neighbour

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the problems compared with."""
        settings: list[Any] = [self._kinds, [sorted(problem.id for problem in pool) for _, pool in self._pools]]
        if self._templates:
            settings += [[self._near, self._neighbour], self._embedder.fingerprint if self._embedder else None]
        return fingerprint([self.name, self.version, *settings])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. Of duplicates in a batch the smallest draft id is kept.

        A draft that stands in the batch twice is kept once, where it stands first.
        """
        checks: dict[int, Check] = {}
        known = self._neighbours_in_pools(drafts)
        pools = self._indexes()
        batch = _Batch(self._kinds, self._near if self._templates else None)
        near_kept = self._neighbours_in_batch(drafts)
        kept: set[int] = set()
        for position in sorted(range(len(drafts)), key=lambda at: (drafts[at].id, at)):
            draft = drafts[position]
            twin = next((other for other in near_kept.get(position, ()) if other in kept), None)
            check = self._against_pools(draft, pools) or known.get(position) or self._against_batch(draft, batch)
            if check is None and twin is not None:
                check = self._word(CheckOutcome.FAIL, "embedding", f"{drafts[twin].id} (this batch)")
            if check is None:
                batch.add(draft)
                kept.add(position)
                check = self._word(CheckOutcome.PASS)
            checks[position] = check
        return [checks[position] for position in range(len(drafts))]

    def _indexes(self) -> list[_Pool]:
        """The pools' indexes, looked up once for a batch: finding a pool among those known hashes all of it."""
        return [
            (where, index_of(pool), near_index(pool, self._near) if self._templates else None)
            for where, pool in self._pools
        ]

    def _against_pools(self, draft: Draft, pools: Sequence[_Pool]) -> Check | None:
        for where, exact, nearly in pools:
            twin = exact.find(draft.problem.statement, draft.problem.answer, self._kinds)
            if twin is not None:
                return self._refused(twin.kind.value, Near(twin.problem, twin.shared), where)
            if nearly is not None and (near := nearly.find(draft.problem.statement)):
                return self._refused("near_template", near, where)
        return None

    def _neighbours_in_pools(self, drafts: Sequence[Draft]) -> dict[int, Check]:
        found: dict[int, Check] = {}
        for where, pool in self._pools if self._embedder is not None else ():
            assert self._embedder is not None
            index = neighbours_of(self._embedder, pool, self._neighbour)
            for at, near in enumerate(index.find([draft.problem.statement for draft in drafts])):
                if near is not None and at not in found:
                    found[at] = self._refused("embedding", near, where)
        return found

    def _neighbours_in_batch(self, drafts: Sequence[Draft]) -> dict[int, list[int]]:
        """For each draft those of the batch that are its neighbours."""
        if self._embedder is None:
            return {}
        index = Neighbours(self._embedder, [draft.problem for draft in drafts], self._neighbour)
        return index.pairs()

    def _against_batch(self, draft: Draft, batch: _Batch) -> Check | None:
        found = batch.find(draft)
        if found is None:
            return None
        reason, near, owner = found
        return self._word(CheckOutcome.FAIL, reason, f"{owner} (this batch) {near.shared}".rstrip())

    def _refused(self, reason: str, near: Near, where: str) -> Check:
        return self._word(CheckOutcome.FAIL, reason, f"{near.problem.id} ({where}) {near.shared}".rstrip())

    def _word(self, outcome: CheckOutcome, reason: str = "", evidence: str = "") -> Check:
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=evidence)


class _Batch:
    """The drafts kept so far, by their text."""

    def __init__(self, kinds: tuple[TwinKind, ...], near: float | None) -> None:
        self._kinds = kinds
        self._exact = OverlapIndex()
        self._nearly = NearTemplates(threshold=near) if near is not None else None
        self._owner: dict[str, str] = {}  # problem id -> draft id

    def add(self, draft: Draft) -> None:
        """One more that is kept."""
        self._exact.add(draft.problem)
        if self._nearly is not None:
            self._nearly.add(draft.problem)
        self._owner[draft.problem.id] = draft.id

    def find(self, draft: Draft) -> tuple[str, Near, str] | None:
        """Reason, twin and the twin's draft id."""
        twin = self._exact.find(draft.problem.statement, draft.problem.answer, self._kinds)
        if twin is not None:
            return twin.kind.value, Near(twin.problem, twin.shared), self._owner[twin.problem.id]
        near = self._nearly.find(draft.problem.statement) if self._nearly is not None else None
        return ("near_template", near, self._owner[near.problem.id]) if near is not None else None
