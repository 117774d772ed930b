"""Solving a draft's statement again, by a model that is not shown the claimed answer: what all such checks share.

Owns prompts out, answers back, and the count of those that equal the claimed one. Which model is asked, and what a
pass is worth, is the verifiers' business; comparing answers is the caller's (a grader with a worker process that can
be killed).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.answers import VERSION as ANSWERS
from eval.answers import extract
from eval.engines.base import Engine, Messages, Sample, Sampling
from memory.errors import ConfigError, EngineError
from memory.ids import canonical_json, fingerprint
from memory.records import Check, CheckOutcome, Draft, Finish
from synthesis.prompting import Prompts

#: Whether an answer equals the claimed one; `eval.grading.Grader.equal` is meant.
Compare = Callable[[str, str], bool]
#: Told about every sample: a draft it was made for, the verifier's name, and the sample with its usage.
Record = Callable[[Draft, str, Sample], None]

_UNSOLVABLE = re.compile(
    r"\b(?:impossible|unsolvable|contradict\w*|undetermin\w*|insufficient|(?:not|cannot|can't)\b.{0,40}"
    r"\b(?:enough|solved?|determined?|answered?|possible)|no (?:solution|answer)|missing information)\b",
    re.IGNORECASE,
)
_SHOWN_ANSWERS = 4
_SHOWN_CHARS = 40


@dataclass(frozen=True)
class Tally:
    """What ``n`` samples said about one draft.

    Attributes:
        n: samples.
        equal: those whose answer equals the claimed one.
        errors: those the engine could not make.
        answers: how often each answer was found, as written.
        unanswered: truncated, or without an answer.
        unsolvable: those that say the problem cannot be answered.
    """

    n: int
    equal: int
    errors: int
    answers: Counter[str]
    unanswered: int
    unsolvable: int

    @property
    def evidence(self) -> str:
        """The counts in a line: ``3 of 4 equal; 12 x3, 13 x1``."""
        common = sorted(self.answers.items(), key=lambda pair: (-pair[1], pair[0]))
        shown = [f"{_short(answer)} x{count}" for answer, count in common[:_SHOWN_ANSWERS]]
        if len(common) > _SHOWN_ANSWERS:
            shown.append(f"{len(common) - _SHOWN_ANSWERS} more")
        shown += [f"no answer x{self.unanswered}"] if self.unanswered else []
        shown += [f"engine error x{self.errors}"] if self.errors else []
        return f"{self.equal} of {self.n} equal; {', '.join(shown)}"


def ask(
    engine: Engine,
    drafts: Sequence[Draft],
    prompts: Sequence[Messages],
    sampling: Sampling,
    *,
    name: str,
    record: Record | None = None,
) -> list[list[Sample]]:
    """Samples for each draft; drafts with equal prompts share them, and they are paid for once.

    Raises:
        EngineError: the model cannot generate, or returned too few samples.
    """
    keys = [canonical_json(messages) for messages in prompts]
    first: dict[str, int] = {}
    for at, key in enumerate(keys):
        first.setdefault(key, at)
    rows = engine.generate([prompts[at] for at in first.values()], sampling) if first else []
    if len(rows) != len(first) or any(len(row) != sampling.n for row in rows):
        raise EngineError(f"{name}: the engine did not return {sampling.n} samples for each of {len(first)} problems")
    by_key = dict(zip(first, rows, strict=True))
    if record is not None:
        for key, at in first.items():
            for sample in by_key[key]:
                record(drafts[at], name, sample)
    return [by_key[key] for key in keys]


def tally(claimed: str, samples: Sequence[Sample], equal: Compare) -> Tally:
    """Compare the samples' answers with the claimed one; a truncated or unparsed sample equals nothing."""
    answers: Counter[str] = Counter()
    errors = unanswered = unsolvable = 0
    for sample in samples:
        if sample.finish is Finish.ERROR:
            errors += 1
            continue
        found = extract(sample.text) if sample.finish is Finish.STOP else None
        if found is None:
            unanswered += 1
            continue
        answers[found] += 1
        unsolvable += says_unsolvable(found)
    agreeing = sum(count for answer, count in answers.items() if equal(answer, claimed))
    return Tally(len(samples), agreeing, errors, answers, unanswered, unsolvable)


