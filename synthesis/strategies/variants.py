"""The variants strategy: variations of each failed problem by itself, without clusters.

After LLM2LLM (Lee et al., 2024, arXiv 2403.15042): a teacher sees one problem the student got wrong and writes new ones
on its pattern. Here it works within a cluster's budget, so that it can be compared with `targeted` at equal cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory.ids import derive_seed, fingerprint
from memory.records import Draft, Refusal, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies import drafting
from synthesis.strategies.base import Failure, OnClusters


class Variants(OnClusters):
    """One failed problem a request; the teacher sees neither the cluster's name nor its other members.

    Args:
        problems_per_request: most variations asked for in one request.
    """

    name = "variants"

    def __init__(self, problems_per_request: int = 4) -> None:
        self._asked = problems_per_request

    @property
    def fingerprint(self) -> str:
        """Hash of name and settings."""
        return fingerprint([self.name, self._asked])

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``, spread over the failed problems as evenly as can be.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """
        ordered = drafting.admitted(failed, seed)
        if n <= 0 or not ordered:
            return []
        made = []
        for pair, share in zip(ordered, drafting.parts(n, len(ordered)), strict=True):
            for index, asked in enumerate(drafting.parts(share, -(-share // self._asked)) if share else ()):
                made.append(
                    TeacherRequest.make(
                        weakness_id=weakness.id,
                        strategy=self.name,
                        label="",
                        exemplars=(drafting.exemplar(pair),),
                        parents=(pair[0].id,),
                        n=asked,
                        seed=derive_seed(seed, pair[0].id, index),
                    )
                )
        return made

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Drafts and refusals of one reply."""
        return drafting.parse(request, reply)
