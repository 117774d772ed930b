"""The web strategy: text as it is found, neither chosen nor checked: more data, where the question is better data.

Of the verifiers only those are asked that keep copies out (of measured problems, of replay, of one another): the rest
would make it clean, and its point is that it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory.ids import derive_seed, fingerprint, sha256_text
from memory.records import Draft, Problem, Refusal, Split, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies.base import Aim, Failure, View, Writer, one_aim
from synthesis.strategies.envelope import Fault, read_envelope
from synthesis.strategies.replies import read_row


class Web:
    """Asks for rows of a corpus in a seeded order, whatever they are about."""

    name = "web"
    fingerprint = fingerprint(["web", 1])
    writer: Writer = "web"
    needs_losses = False
    checks: frozenset[str] | None = frozenset({"duplicate", "contamination"})

    def aims(self, view: View, seed: int) -> list[Aim]:
        """One aim that stands for everything; it shows nothing."""
        return [Aim(aim.weakness, ()) for aim in one_aim(self.name, view, view.problems)]

    def requests(self, weakness: Weakness, failed: Sequence[Failure], n: int, seed: int) -> list[TeacherRequest]:
        """One request for ``n`` rows."""
        if n <= 0:
            return []
        made = {"label": "", "exemplars": (), "parents": (), "n": n, "seed": derive_seed(seed, self.name)}
        return [TeacherRequest.make(weakness_id=weakness.id, strategy=self.name, **made)]

    def parse(self, request: TeacherRequest, reply: TeacherReply) -> tuple[list[Draft], list[Refusal]]:
        """Every row as it is: no box and no answer is asked for. Texts that could break a chat are refused."""
        envelope = read_envelope(reply)
        rows = [envelope] if isinstance(envelope, Fault) else [read_row(row) for row in envelope.problems[: request.n]]
        weakness, prompt = request.weakness_id, sha256_text(request.id)
        drafts, refusals = [], []
        for row in rows:
            if isinstance(row, Fault):
                refusals.append(
                    Refusal(
                        request_id=request.id, strategy=self.name, weakness_id=weakness, reason=row.reason,
                        evidence=row.evidence,
                    )
                )  # fmt: skip
                continue
            problem = Problem.make(
                row.statement, row.answer, solution=row.solution, source=f"{self.name}:{reply.teacher}",
                split=Split.SYNTHETIC,
            )  # fmt: skip
            drafts.append(
                Draft.make(
                    problem=problem, prompt_hash=prompt, teacher=reply.teacher, seed=request.seed, strategy=self.name,
                    weakness_id=weakness,
                )
            )  # fmt: skip
        return drafts, refusals
