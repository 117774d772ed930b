"""A model behind one or more OpenAI-compatible endpoints, with a request cache, budgets and exact accounts.

Owns what a request looks like, its key, and how replies become samples. Retries, load and stopping are in
`eval.engines.batch` and `eval.engines.pool`; the ``openai`` client is imported at the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from typing import Any

from eval.engines.base import Messages, Progress, Sample, Sampling
from eval.engines.batch import Batch, Ended, Job, Policy
from eval.engines.endpoints import (
    EndpointCheck,
    call,
    check_urls,
    explain,
    list_models,
    make_client,
    read_key,
    run_async,
    unknown_model,
)
from eval.engines.limiter import Limiter
from eval.engines.pool import Endpoint, NoEndpointError, Pool
from eval.engines.replies import Fault, Reason, Reply, read_reply
from eval.engines.storing import Storing
from memory.cache import CachedReply, RequestCache, request_key
from memory.errors import ConfigError, EngineError
from memory.ids import canonical_json, derive_seed, fingerprint
from memory.ledger import Meter, Usage
from memory.records import Finish

_CHECK_SECONDS = 5.0
_PROBE_SECONDS = 30.0
_MAX_PAUSE_SECONDS = 60.0


class OpenAIEngine:
    """An `eval.engines.base.Engine` over chat completions.

    Args:
        model: name the servers know.
        base_urls: one or more, each usually ending in ``/v1``; the one with the least load is asked.
        api_key_env: names the environment variable that holds the key. Its value reaches no file, log or error.
        identity: any JSON-able value that stands for the model in cache keys and the fingerprint, for example the hash
            of an adapter that is served under a name used again; the model's name by default.
        cache: looked up before anything is asked; every reply is stored before anything else happens with it.
        run_id: who pays.
        guard: called just before each HTTP request leaves; raise BudgetError there to stop cleanly.
        meter: live counts, for the guard.
        timeout: seconds for one HTTP request, from sending it to the last byte of the reply.
        max_retries: tries after the first one that failed.
        max_concurrency: most requests in flight at each endpoint; fewer while it says that it is overloaded.
        system_prompt: put before chats that have none of their own.
        extra_body: merged into each request's body; a None removes what is there, so
            ``{"max_tokens": None, "max_completion_tokens": 2048}`` suits models that refuse ``max_tokens``.
        backoff: seconds before the first retry; doubled for each later one, up to ``max_backoff``.
        max_backoff: seconds.

    Raises:
        ConfigError: a malformed address, or the key's variable is not set.
    """

    def __init__(
        self,
        model: str,
        base_urls: Sequence[str],
        *,
        api_key_env: str | None = None,
        identity: Any = None,
        cache: RequestCache | None = None,
        run_id: str | None = None,
        guard: Callable[[], None] | None = None,
        meter: Meter | None = None,
        timeout: float = 120.0,
        max_retries: int = 5,
        max_concurrency: int = 64,
        system_prompt: str | None = None,
        extra_body: dict[str, Any] | None = None,
        backoff: float = 0.5,
        max_backoff: float = 30.0,
    ) -> None:
        if timeout <= 0 or max_retries < 0 or max_concurrency < 1:
            raise ConfigError("timeout must be above 0, max_retries 0 or more, max_concurrency 1 or more.")
        self.model, self.base_urls, self._api_key_env = model, check_urls(base_urls), api_key_env
        self._secret = read_key(api_key_env)
        self._identity = model if identity is None else identity
        self._cache, self._run_id = cache, run_id
        self._guard, self._meter = guard, meter or Meter()
        self._timeout, self._policy = timeout, Policy(max_retries, backoff, max_backoff)
        self._system_prompt, self._extra_body = system_prompt, dict(extra_body or {})
        # What was learnt about an endpoint stays for the next batch.
        self._limiters = {url: Limiter(max_concurrency) for url in self.base_urls}
        self._proven: set[str] = set()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the identity, the system prompt and the extra body; addresses and keys are no part of it."""
        return fingerprint(
            {
                "engine": "openai",
                "model": self._identity,
                "system_prompt": self._system_prompt,
                "extra_body": self._extra_body,
            }
        )

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """One request for each prompt and sample that is not in the cache; greedy samples are asked once and repeated.

        A request that fails for good is a sample with finish ``ERROR`` whose ``error`` begins with a word out of
        `eval.engines.replies.Reason`.

        Raises:
            EngineError: no endpoint can be reached, or all refuse the key or do not know the model.
            StoreError: the cache is damaged or cannot be written.
            BaseException: what ``guard`` or ``progress`` raised; everything that was in flight is stored first.
        """
        plan = [self._jobs(messages, sampling) for messages in prompts]
        done = _Done(plan, progress)
        keys = [job.key for row in plan for job in row]
        if self._cache is not None:
            for key, cached in self._cache.get(keys, self._run_id).items():
                done.add(key, _from_cache(cached))
        for row in plan:
            for job in row:
                if not _encodable(job.messages):
                    fault = Fault(Reason.BAD_PROMPT, "the prompt holds a lone surrogate, which no request can carry")
                    done.add(job.key, Sample("", 0, Finish.ERROR, error=str(fault), key=job.key))
        done.report()
        jobs = {job.key: job for row in plan for job in row if job.key not in done.samples}
        if jobs:
            run_async(self._ask_all(list(jobs.values()), done))
        found = [[done.samples[job.key] for job in row] for row in plan]
        return [row * sampling.n if len(row) < sampling.n else row for row in found]

    def list_models(self, timeout: float = _CHECK_SECONDS) -> list[EndpointCheck]:
        """Ask each endpoint what it serves, at no cost; within ``timeout`` seconds."""
        return run_async(self._check_all(self._check_models, timeout))

    def probe(self, timeout: float = _PROBE_SECONDS) -> list[EndpointCheck]:
        """One real request for one token to each endpoint, not cached; within ``timeout`` seconds and 5 more."""
        return run_async(self._check_all(self._check_call, timeout))

    def close(self) -> None:
        """Nothing to release: connections live within a batch, and the cache belongs to the caller."""

    def _jobs(self, messages: Messages, sampling: Sampling) -> list[Job]:
        system = self._system_prompt
        if system is not None and not any(message.get("role") == "system" for message in messages):
            messages = [{"role": "system", "content": system}, *messages]
        greedy = sampling.temperature == 0
        options: dict[str, Any] = {"max_tokens": sampling.max_new_tokens, "temperature": float(sampling.temperature)}
        jobs = []
        for index in range(1 if greedy else sampling.n):
            own = dict(options)
            if not greedy:  # where nothing is drawn, neither changes the reply
                own["top_p"] = float(sampling.top_p)
                own["seed"] = derive_seed("sample", sampling.seed, messages, index)
            key = request_key(self._identity, messages, {**own, **self._extra_body}, sampling.json_schema, index)
            jobs.append(Job(key, messages, {**own, **_response_format(sampling.json_schema)}))
        return jobs

    async def _ask_all(self, jobs: list[Job], done: _Done) -> None:
        async with contextlib.AsyncExitStack() as stack:
            endpoints = []
            for url in self.base_urls:
                client = await stack.enter_async_context(make_client(url, self._secret, self._timeout))
                endpoints.append(Endpoint(url, client, self._limiters[url], succeeded=url in self._proven))
            pool = Pool(endpoints, self._policy.backoff, _MAX_PAUSE_SECONDS)
            batch = Batch(_Host(self, done), pool, self._policy)
            try:
                await batch.run(jobs)
            except NoEndpointError:
                raise self._no_endpoint(endpoints, batch.unreachable) from None
            finally:
                self._proven.update(endpoint.url for endpoint in endpoints if endpoint.succeeded)
            if not self._proven and any(endpoint.last_denial for endpoint in endpoints):
                raise self._no_endpoint(endpoints, None)

    def _no_endpoint(self, endpoints: Sequence[Endpoint], unreachable: Fault | None) -> EngineError:
        lines = []
        for endpoint in endpoints:
            fault = endpoint.broken or unreachable or endpoint.last_denial
            if fault is not None:
                lines.append(explain(fault, endpoint.url, self.model, self._api_key_env))
        return EngineError("\n".join(lines) or "No endpoint can be asked.")

    async def _send(self, endpoint: Endpoint, job: Job) -> Reply | Fault:
        # The client's own parameters are typed for one provider; the body is what counts.
        body = {key: value for key, value in {**job.options, **self._extra_body}.items() if value is not None}
        messages: Any = job.messages

        async def request() -> bytes:
            completions = endpoint.client.chat.completions.with_raw_response
            return (await completions.create(model=self.model, messages=messages, extra_body=body)).content

        found = await call(request, self._secret, self._timeout)
        return found if isinstance(found, Fault) else read_reply(found, self._secret)

    async def _check_all(
        self, check: Callable[[Endpoint, float], Coroutine[Any, Any, EndpointCheck]], timeout: float
    ) -> list[EndpointCheck]:
        async def one(url: str) -> EndpointCheck:
            async with make_client(url, self._secret, timeout) as client:
                return await check(Endpoint(url, client, Limiter(1)), timeout)

        return await asyncio.gather(*(one(url) for url in self.base_urls))

    async def _check_models(self, endpoint: Endpoint, timeout: float) -> EndpointCheck:
        url = endpoint.url
        listed = await list_models(endpoint.client, url, self._secret, timeout)
        if isinstance(listed, Fault):
            return EndpointCheck(url, False, explain(listed, url, self.model, self._api_key_env))
        known = tuple(str(entry["id"]) for entry in listed)
        if self.model not in known:
            return EndpointCheck(url, False, unknown_model(url, self.model, known), known)
        return EndpointCheck(url, True, f"{url} serves {self.model}.", known)

    async def _check_call(self, endpoint: Endpoint, timeout: float) -> EndpointCheck:
        url = endpoint.url
        options = {"max_tokens": 1, "temperature": 0.0}
        found = await self._send(endpoint, Job("", [{"role": "user", "content": "1 + 1 ="}], options))
        if isinstance(found, Reply) or found.reason is Reason.NO_CONTENT:  # one token may all be hidden reasoning
            return EndpointCheck(url, True, f"{url} answers as {self.model}.")
        listed = await list_models(endpoint.client, url, self._secret, _CHECK_SECONDS) if found.status == 404 else []
        known = () if isinstance(listed, Fault) else tuple(str(entry["id"]) for entry in listed)
        return EndpointCheck(url, False, explain(found, url, self.model, self._api_key_env, known), known)


