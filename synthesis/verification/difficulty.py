"""The `difficulty` verifier: is a draft neither out of the student's reach nor something it can do already?

Owns the band. The student's pass rate is measured against the claimed answer, so a wrong claim looks hard: this says
nothing about whether the answer is right. Sampling and counting are `synthesis.verification.solving`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eval.answers import VERSION as ANSWERS
from eval.engines.base import Engine, Sampling
from eval.engines.chat import to_messages
from memory.errors import ConfigError
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft
from synthesis.verification.solving import Compare, Record, Tally, ask, tally

Mode = Literal["band", "hardest_only", "off"]
_EPSILON = 1e-9


class Difficulty:
    """Fails drafts whose pass rate with the student is outside of what is kept: ``too_easy`` or ``too_hard``.

    Args:
        engine: the student as it is now; it is not closed here.
        grade: compares two answers.
        mode: ``band`` keeps rates in [low, high], ``hardest_only`` rates below ``low`` (0 too), ``off`` keeps all and
            asks nothing.
        num_samples: the student's attempts at each draft.
        low: pass rate in [0, 1].
        high: pass rate in [0, 1].
        temperature: above 0, or all attempts are one.
        top_p: nucleus sampling.
        max_new_tokens: for each attempt; one that is cut off has failed.
        seed: of the attempts.
        record: told about every sample, for the ledger.

    Raises:
        ConfigError: an unknown mode, or bounds that leave no rate.
    """

    name = "difficulty"
    version = f"1+{ANSWERS}"
    independent = False
    judges_answer = False

    def __init__(
        self,
        engine: Engine,
        *,
        grade: Compare,
        mode: Mode = "band",
        num_samples: int = 8,
        low: float = 1 / 8,
        high: float = 7 / 8,
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_new_tokens: int = 512,
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        if mode not in ("band", "hardest_only", "off"):
            raise ConfigError(f"verify.difficulty.mode is {mode!r}; known are band, hardest_only, off.")
        if num_samples < 1:
            raise ConfigError(f"verify.difficulty.num_samples is {num_samples}; give at least 1.")
        if not 0 <= low <= high <= 1:
            raise ConfigError(f"verify.difficulty keeps rates from {low} to {high}; give 0 <= low <= high <= 1.")
        self.engine, self.mode, self.low, self.high = engine, mode, low, high
        self.sampling = Sampling(num_samples, temperature, top_p, max_new_tokens, seed)
        self._equal, self._record = grade, record

    @property
    def costly(self) -> bool:
        """It asks the student, unless it is off."""
        return self.mode != "off"

    @property
    def fingerprint(self) -> str:
        """Hash of version, student and settings."""
        settings = [self.mode, self.low, self.high, self.sampling]
        return fingerprint(
            [self.name, self.version, *([] if self.mode == "off" else [self.engine.fingerprint]), settings]
        )

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept; the evidence counts the answers found.

        Raises:
            EngineError: the student cannot generate at all.
        """
        if self.mode == "off":
            return [Check(verifier=self.name, version=self.version, outcome=CheckOutcome.PASS) for _ in drafts]
        prompts = [to_messages(draft.problem.statement) for draft in drafts]
        rows = ask(self.engine, drafts, prompts, self.sampling, name=self.name, record=self._record)
        found = [tally(draft.problem.answer, row, self._equal) for draft, row in zip(drafts, rows, strict=True)]
        return [self._word(item) for item in found]

    def _word(self, found: Tally) -> Check:
        outcome, reason = CheckOutcome.PASS, ""
        if found.errors:
            outcome, reason = CheckOutcome.ABSTAIN, "engine_error"
        elif found.equal > self._most * found.n + _EPSILON or (self.mode == "hardest_only" and self._reaches(found)):
            outcome, reason = CheckOutcome.FAIL, "too_easy"
        elif self.mode == "band" and not self._reaches(found):
            outcome, reason = CheckOutcome.FAIL, "too_hard"
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=found.evidence)

    @property
    def _most(self) -> float:
        return self.high if self.mode == "band" else 1.0

    def _reaches(self, found: Tally) -> bool:
        return found.equal >= self.low * found.n - _EPSILON
