"""The `program` verifier: does a program that a model writes for the statement print the claimed answer?

Off by default. Owns the prompt's reply: finding the program, and reading what it printed. Running it is
`synthesis.verification.sandbox`'s business, whose level stands in every check's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.answers import VERSION as ANSWERS
from eval.engines.base import Engine, Sample, Sampling
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft, Finish
from synthesis.prompting import Prompts
from synthesis.verification.sandbox import Sandbox
from synthesis.verification.solving import Compare, Record, ask, says_unsolvable

MAX_REPLY = 100_000
_LANGUAGES = ("", "python", "py", "python3")


class Program:
    """Passes drafts whose claimed answer is what the program prints; fails them if it prints another answer.

    A program is another route to the answer than worked prose, so a pass counts as independent; but one model writes
    both, so a misreading of the statement can be in both. It abstains where there is no program (``no_program``), the
    program does not end well (``program_failed``) or prints nothing (``no_output``). Fails: ``other_answer``,
    ``unsolvable``.

    Args:
        engine: writes the program; it is not closed here.
        prompts: `program` is used, with the statement alone.
        sandbox: runs it.
        grade: compares two answers.
        temperature: of the one reply.
        max_new_tokens: of the reply.
        seed: the same for a whole run.
        record: told about every sample, for the ledger.
    """

    name = "program"
    version = f"1+{ANSWERS}"
    independent = True
    judges_answer = True
    costly = True

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        *,
        sandbox: Sandbox,
        grade: Compare,
        temperature: float = 0.0,
        max_new_tokens: int = 2048,
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        self.engine, self.prompts, self.sandbox = engine, prompts, sandbox
        self.sampling = Sampling(1, temperature, 1.0, max_new_tokens, seed)
        self._equal, self._record = grade, record

    @property
    def fingerprint(self) -> str:
        """Hash of version, model, prompts, settings and the sandbox's level."""
        parts = [self.engine.fingerprint, self.prompts.fingerprint, self.sampling, self.sandbox.level]
        return fingerprint([self.name, self.version, *parts])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept; the evidence begins with the sandbox's level.

        Raises:
            EngineError: the model cannot generate at all.
        """
        prompts = [self.prompts.render("program", statement=draft.problem.statement) for draft in drafts]
        rows = ask(self.engine, drafts, prompts, self.sampling, name=self.name, record=self._record)
        return [self._check(draft, row[0]) for draft, row in zip(drafts, rows, strict=True)]

    def _check(self, draft: Draft, sample: Sample) -> Check:
        if sample.finish is Finish.ERROR:
            return self._word(CheckOutcome.ABSTAIN, "engine_error", sample.error or "")
        source = find_program(sample.text)
        if source is None or sample.finish is Finish.LENGTH:
            return self._word(CheckOutcome.ABSTAIN, "no_program", sample.text[:80])
        ran = self.sandbox.run(source)
        if ran.error is not None:
            return self._word(CheckOutcome.ABSTAIN, "program_failed", ran.error)
        lines = ran.output.strip().splitlines()
        if not lines:
            return self._word(CheckOutcome.ABSTAIN, "no_output", "")
        printed = lines[-1].strip()
        if self._equal(printed, draft.problem.answer):
            return self._word(CheckOutcome.PASS, "", f"printed {printed}")
        reason = "unsolvable" if says_unsolvable(printed) else "other_answer"
        return self._word(CheckOutcome.FAIL, reason, f"printed {printed}")

    def _word(self, outcome: CheckOutcome, reason: str, evidence: str) -> Check:
        flat = " ".join(f"{self.sandbox.level}: {evidence}".split())[:200]
        kept = flat.encode("utf-8", "backslashreplace").decode("utf-8")
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=kept)


def find_program(text: str) -> str | None:
    """The last fenced block of a reply, reasoning before ``</think>`` left out; None where there is none."""
    blocks = text[:MAX_REPLY].rpartition("</think>")[2].split("```")[1::2]
    for block in reversed(blocks):
        first, _, rest = block.partition("\n")
        source = (rest if first.strip().lower() in _LANGUAGES else block).strip()
        if source:
            return f"{source}\n"
    return None
