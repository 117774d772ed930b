"""The vocabulary: every record that is stored or handed from step to step. Read this first.

Records are frozen, refuse unknown fields, carry a schema version, and are identified
by content, never by position. This module is light: pydantic only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory.errors import LabelError, SplitError
from memory.ids import normalise_text, short_id

LABEL_PREFIX = "label:"


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1


class Split(StrEnum):
    """Where a problem may be used. ``dev`` and ``test`` never reach a teacher or a mixture."""

    PROBE = "probe"
    DEV = "dev"
    TEST = "test"
    REPLAY = "replay"
    GUARD = "guard"
    CORPUS = "corpus"
    SYNTHETIC = "synthetic"


class Outcome(StrEnum):
    """How one attempt ended: a closed set whose counts sum to n."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    ERRORED = "errored"


class Finish(StrEnum):
    """Why generation stopped."""

    STOP = "stop"
    LENGTH = "length"
    ERROR = "error"


class Problem(Record):
    """A problem with its gold answer. ``id`` is a hash of statement and answer."""

    id: str
    statement: str
    answer: str
    solution: str | None = None
    source: str
    split: Split
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        statement: str,
        answer: str,
        *,
        source: str,
        split: Split,
        solution: str | None = None,
        parents: Iterable[str] = (),
        tags: Iterable[str] = (),
    ) -> Problem:
        """Build a problem and derive its id."""
        identity = [normalise_text(statement), normalise_text(answer)]
        return cls(
            id=short_id("p", identity),
            statement=statement,
            answer=answer,
            solution=solution,
            source=source,
            split=split,
            parents=tuple(parents),
            tags=tuple(tags),
        )


class Attempt(Record):
    """One sample of the student on one problem. ``extracted`` is the answer read from ``text``."""

    id: str
    problem_id: str
    student: str
    sample_index: int
    seed: int
    text: str
    n_tokens: int
    finish: Finish
    outcome: Outcome
    extracted: str | None = None

    @classmethod
    def make(cls, *, problem_id: str, student: str, sample_index: int, seed: int, **rest: Any) -> Attempt:
        """Build an attempt and derive its id from what was asked, not from what came back."""
        identity = [problem_id, student, sample_index, seed]
        return cls(
            id=short_id("a", identity),
            problem_id=problem_id,
            student=student,
            sample_index=sample_index,
            seed=seed,
            **rest,
        )


class Trend(StrEnum):
    """A cluster against last round's clusters."""

    NEW = "new"
    SHRUNK = "shrunk"
    GROWN = "grown"
    SAME = "same"


class Weakness(Record):
    """A cluster of failed probe problems.

    ``problem_ids`` are the failed members, ``n`` all probe problems nearest to this cluster,
    ``failures`` how many of those failed; ``failure_rate`` with its 95 % Wilson interval in [0, 1].
    """

    id: str
    round: int
    label: str
    keyphrases: tuple[str, ...]
    problem_ids: tuple[str, ...]
    n: int
    failures: int
    failure_rate: float
    low: float
    high: float
    stability: float | None = None
    parent: str | None = None
    parent_failures: int | None = None
    trend: Trend = Trend.NEW
    note: str | None = None


class Diagnosis(Record):
    """What `diagnose` found: clusters, the triage of failures, last round's clusters that are gone."""

    round: int
    weaknesses: tuple[Weakness, ...]
    triage: dict[str, int]
    k: int
    k_rule: str
    stability: float | None
    gone: tuple[str, ...] = ()


class Allotment(Record):
    """How many accepted drafts one cluster and one strategy should yield."""

    weakness_id: str
    strategy: str
    n: int


class Allocation(Record):
    """The round's budget split over clusters and strategies; ``n`` of the allotments sum to ``budget``."""

    round: int
    method: str
    budget: int
    allotments: tuple[Allotment, ...]


class Exemplar(Record):
    """A failed problem as a teacher sees it: text only, no label, no id of ours."""

    statement: str
    answer: str
    wrong_answer: str | None = None


class TeacherRequest(Record):
    """One request for ``n`` practice problems. ``note`` is what a person who reviewed the round says to the teacher.

    The id is the hash of everything in it but the key phrases, which follow from the weakness, and an absent note.
    """

    id: str
    weakness_id: str
    strategy: str
    label: str
    keyphrases: tuple[str, ...] = ()
    exemplars: tuple[Exemplar, ...]
    parents: tuple[str, ...]
    n: int
    seed: int
    note: str | None = None

    @classmethod
    def make(cls, **fields: Any) -> TeacherRequest:
        """Build a request and derive its id."""
        return cls(id="", **fields)._named()

    def noted(self, note: str | None) -> TeacherRequest:
        """The request with a note, and the id that goes with it."""
        return self.model_copy(update={"note": note})._named()

    def _named(self) -> TeacherRequest:
        left_out = {"id", "keyphrases", *(() if self.note is not None else ("note",))}
        identity = {"id": "", **self.model_dump(mode="json", exclude=left_out)}
        return self.model_copy(update={"id": short_id("q", identity)})


