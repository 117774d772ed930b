"""The `duplicate` verifier: a draft must not repeat the replay, an earlier draft, or another of its batch.

Owns which of two equal drafts is kept. What makes two problems equal is `eval.overlap`'s business. A problem with the
same numbers in other words is no duplicate (it is other text to learn from); see `contamination` for measured ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.overlap import VERSION as OVERLAP
from eval.overlap import OverlapIndex, TwinKind, index_of
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft, Problem

_ALWAYS = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.NGRAM)


class Duplicate:
    """Fails drafts whose text is known: equal, equal but for names, or most of it with all its numbers.

    Args:
        replay: the validated pool that is mixed in.
        accepted_before: what earlier rounds and waves accepted.
        allow_same_template: let through the same text with other numbers; meant for worlds of templates, where
            drafts differ in nothing else.
    """

    name = "duplicate"
    version = f"1+{OVERLAP}"
    independent = False
    judges_answer = False
    costly = False

    def __init__(
        self, replay: Sequence[Problem], accepted_before: Sequence[Problem] = (), *, allow_same_template: bool = False
    ) -> None:
        self._replay = tuple(replay)
        self._accepted = tuple(accepted_before)
        self._kinds = _ALWAYS if allow_same_template else (*_ALWAYS, TwinKind.SAME_TEMPLATE)

    @property
    def fingerprint(self) -> str:
        """Hash of version, settings and the problems compared with."""
        pools = [sorted(problem.id for problem in pool) for pool in (self._replay, self._accepted)]
        return fingerprint([self.name, self.version, self._kinds, pools])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept. Of duplicates in a batch the smallest draft id is kept.

        A draft that stands in the batch twice is kept once, where it stands first.
        """
        checks: dict[int, Check] = {}
        pools = (("replay", index_of(self._replay)), ("accepted before", index_of(self._accepted)))
        batch = OverlapIndex()
        owner: dict[str, str] = {}  # problem id -> draft id, of those kept
        for position in sorted(range(len(drafts)), key=lambda at: (drafts[at].id, at)):
            draft = drafts[position]
            check = self._against_pools(draft, pools) or self._against_batch(draft, batch, owner)
            if check is None:
                batch.add(draft.problem)
                owner[draft.problem.id] = draft.id
                check = self._word(CheckOutcome.PASS)
            checks[position] = check
        return [checks[position] for position in range(len(drafts))]

    def _against_pools(self, draft: Draft, pools: Sequence[tuple[str, OverlapIndex]]) -> Check | None:
        for where, pool in pools:
            twin = pool.find(draft.problem.statement, draft.problem.answer, self._kinds)
            if twin is not None:
                return self._word(CheckOutcome.FAIL, twin.kind, f"{twin.problem.id} ({where}) {twin.shared}".rstrip())
        return None

    def _against_batch(self, draft: Draft, batch: OverlapIndex, owner: dict[str, str]) -> Check | None:
        twin = batch.find(draft.problem.statement, draft.problem.answer, self._kinds)
        if twin is None:
            return None
        evidence = f"{owner[twin.problem.id]} (this batch) {twin.shared}".rstrip()
        return self._word(CheckOutcome.FAIL, twin.kind, evidence)

    def _word(self, outcome: CheckOutcome, reason: str = "", evidence: str = "") -> Check:
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=str(reason), evidence=evidence)