class _Done:
    """Samples by key as they come, and which prompts are finished with them."""

    def __init__(self, plan: Sequence[Sequence[Job]], progress: Progress | None) -> None:
        self.samples: dict[str, Sample] = {}
        self._progress = progress
        self._missing = [len({job.key for job in row}) for row in plan]
        self._rows: dict[str, list[int]] = {}
        for number, row in enumerate(plan):
            for key in {job.key for job in row}:
                self._rows.setdefault(key, []).append(number)
        self._finished = sum(missing == 0 for missing in self._missing)

    def add(self, key: str, sample: Sample) -> None:
        if key in self.samples:
            return
        self.samples[key] = sample
        for row in self._rows[key]:
            self._missing[row] -= 1
            self._finished += self._missing[row] == 0

    def report(self) -> None:
        """Tell how many prompts were finished since the last call; with none, progress may still ask to stop."""
        finished, self._finished = self._finished, 0
        if self._progress is not None:
            self._progress(finished)


class _Host:
    """What a batch needs, for one call of `generate`."""

    def __init__(self, engine: OpenAIEngine, done: _Done) -> None:
        self._engine, self._done = engine, done
        self._storing = Storing(engine._cache) if engine._cache is not None else None

    def leaving(self) -> None:
        if self._engine._guard is not None:
            self._engine._guard()
        self._engine._meter.leaving()

    async def send(self, endpoint: Endpoint, job: Job) -> Reply | Fault:
        return await self._engine._send(endpoint, job)

    async def store(self, ended: Ended) -> None:
        result, engine = ended.result, self._engine
        failed = isinstance(result, Fault)
        usage = Usage(
            prompt_tokens=result.tokens.prompt,
            completion_tokens=result.tokens.completion,
            reasoning_tokens=result.tokens.reasoning,
            cached_tokens=result.tokens.cached,
            requests=ended.requests,
            retries=ended.requests - 1,
            seconds=round(ended.seconds, 3),
            paid_by=engine._run_id,
        )
        text, finish = ("", Finish.ERROR) if isinstance(result, Fault) else (result.text, result.finish)
        reply = CachedReply(ended.job.key, engine.model, text, finish, usage)
        if self._storing is not None:
            reply = await self._storing.put(reply)
        engine._meter.ended(usage, failed)
        error = str(result) if failed else None
        tokens = usage.completion_tokens
        self._done.add(reply.key, Sample(reply.text, tokens, reply.finish, reply.usage, error, reply.key))
        self._done.report()

    def tick(self) -> None:
        self._done.report()


def _from_cache(cached: CachedReply) -> Sample:
    return Sample(cached.text, cached.usage.completion_tokens, cached.finish, cached.usage, key=cached.key)


def _response_format(schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {}
    form = {"name": "reply", "schema": json.loads(schema), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _encodable(messages: Messages) -> bool:
    try:
        canonical_json(messages).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