def says_unsolvable(answer: str) -> bool:
    """Whether an answer says that the problem has none."""
    return bool(_UNSOLVABLE.search(answer[:200]))


class SolverCheck:
    """Passes drafts whose claimed answer a model finds again in at least ``min_share`` of its samples.

    After the answer-consistency filter of *More Data or Better Data?* (arXiv 2510.07169). Reasons to fail:
    ``other_answer`` (the samples agree on another), ``unsolvable`` (at least half say that it cannot be answered),
    ``no_answer``, ``scattered``. Where failed requests leave it open, it abstains with ``engine_error``.

    Args:
        engine: the model that solves; it is not closed here.
        prompts: `solve` is used, with the statement alone.
        num_samples: solutions of each problem.
        min_share: in (0, 1], of the samples that must equal the claimed answer.
        temperature: above 0, or all samples are one.
        top_p: nucleus sampling.
        max_new_tokens: for each solution; one that is cut off counts as not equal.
        seed: the same for a whole run, so that a statement is solved and paid for once.
        grade: compares two answers, whatever they hold, and returns in bounded time.
        record: told about every sample, for the ledger.

    Raises:
        ConfigError: a number out of its range.
    """

    name = "solver"
    independent = False
    judges_answer = True
    costly = True
    version = f"1+{ANSWERS}"

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        *,
        grade: Compare,
        num_samples: int = 4,
        min_share: float = 0.75,
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int = 4096,
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        if num_samples < 1:
            raise ConfigError(f"verify.{self.name}.num_samples is {num_samples}; give at least 1.")
        if not 0 < min_share <= 1:
            raise ConfigError(f"verify.{self.name}.min_share is {min_share}; give a share above 0 and up to 1.")
        self.engine, self.prompts, self.min_share = engine, prompts, min_share
        self.sampling = Sampling(num_samples, temperature, top_p, max_new_tokens, seed)
        self._equal, self._record = grade, record

    @property
    def fingerprint(self) -> str:
        """Hash of version, model, prompts and settings."""
        parts = [self.engine.fingerprint, self.prompts.fingerprint, self.min_share, self.sampling]
        return fingerprint([self.name, self.version, *parts])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept; the evidence counts the answers found.

        Raises:
            EngineError: the model cannot generate at all.
        """
        prompts = [self.prompts.render("solve", statement=draft.problem.statement) for draft in drafts]
        rows = ask(self.engine, drafts, prompts, self.sampling, name=self.name, record=self._record)
        return [
            self._word(tally(draft.problem.answer, row, self._equal)) for draft, row in zip(drafts, rows, strict=True)
        ]

    def _word(self, found: Tally) -> Check:
        outcome, reason = self._decide(found)
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=found.evidence)

    def _decide(self, found: Tally) -> tuple[CheckOutcome, str]:
        needed = self.min_share * found.n - 1e-9
        if found.equal >= needed:
            return CheckOutcome.PASS, ""
        if found.equal + found.errors >= needed:  # the failed requests could have made the difference
            return CheckOutcome.ABSTAIN, "engine_error"
        if 2 * found.unsolvable >= found.n:
            return CheckOutcome.FAIL, "unsolvable"
        if not found.answers:
            return CheckOutcome.FAIL, "no_answer"
        most = max(found.answers.values())
        return CheckOutcome.FAIL, "other_answer" if most >= needed else "scattered"


def _short(answer: str) -> str:
    flat = " ".join(answer[: 4 * _SHOWN_CHARS].split())[:_SHOWN_CHARS]
    return flat.encode("utf-8", "backslashreplace").decode("utf-8")
