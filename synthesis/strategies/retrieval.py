"""The retrieval strategy: the problems of a corpus that are nearest to the failures. What targeted writing must beat.

The clusters and their quotas are those of `targeted`; only nobody writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory.ids import derive_seed, fingerprint, statement_key
from memory.records import Draft, Refusal, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies import drafting
from synthesis.strategies.base import Failure, OnClusters, Writer
from synthesis.strategies.envelope import Envelope, fault, read_envelope, write_envelope


class Retrieval(OnClusters):
    """Each failed problem of a cluster is a query of its own, for an equal part of the cluster's quota.

    Args:
        problems_per_request: most problems asked for in one request.
    """

    name = "retrieval"
    writer: Writer = "corpus"

    def __init__(self, problems_per_request: int = 16) -> None:
        self._asked = problems_per_request

    @property
    def fingerprint(self) -> str:
        """Hash of name and settings."""
        return fingerprint([self.name, self._asked])

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """Requests whose ``n`` sum to ``n``, with one exemplar each, so that a draft's parent is what it is near to.

        Every failed problem is asked about, as long as there is a problem to be asked for it.

        Raises:
            SplitError: a problem is of a sealed split.
            LabelError: a problem carries a hidden label.
        """
        ordered = drafting.admitted(failed, seed)
        if n <= 0 or not ordered:
            return []
        made: list[TeacherRequest] = []
        for (problem, _), share in zip(ordered, drafting.parts(n, min(n, len(ordered))), strict=False):
            for part in drafting.parts(share, -(-share // self._asked)):
                made.append(
                    TeacherRequest.make(
                        weakness_id=weakness.id,
                        strategy=self.name,
                        label="",
                        exemplars=(drafting.exemplar((problem, None)),),
                        parents=(problem.id,),
                        n=part,
                        seed=derive_seed(seed, len(made)),
                    )
                )
        return made

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Drafts and refusals of one reply; a refusal says which statement it is about."""
        envelope = read_envelope(reply)
        if not isinstance(envelope, Envelope):
            return drafting.parse(request, reply)
        rows = envelope.problems
        refused = [row for row in rows if isinstance(row, dict) and "refused" in row]
        if not refused:
            return drafting.parse(request, reply)
        refusals = [self._refusal(request, row) for row in refused]
        rest = [row for row in rows if row not in refused]
        if not rest:
            return [], refusals
        drafts, others = drafting.parse(request, reply.model_copy(update={"text": write_envelope(rest)}))
        return drafts, [*refusals, *others]

    def _refusal(self, request: TeacherRequest, row: dict[str, str]) -> Refusal:
        reason, evidence = (fault("", str(row.get(key, ""))).evidence for key in ("refused", "evidence"))
        return Refusal(
            request_id=request.id,
            strategy=self.name,
            weakness_id=request.weakness_id,
            reason=reason,
            evidence=evidence,
            about=statement_key(str(row.get("statement", ""))),
        )
