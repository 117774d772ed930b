"""A teacher that is a language model behind an Engine: prompts out, replies back, one repair.

Owns how requests become prompts and samples. The engine owns concurrency, retries and the cache; reading the problems
of a reply is the strategy's business, only whether its JSON can be read at all is asked here, for the repair.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from eval.engines.base import Engine, Messages, Sample, Sampling
from memory.errors import EngineError, TeacherError
from memory.ids import canonical_json, derive_seed, fingerprint
from memory.records import Cost, Finish, TeacherReply, TeacherRequest
from synthesis.prompting import Prompts, with_note
from synthesis.strategies.envelope import Fault, read_envelope
from synthesis.teachers.base import refuse_labelled

VERSION = 1
_SHOWN_OF_REPLY = 6000  # characters of an unreadable reply that its repair is shown
_REPAIRABLE = frozenset(("not_json", "wrong_schema", "truncated", "empty", "too_long"))

#: Told about every sample: the request it answers, ``write``, ``variants`` or ``repair``, and the sample.
Record = Callable[[TeacherRequest, str, Sample], None]


class LLMTeacher:
    """A `synthesis.teachers.base.Teacher` over any `eval.engines.base.Engine`.

    A batch is one engine call (and one more for repairs). Its sampling seed is derived from the ids of all requests, so
    that the same batch is the same prompts and seeds again, and is answered by a cache. Requests with equal prompts get
    different samples of that prompt.

    Args:
        engine: the model; it is not closed here.
        prompts: `write` is used, or the prompt named like the request's strategy where there is one.
        name: short name, stored with every draft.
        temperature: sampling temperature; with 0 requests with equal prompts get equal replies.
        top_p: nucleus sampling.
        max_new_tokens: for each reply, hidden reasoning included.
        repair: ask once more where a reply cannot be read.
        record: told about every sample, for the ledger.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        *,
        name: str,
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int = 8192,
        repair: bool = True,
        record: Record | None = None,
    ) -> None:
        self.engine, self.prompts, self.name = engine, prompts, name
        self.temperature, self.top_p, self.max_new_tokens = temperature, top_p, max_new_tokens
        self.repair, self.record = repair, record

    @property
    def fingerprint(self) -> str:
        """Hash of model, prompts and settings."""
        settings = [self.name, self.temperature, self.top_p, self.max_new_tokens, self.repair]
        return fingerprint(["llm", VERSION, self.engine.fingerprint, self.prompts.fingerprint, settings])

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """One reply for each request, order kept; a failed request is a reply with ``error`` set.

        Raises:
            LabelError: a request carries a hidden label; nothing is asked then.
            TeacherError: the model cannot be reached at all.
            ConfigError: a prompt does not render.
        """
        refuse_labelled(requests)
        if not requests:
            return []
        prompts = [self.prompt(request) for request in requests]
        samples = self._generate(requests, prompts, [prompt_name(request) for request in requests], progress)
        replies = [self._reply(request, sample) for request, sample in zip(requests, samples, strict=True)]
        return self._repaired(requests, replies) if self.repair else replies

    def prompt(self, request: TeacherRequest) -> Messages:
        """The messages a request becomes."""
        return with_note(self.prompts.render(prompt_name(request), **_variables(request)), request.note)

    def _repaired(self, requests: Sequence[TeacherRequest], replies: list[TeacherReply]) -> list[TeacherReply]:
        faults = {at: found for at, reply in enumerate(replies) if (found := _fault_of(reply)) is not None}
        if not faults:
            return replies
        again = [requests[at] for at in faults]
        prompts = [
            with_note(
                self.prompts.render(
                    "repair",
                    **_variables(requests[at]),
                    reply=replies[at].text[:_SHOWN_OF_REPLY],
                    fault=_EXPLAINED[found.reason],
                ),
                requests[at].note,
            )
            for at, found in faults.items()
        ]
        samples = self._generate(again, prompts, ["repair"] * len(again), None)
        for at, sample in zip(faults, samples, strict=True):
            cost = _sum(replies[at].cost, cost_of(sample))
            if sample.finish is Finish.ERROR:  # then the first reply stands, and its refusal says what was wrong
                replies[at] = replies[at].model_copy(update={"cost": cost})
            else:
                replies[at] = self._reply(requests[at], sample).model_copy(update={"cost": cost})
        return replies

    def _generate(
        self,
        requests: Sequence[TeacherRequest],
        prompts: Sequence[Messages],
        purposes: Sequence[str],
        progress: Callable[[int], None] | None,
    ) -> list[Sample]:
        """One sample for each prompt; equal prompts get samples of one call, in the order of their requests' ids."""
        keys = [canonical_json(messages) for messages in prompts]
        waiting: dict[str, list[int]] = defaultdict(list)
        for at in sorted(range(len(requests)), key=lambda at: (requests[at].id, at)):
            waiting[keys[at]].append(at)
        by_count: dict[int, list[str]] = defaultdict(list)
        for key, count in Counter(keys).items():
            by_count[count].append(key)
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            seed=derive_seed("llm", sorted(request.id for request in requests)),
            json_schema=reply_schema([request.n for request in requests]),
        )
        found: dict[int, Sample] = {}
        for count, group in sorted(by_count.items()):
            for key, row in zip(group, self._call(group, sampling, count, progress), strict=True):
                found.update(zip(waiting[key], row, strict=True))
        if self.record is not None:
            for at, request in enumerate(requests):
                self.record(request, purposes[at], found[at])
        return [found[at] for at in range(len(requests))]

    def _call(
        self, keys: Sequence[str], sampling: Sampling, count: int, progress: Callable[[int], None] | None
    ) -> list[list[Sample]]:
        """``count`` samples for each prompt; ``progress`` hears of requests."""
        prompts: list[Messages] = [json.loads(key) for key in keys]
        told = (lambda done: progress(done * count)) if progress is not None else None
        try:
            rows = self.engine.generate(prompts, replace(sampling, n=count), told)
        except EngineError as error:
            raise TeacherError(f"teacher {self.name}: {error}") from error
        if len(rows) != len(prompts) or any(len(row) != count for row in rows):
            raise TeacherError(f"teacher {self.name}: the engine did not return {count} samples for each prompt")
        return rows

    def _reply(self, request: TeacherRequest, sample: Sample) -> TeacherReply:
        failed = sample.finish is Finish.ERROR
        return TeacherReply(
            request_id=request.id,
            teacher=self.name,
            text="" if failed else sample.text,
            finish=sample.finish,
            cost=cost_of(sample),
            error=(sample.error or "the engine gave no reason") if failed else None,
        )


