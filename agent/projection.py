"""What a round would ask of the teacher, from one measured request or, where nothing was asked, from an estimate.

A projection, not a promise: clusters differ, replies vary in length, and refused drafts are asked for again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent import hub
from agent.config import RunConfig
from agent.report.spending import money
from eval.engines.base import Messages
from eval.engines.chat import encode_prompt, load_tokenizer
from memory.errors import EngineError
from memory.ledger import Spent
from memory.records import Problem
from synthesis.prompting import Prompts

_CHARS = 4  # a token, where no tokenizer is at hand


@dataclass(frozen=True)
class Measured:
    """What one request took, as the server counted it, and how many problems it asked for."""

    prompt_tokens: int
    completion_tokens: int
    problems: int


def project(
    config: RunConfig,
    prompts: Prompts,
    *,
    requests: int,
    problems: int,
    prompt: Messages,
    sample: Problem,
    measured: Measured | None,
) -> dict[str, Any]:
    """Tokens of a round's first wave, by who is asked.

    A request takes the prompt tokens of the measured one, and each problem its share of that request's completion,
    hidden reasoning included. A verifier's sample is taken to be as long as the completion of one problem. Without a
    measured request prompts are counted by the student's tokenizer, and completions are the most that is allowed.

    Args:
        config: the configuration.
        prompts: for the prompts of verifiers.
        requests: teacher requests of the wave.
        problems: problems asked for in them.
        prompt: the first request's messages.
        sample: a problem like those that verifiers would be asked about.
        measured: what one request took; None where nothing was asked.
    """
    count, counted_by = _counter(config)
    estimate = count(prompt)
    if measured is not None and measured.prompt_tokens > 0:
        counted_by = "the server"
        per_prompt: float = measured.prompt_tokens
        scale = per_prompt / max(1, estimate)  # the server's tokens for one of ours
        per_problem: float | None = measured.completion_tokens / measured.problems
    else:
        per_prompt, scale, per_problem = estimate, 1.0, None
    write_bound = requests * config.teacher.max_new_tokens
    rows = [
        {
            "what": "write",
            "model": config.teacher.model,
            "requests": requests,
            "prompt_tokens": round(per_prompt * requests),
            "completion_tokens": write_bound if per_problem is None else round(per_problem * problems),
        }
    ]
    for name, model, samples, most in _asking(config):
        messages = prompts.render("program" if name == "program" else "solve", statement=sample.statement)
        asked = samples * problems
        each = most if per_problem is None else min(per_problem, most)
        rows.append(
            {
                "what": name,
                "model": model,
                "requests": asked,
                "prompt_tokens": round(count(messages) * scale * asked),
                "completion_tokens": round(each * asked),
            }
        )
    names = ("requests", "prompt_tokens", "completion_tokens")
    teachers = [row for row in rows if row["model"] == config.teacher.model]
    own = Spent(**{name: sum(int(row[name] or 0) for row in teachers) for name in names[1:]})  # type: ignore[arg-type]
    prices = config.teacher.prices
    return {
        "problems": problems,
        "counted_by": counted_by,
        "completions": "projected" if per_problem is not None else "at most",
        "rows": rows,
        "total": {name: sum(int(row[name] or 0) for row in rows) for name in names},
        "money": money(own, prices.model_dump() if prices is not None else None, str(config.teacher.model)),
        "top_ups": config.draft.top_ups,
    }


def _asking(config: RunConfig) -> list[tuple[str, str | None, int, int]]:
    """(verifier, model, samples for a draft, most new tokens of a sample) of those that ask a paid model."""
    verify, found = config.verify, []
    if "agreement" in verify.verifiers:
        agreement = verify.agreement
        samples = agreement.num_samples if agreement.temperature > 0 else 1
        found.append(("agreement", config.teacher.model, samples, agreement.max_new_tokens))
    family = verify.second_family
    if "second_family" in verify.verifiers and family is not None:
        found.append(
            ("second_family", family.model, family.num_samples if family.temperature > 0 else 1, family.max_new_tokens)
        )
    if "program" in verify.verifiers:
        found.append(("program", config.teacher.model, 1, verify.program.max_new_tokens))
    return found


def _counter(config: RunConfig) -> tuple[Callable[[Messages], int], str]:
    """Counts a chat's tokens by the student's tokenizer where that is on this machine."""
    student = config.student
    if (
        student.engine != "scripted"
        and hub.find(student.model_name_or_path, student.revision, offline=True)[0] == "here"
    ):
        try:
            tokenizer = load_tokenizer(student.model_name_or_path, student.revision)
            return lambda messages: len(encode_prompt(tokenizer, messages)), "the student's tokenizer"
        except EngineError:
            pass
    return (
        lambda messages: math.ceil(sum(len(message["content"]) for message in messages) / _CHARS),
        f"{_CHARS} characters a token",
    )
