"""What the teacher would be shown and what it answers: one cluster, three problems, before a run is paid for.

Owns the one request and the checks of what came back that cost nothing. The reply is kept in the run's request cache.
Which cluster is shown is `agent.choosing`'s, what a round would cost `agent.projection`'s.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.choosing import Chosen, as_if, diagnosed, one_request
from agent.config import RunConfig
from agent.data import RunData
from agent.limits import Limits
from agent.models import Purse, cache_path, make_prompts
from agent.projection import Measured, project
from agent.stand_ins import asked_nobody, no_engine
from agent.verifiers import verifiers_for
from agent.wiring import make_corpus, make_embedder, make_teacher, make_teacher_engine, strategy_settings
from eval.engines.base import Messages
from eval.grading import Grader
from memory.cache import RequestCache
from memory.errors import TeacherError
from memory.ids import derive_seed
from memory.ledger import Ledger, Meter
from memory.records import (
    Draft,
    TeacherReply,
    TeacherRequest,
    Verdict,
)
from synthesis.prompting import Prompts
from synthesis.strategies.envelope import misconception_of
from synthesis.strategies.table import make_strategy
from synthesis.teachers.llm import LLMTeacher
from synthesis.verification.base import Verifier
from synthesis.verification.policy import judge

PROBLEMS = 3


def preview(
    config: RunConfig, data: RunData, folder: Path, *, round_index: int | None, dry_run: bool
) -> dict[str, Any]:
    """Everything `remedial preview --json` holds.

    Args:
        config: the configuration.
        data: its checked problems.
        folder: the run folder; where a run is there, its diagnosis is used.
        round_index: which round's; by default the latest that was diagnosed.
        dry_run: ask nothing.

    Raises:
        UsageError: there is no such round, or the run solved every problem.
        ConfigError: a prompt or the teacher's section is wrong.
        TeacherError: the teacher cannot be asked, or its reply is an error.
    """
    prompts = make_prompts(config)
    prompts.check()
    chosen = diagnosed(config, folder, round_index) or as_if(config, data)
    strategy = make_strategy(config.draft.strategy, **{**strategy_settings(config), "problems_per_request": PROBLEMS})
    request = one_request(strategy, chosen, derive_seed(config.seed, "preview"), PROBLEMS)
    messages = _prompt(config, prompts, request) if strategy.writer == "teacher" else None
    found: dict[str, Any] = {
        "cluster": _cluster(chosen),
        "request": {"id": request.id, "strategy": request.strategy, "problems": request.n},
        "prompt": messages,
        "reply": None,
    }
    measured = None
    drafts: Sequence[Draft] = ()
    if not dry_run:
        reply, paid = _ask(config, data, prompts, folder, request)
        drafts, refusals = strategy.parse(request, reply)
        verdicts, costly = _judge(config, data, prompts, drafts)
        measured = Measured(reply.cost.prompt_tokens, reply.cost.completion_tokens, request.n)
        found["reply"] = {
            "misconception": misconception_of(reply),
            "drafts": [_draft(draft, verdict) for draft, verdict in zip(drafts, verdicts, strict=True)],
            "refusals": [{"reason": item.reason, "evidence": item.evidence} for item in refusals],
            "prompt_tokens": reply.cost.prompt_tokens,
            "completion_tokens": reply.cost.completion_tokens,
            "paid": paid,
            "not_asked": costly,
        }
    sample = drafts[0].problem if drafts else chosen.failed[0][0]
    found["projection"] = (
        project(
            config,
            prompts,
            requests=chosen.round_requests,
            problems=chosen.round_problems,
            prompt=messages,
            sample=sample,
            measured=measured,
        )
        if messages is not None
        else None
    )
    return found


def _prompt(config: RunConfig, prompts: Prompts, request: TeacherRequest) -> Messages | None:
    """The messages the request becomes, None where the teacher is no language model. The teacher is not asked."""
    if config.teacher.kind != "llm":
        return None
    messages = LLMTeacher(no_engine(), prompts, name="nobody").prompt(request)
    system = config.teacher.system_prompt
    if system and not any(message["role"] == "system" for message in messages):
        return [{"role": "system", "content": system}, *messages]
    return messages


def _ask(
    config: RunConfig, data: RunData, prompts: Prompts, folder: Path, request: TeacherRequest
) -> tuple[TeacherReply, dict[str, Any] | None]:
    """The teacher's reply, and what it took now; None where nothing is paid. A preview has accounts of its own."""
    with tempfile.TemporaryDirectory(prefix="remedial-preview-") as scratch:
        purse = _purse(config, folder, Path(scratch)) if config.teacher.kind == "llm" else None
        try:
            engine = make_teacher_engine(config, purse)
            embedder, grader = make_embedder(config, Path(scratch) / "embeddings.sqlite"), Grader()
            corpus = make_corpus(config, data, embedder, Path(scratch), grader, prompts, engine, purse)
            teacher = corpus or make_teacher(config, prompts, engine, purse)
            (reply,) = teacher.ask([request])
            if engine is not None:
                engine.close()
            paid = None
            if purse is not None and config.teacher.engine == "openai":
                spent = purse.cache.spent(purse.run_id)
                paid = {
                    "requests": spent.requests,
                    "retries": spent.retries,
                    "prompt_tokens": spent.prompt_tokens,
                    "completion_tokens": spent.completion_tokens,
                    "reasoning_tokens": spent.reasoning_tokens,
                }
        finally:
            if purse is not None:
                purse.close()
    if reply.error is not None:
        raise TeacherError(f"the teacher did not answer: {reply.error}. `remedial doctor` looks at the endpoint.")
    return reply, paid


def _purse(config: RunConfig, folder: Path, scratch: Path) -> Purse:
    run_id = f"preview-{uuid.uuid4().hex[:12]}"
    cache, meter = RequestCache(cache_path(config, folder)), Meter()
    ledger = Ledger(scratch / "ledger.sqlite", run_id, cache)
    return Purse(cache=cache, ledger=ledger, meter=meter, limits=Limits(config.loop, meter=meter), run_id=run_id)


def _judge(
    config: RunConfig, data: RunData, prompts: Prompts, drafts: Sequence[Draft]
) -> tuple[list[Verdict], list[str]]:
    """Verdicts by the verifiers that cost nothing, and the names of those that were not asked."""
    made: list[Verifier] = verifiers_for(config, data, (), asked_nobody(config, prompts), no_engine())
    free = [item for item in made if not item.costly]
    names = {item.name for item in free}
    require = [name for name in config.verify.require or () if name in names]
    return judge(drafts, free, require=require, min_independent=0), [item.name for item in made if item.costly]


def _cluster(chosen: Chosen) -> dict[str, Any]:
    weakness = chosen.weakness
    return {
        "id": weakness.id,
        "label": weakness.label,
        "failures": None if chosen.as_if else weakness.failures,
        "n": None if chosen.as_if else weakness.n,
        "as_if": chosen.as_if,
        "source": chosen.source,
    }


def _draft(draft: Draft, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": draft.id,
        "statement": draft.problem.statement,
        "solution": draft.problem.solution,
        "answer": draft.problem.answer,
        "refused": verdict.reason or None,
        "checks": [
            {
                "verifier": check.verifier,
                "outcome": check.outcome.value,
                "reason": check.reason,
                "evidence": check.evidence,
            }
            for check in verdict.checks
        ],
    }