_EXPLAINED = {
    "not_json": "it is no JSON object.",
    "wrong_schema": 'the JSON object has no list "problems".',
    "empty": "it holds no problem.",
    "truncated": "it was cut off at the length limit before the JSON object ended; be briefer.",
    "too_long": "it is far too long.",
}


def prompt_name(request: TeacherRequest) -> str:
    """The prompt of a request: ``variants`` for that strategy, else ``write``."""
    return "variants" if request.strategy == "variants" else "write"


def reply_schema(counts: Sequence[int]) -> str:
    """JSON text of the schema of replies to requests for ``counts`` problems: the envelope only, no bounds on content.

    One schema serves a whole batch, as sampling does, so it bounds the number of problems by the largest count (and
    fixes it where all are equal); the prompt says how many. Keys are *not* sorted: constrained decoding writes
    properties in the schema's order, and a solution must come before its answer.
    """
    text = {"type": "string"}
    problem = {
        "type": "object",
        "properties": {"statement": text, "solution": text, "answer": text},
        "required": ["statement", "solution", "answer"],
        "additionalProperties": False,
    }
    problems = {
        "type": "array",
        "items": problem,
        "minItems": counts[0] if len(set(counts)) == 1 else 1,
        "maxItems": max(counts),
    }
    schema = {
        "type": "object",
        "properties": {"misconception": text, "problems": problems},
        "required": ["misconception", "problems"],
        "additionalProperties": False,
    }
    return json.dumps(schema, separators=(",", ":"))


def _variables(request: TeacherRequest) -> dict[str, Any]:
    return {
        "label": request.label,
        "keyphrases": request.keyphrases,
        "exemplars": tuple(
            {"statement": item.statement, "answer": item.answer, "wrong_answer": item.wrong_answer}
            for item in request.exemplars
        ),
        "n": request.n,
    }


def _fault_of(reply: TeacherReply) -> Fault | None:
    """What a repair could mend."""
    if reply.error is not None:
        return None
    found = read_envelope(reply)
    return found if isinstance(found, Fault) and found.reason in _REPAIRABLE else None


def cost_of(sample: Sample) -> Cost:
    """The tokens of one sample, as a request's cost."""
    usage = sample.usage
    return Cost(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens or sample.n_tokens,  # a local model has no usage
    )


def _sum(a: Cost, b: Cost) -> Cost:
    return Cost(
        prompt_tokens=a.prompt_tokens + b.prompt_tokens, completion_tokens=a.completion_tokens + b.completion_tokens
    )
