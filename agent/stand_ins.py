"""Parts in the place of models and sandboxes that are never used: for checks that must not cost anything."""

from __future__ import annotations

from agent.config import RunConfig
from agent.verifiers import Asked
from eval.engines.base import Engine, Messages, Sample, Sampling
from eval.engines.scripted import ScriptedEngine
from eval.grading import Grader
from synthesis.prompting import Prompts
from synthesis.verification.sandbox import Ran, Sandbox


class NoSandbox:
    """Runs nothing."""

    level = "none"

    def run(self, source: str) -> Ran:
        """Raises AssertionError: a check that costs nothing ran a program."""
        raise AssertionError("a check that costs nothing ran a program")

    def close(self) -> None:
        """Nothing to release."""


def no_engine() -> Engine:
    """An engine that answers nothing: AssertionError."""

    def refuse(messages: Messages, sampling: Sampling, index: int) -> Sample:
        raise AssertionError("a check that costs nothing asked a model")

    return ScriptedEngine(refuse, "stand-in")


def asked_nobody(config: RunConfig, prompts: Prompts, sandbox: Sandbox | None = None) -> Asked:
    """What verifiers are made with where none may ask: whatever is configured has a model that answers nothing."""
    return Asked(
        prompts=prompts,
        grader=Grader(),
        sandbox=sandbox or NoSandbox(),
        teacher=no_engine() if config.teacher.kind == "llm" else None,
        second=no_engine() if config.verify.second_family is not None else None,
    )
