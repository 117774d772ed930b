"""The verifiers of a run from its config: what they compare with, and whom they may ask.

Owns the translation of the ``verify`` section. Asks nobody by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.config import RunConfig
from agent.data import RunData
from agent.models import Purse, asked_engine, make_prompts, teacher_model
from eval.engines.base import Engine
from eval.grading import Grader
from memory.embedding import Embedder
from memory.records import Draft, Problem
from synthesis.prompting import Prompts
from synthesis.verification.base import Verifier
from synthesis.verification.policy import Policy
from synthesis.verification.sandbox import Sandbox, make_sandbox
from synthesis.verification.solving import Record
from synthesis.verification.table import VerifyContext, make_verifiers

#: Gold problems that verifiers which ask a model are tried on at the start of a run: it costs tokens.
ASKING_SAMPLE = 20


@dataclass(frozen=True)
class Asked:
    """What verifiers compare with and whom they may ask; None where there is no such model."""

    prompts: Prompts
    grader: Grader
    embedder: Embedder | None = None
    sandbox: Sandbox | None = None
    teacher: Engine | None = None
    second: Engine | None = None
    record: Record | None = None


def make_asked(
    config: RunConfig,
    grader: Grader,
    prompts: Prompts,
    embedder: Embedder | None,
    teacher: Engine | None,
    purse: Purse | None,
) -> Asked:
    """Whom the verifiers of this config may ask. A sandbox, where one is wanted, is tried out here.

    Raises:
        ConfigError: the second family has no address, its key's variable is not set, or no sandbox works here.
    """
    sandbox = wanted_sandbox(config)
    second, family = None, config.verify.second_family
    if family is not None:
        second = asked_engine("verify.second_family", family, family.model, purse)
    models = {"second_family": family.model if family else ""}
    if teacher is not None:
        models |= dict.fromkeys(("agreement", "program"), teacher_model(config.teacher))

    def record(draft: Draft, verifier: str, sample: Any) -> None:
        if purse is not None:
            purse.checked(models, draft, verifier, sample)

    return Asked(
        prompts=prompts,
        grader=grader,
        embedder=embedder,
        sandbox=sandbox,
        teacher=teacher,
        second=second,
        record=record,
    )


def wanted_sandbox(config: RunConfig) -> Sandbox | None:
    """A sandbox that was tried out, where a verifier wants one.

    Raises:
        ConfigError: no sandbox works here.
    """
    if "program" not in config.verify.verifiers:
        return None
    program = config.verify.program
    return make_sandbox(program.sandbox, timeout_s=program.timeout_s, memory_mb=program.memory_mb)


def verifiers_for(
    config: RunConfig,
    data: RunData,
    accepted: Sequence[Problem],
    asked: Asked | None = None,
    student: Engine | None = None,
) -> list[Verifier]:
    """The verifiers, given what earlier rounds and waves accepted and the student as it is now.

    Raises:
        ConfigError: an unknown verifier, one without what it needs, or a required one that is not configured.
    """
    verify = config.verify
    asked = asked or Asked(make_prompts(config), Grader())
    difficulty = {**verify.difficulty.model_dump(), "max_new_tokens": config.student.max_new_tokens}
    twins = verify.twins
    near: dict[str, Any] = {"near": twins.near}
    if twins.neighbour is not None:
        near["neighbour"] = twins.neighbour
    settings = {
        "agreement": verify.agreement.model_dump(),
        "difficulty": difficulty,
        "program": {"max_new_tokens": verify.program.max_new_tokens},
        "duplicate": near,
        "contamination": near,
    }
    if verify.second_family is not None:
        names = type(verify.agreement).model_fields
        settings["second_family"] = {name: getattr(verify.second_family, name) for name in names}
    context = VerifyContext(
        replay=data.replay,
        accepted_before=tuple(accepted),
        sealed=data.sealed,
        same_template=verify.same_template,
        teacher_engine=asked.teacher,
        second_engine=asked.second,
        student_engine=student,
        prompts=asked.prompts,
        grade=asked.grader.equal,
        embedder=asked.embedder if twins.embedding else None,
        sandbox=asked.sandbox,
        record=asked.record,
        settings=settings,
    )
    made = make_verifiers(verify.verifiers, context)
    Policy.of(made, require=verify.require, min_independent=verify.min_independent)
    return made
