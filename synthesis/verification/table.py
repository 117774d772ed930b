"""The visible table of verifiers, and the one way to make them by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eval.engines.base import Engine
from memory.embedding import Embedder
from memory.errors import ConfigError
from memory.records import Problem
from synthesis.prompting import Prompts
from synthesis.verification.agreement import Agreement
from synthesis.verification.algebra import Algebra
from synthesis.verification.base import Verifier
from synthesis.verification.contamination import Contamination, SameTemplate
from synthesis.verification.difficulty import Difficulty
from synthesis.verification.duplicate import Duplicate
from synthesis.verification.program import Program
from synthesis.verification.sandbox import Sandbox
from synthesis.verification.second_family import SecondFamily
from synthesis.verification.solving import Compare, Record

T = TypeVar("T")


@dataclass(frozen=True)
class VerifyContext:
    """What verifiers compare with, and whom they may ask.

    Attributes:
        replay: the validated pool.
        accepted_before: problems that earlier rounds and waves accepted.
        sealed: probe, dev, test and guard.
        same_template: whether the same text with other numbers is refused as a copy, or nearly the same, or the same
            story in other words.
        teacher_engine: the teacher's model, for `agreement`.
        second_engine: a model of another family.
        student_engine: the student as it is now, for `difficulty`.
        prompts: for whoever is asked.
        grade: compares two answers, in bounded time whatever they hold.
        embedder: finds what is told in other words, for `duplicate` and `contamination`.
        sandbox: runs programs; made and tried out once for a run (`synthesis.verification.sandbox.make_sandbox`).
        record: told about every sample, for the ledger.
        settings: keyword arguments of a verifier, by its name.
    """

    replay: Sequence[Problem]
    accepted_before: Sequence[Problem]
    sealed: Sequence[Problem]
    same_template: SameTemplate = "refuse"
    teacher_engine: Engine | None = None
    second_engine: Engine | None = None
    student_engine: Engine | None = None
    prompts: Prompts | None = None
    grade: Compare | None = None
    embedder: Embedder | None = None
    sandbox: Sandbox | None = None
    record: Record | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, name: str) -> dict[str, Any]:
        """The settings of one verifier."""
        return dict(self.settings.get(name, {}))


Factory = Callable[[VerifyContext], Verifier]


def _agreement(context: VerifyContext) -> Verifier:
    engine = _need(context.teacher_engine, "agreement", "a teacher that is a language model; set teacher.kind to one")
    prompts, grade = _asking(context, "agreement")
    return Agreement(engine, prompts, grade=grade, record=context.record, **context.of("agreement"))


def _second_family(context: VerifyContext) -> Verifier:
    engine = _need(context.second_engine, "second_family", "a second model; name its endpoint under this key")
    prompts, grade = _asking(context, "second_family")
    return SecondFamily(engine, prompts, grade=grade, record=context.record, **context.of("second_family"))


def _difficulty(context: VerifyContext) -> Verifier:
    engine = _need(context.student_engine, "difficulty", "the student's engine")
    grade = _need(context.grade, "difficulty", "a grader")
    return Difficulty(engine, grade=grade, record=context.record, **context.of("difficulty"))


def _program(context: VerifyContext) -> Verifier:
    engine = _need(context.teacher_engine, "program", "a teacher that is a language model; set teacher.kind to one")
    prompts, grade = _asking(context, "program")
    sandbox = _need(context.sandbox, "program", "a sandbox")
    return Program(engine, prompts, sandbox=sandbox, grade=grade, record=context.record, **context.of("program"))


def _duplicate(context: VerifyContext) -> Verifier:
    return Duplicate(
        context.replay,
        context.accepted_before,
        allow_same_template=context.same_template == "allow",
        embedder=context.embedder,
        **context.of("duplicate"),
    )


def _contamination(context: VerifyContext) -> Verifier:
    settings = context.of("contamination")
    return Contamination(context.sealed, context.same_template, embedder=context.embedder, **settings)


def _asking(context: VerifyContext, name: str) -> tuple[Prompts, Compare]:
    return _need(context.prompts, name, "prompts"), _need(context.grade, name, "a grader")


def _need(value: T | None, name: str, what: str) -> T:
    if value is None:
        raise ConfigError(f"verify.{name}: it needs {what}, or take {name} out of verify.verifiers.")
    return value


#: Every verifier by its name in configs.
VERIFIERS: Mapping[str, Factory] = {
    "algebra": lambda context: Algebra(),
    "duplicate": _duplicate,
    "contamination": _contamination,
    "agreement": _agreement,
    "second_family": _second_family,
    "difficulty": _difficulty,
    "program": _program,
}


def make_verifiers(names: Sequence[str], context: VerifyContext) -> list[Verifier]:
    """The named verifiers, in the order of their names.

    Raises:
        ConfigError: an unknown name, one that is given twice, or one whose need the context does not meet; the message
            names the key.
    """
    for position, name in enumerate(names):
        if name not in VERIFIERS:
            near = difflib.get_close_matches(name, VERIFIERS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"verify.verifiers: unknown verifier {name!r}; known are {', '.join(VERIFIERS)}.{hint}")
        if name in names[:position]:
            raise ConfigError(f"verify.verifiers: {name} is given twice; remove one.")
    return [VERIFIERS[name](context) for name in names]