class Cost(Record):
    """Teacher tokens, prompt and completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class TeacherReply(Record):
    """The reply to one request: ``text`` is JSON ``{"misconception", "problems": [{statement, solution, answer}]}`` if
    all is well; the misconception may be absent.

    ``error`` is set, and ``text`` empty, when this one request failed.
    """

    request_id: str
    teacher: str
    text: str
    finish: Finish = Finish.STOP
    cost: Cost = Cost()
    error: str | None = None


class Draft(Record):
    """A practice problem as the teacher wrote it, not yet verified.

    ``answer_type`` is a word of `eval.answers.AnswerType`; it follows from the answer.
    """

    id: str
    problem: Problem
    weakness_id: str
    strategy: str
    teacher: str
    prompt_hash: str
    seed: int
    cost: Cost = Cost()
    answer_type: str | None = None

    @classmethod
    def make(cls, *, problem: Problem, prompt_hash: str, **rest: Any) -> Draft:
        """Build a draft; the id covers the full text and the request it answers."""
        identity = [problem.model_dump(mode="json"), prompt_hash]
        return cls(id=short_id("d", identity), problem=problem, prompt_hash=prompt_hash, **rest)


class Refusal(Record):
    """A reply, or a part of one, that never became a draft; kept with its reason.

    ``about`` names the statement it is about (`memory.ids.statement_key`) where that is one of a corpus.
    """

    request_id: str
    strategy: str
    weakness_id: str
    reason: str
    evidence: str
    about: str | None = None


class DraftBatch(Record):
    """What one teacher request brought: drafts, refusals before there was a draft, and its cost.

    ``misconception`` is the teacher's sentence about what the student gets wrong, where it wrote one.
    """

    drafts: tuple[Draft, ...]
    refusals: tuple[Refusal, ...] = ()
    cost: Cost = Cost()
    misconception: str | None = None


class CheckOutcome(StrEnum):
    """A verifier's word on one draft."""

    PASS = "pass"
    FAIL = "fail"
    ABSTAIN = "abstain"


class Accepted(StrEnum):
    """The verdict."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class Check(Record):
    """One verifier on one draft. ``reason`` is a short code, ``evidence`` the place or the twin found."""

    verifier: str
    version: str
    outcome: CheckOutcome
    reason: str = ""
    evidence: str = ""


class Verdict(Record):
    """All checks of one draft, and what follows from them.

    Costly checks are asked last and only where the draft can still be accepted; a check that was not asked is absent.
    ``policy`` is the rule in words, ``missing`` what an undecided draft lacks: names of required verifiers, or
    ``independent``.
    """

    draft_id: str
    accepted: Accepted
    checks: tuple[Check, ...]
    policy: str = ""
    missing: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The first failing check as ``verifier:reason``, or what is missing; empty when accepted."""
        for check in self.checks:
            if check.outcome is CheckOutcome.FAIL:
                return f"{check.verifier}:{check.reason}"
        if self.accepted is Accepted.YES:
            return ""
        others = [name for name in self.missing if name != "independent"]
        return f"no_{others[0]}" if others == list(self.missing) and others else "no_independent_check"


class Origin(StrEnum):
    """Where a training example came from."""

    NEW = "new"
    REPLAY = "replay"


class MixtureItem(Record):
    """One training example in a mixture."""

    problem_id: str
    origin: Origin
    weight: float = 1.0


class Mixture(Record):
    """The training set of one round, in training order. Shares are in [0, 1] and sum to 1."""

    id: str
    items: tuple[MixtureItem, ...]
    requested: dict[str, float]
    realised: dict[str, float]
    counts: dict[str, int]
    n_tokens: int | None = None
    seed: int


class Adapter(Record):
    """A plain peft folder on top of the base, relative to the run folder; ``path`` None is the base itself."""

    id: str
    path: str | None
    sha256: str | None
    rank: int | None = None
    train: dict[str, float] = Field(default_factory=dict)


class Report(Record):
    """One student on one benchmark. Accuracy and its 95 % interval are in [0, 1].

    ``difference`` is the paired change against ``incumbent`` on the same items, in [-1, 1].
    """

    student: str
    benchmark: str
    benchmark_fingerprint: str
    n: int
    counts: dict[str, int]
    accuracy: float
    low: float
    high: float
    incumbent: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    gained: int | None = None
    lost: int | None = None


class Measurement(Record):
    """`measure`'s result on one benchmark: the attempts and the report made from them."""

    report: Report
    attempts: tuple[Attempt, ...]


class StopReason(StrEnum):
    """Why a loop ended."""

    PLATEAU = "plateau"
    BUDGET = "budget"
    REGRESSION = "regression"
    NO_FAILURES = "no_failures"
    MAX_ROUNDS = "max_rounds"


class Decision(Record):
    """Keep or roll back the round's adapter, and whether to go on."""

    keep: bool
    stop: StopReason | None
    reason: str
    alpha: float
    p_value: float | None = None


class RoundRecord(Record):
    """One finished round. ``student`` is the incumbent after the decision."""

    index: int
    student: Adapter
    candidate: Adapter | None
    decision: Decision
    dev: Report | None
    guards: tuple[Report, ...] = ()
    drafted: int = 0
    accepted: int = 0
    refused: dict[str, int] = Field(default_factory=dict)
    cost: Cost = Cost()
    train_tokens: int = 0
    config_hash: str = ""


class Stop(Record):
    """How a loop ended: its reason in the closed set and in words, and the student it ends with."""

    reason: StopReason
    detail: str
    rounds: int
    student: Adapter


def refuse_sealed(problems: Sequence[Problem], where: str) -> None:
    """Stop a problem of ``dev``, ``test`` or ``guard`` on its way to a teacher, pool or mixture.

    Raises:
        SplitError: naming the first such problem.
    """
    for problem in problems:
        if problem.split in (Split.DEV, Split.TEST, Split.GUARD):
            raise SplitError(f"problem {problem.id} of the sealed split {problem.split} may not reach {where}")


def refuse_labels(problems: Sequence[Problem], where: str) -> None:
    """Stop a hidden label (a tag that starts with ``label:``) anywhere but in measuring diagnosis.

    Raises:
        LabelError: naming the first such problem.
    """
    for problem in problems:
        if any(tag.startswith(LABEL_PREFIX) for tag in problem.tags):
            raise LabelError(f"problem {problem.id} carries a hidden label, which may not reach {where}")
