"""One batch of requests inside one event loop: workers, retries, storing each reply, and stopping cleanly.

Owns the single layer of retries. Knows nothing of prompts, samples or what a key means.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eval.engines.limiter import backoff
from eval.engines.pool import Endpoint, NoEndpointError, Pool, PoolClosedError
from eval.engines.replies import Fault, Reason, Reply

_TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Job:
    """One request: its key in the cache, and the messages and options of its body."""

    key: str
    messages: list[dict[str, str]]
    options: dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a job ended, and what that took: HTTP requests made, and seconds from the first of them."""

    job: Job
    result: Reply | Fault
    requests: int
    seconds: float


@dataclass(frozen=True)
class Policy:
    """Retries after the first try, and the waits between them in seconds."""

    max_retries: int
    backoff: float
    max_backoff: float


class Host(Protocol):
    """What the batch needs from its engine."""

    def leaving(self) -> None:
        """Called just before each HTTP request; raises to stop the batch."""

    async def send(self, endpoint: Endpoint, job: Job) -> Reply | Fault:
        """One HTTP request, bounded in time; never raises on what a server does."""

    async def store(self, ended: Ended) -> None:
        """Keep the outcome; returns when it is on disk."""

    def tick(self) -> None:
        """Called a few times a second; raises to stop the batch."""


class Batch:
    """Runs jobs to their end.

    Whatever the host raises (a budget, an interrupt, a full disk) stops the batch: nothing new is started, what is in
    flight is awaited and stored, and then the exception is raised again.
    """

    def __init__(self, host: Host, pool: Pool, policy: Policy) -> None:
        self._host, self._pool, self._policy = host, pool, policy
        self._reason: BaseException | None = None
        self._stopping = asyncio.Event()
        self.unreachable: Fault | None = None

    async def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs.

        Raises:
            NoEndpointError: every endpoint is broken or none can be reached.
            BaseException: what the host raised.
        """
        queue = iter(jobs)
        slots = sum(endpoint.limiter.maximum for endpoint in self._pool.endpoints)
        workers = {asyncio.create_task(self._work(queue)) for _ in range(min(slots, len(jobs)))}
        try:
            await self._watch(workers)
        except asyncio.CancelledError as cancelled:  # the first Ctrl-C where nobody else handles it
            self._stop(cancelled)
            await asyncio.wait(workers)
            raise
        if self._reason is not None:
            raise self._reason

    async def _watch(self, pending: set[asyncio.Task[None]]) -> None:
        while pending:
            _, pending = await asyncio.wait(pending, timeout=_TICK_SECONDS)
            if not self._stopping.is_set():
                try:
                    self._host.tick()
                except BaseException as error:
                    self._stop(error)

    def _stop(self, reason: BaseException) -> None:
        if self._reason is None:
            self._reason = reason
        self._stopping.set()
        self._pool.close()

    async def _work(self, queue: Iterator[Job]) -> None:
        for job in queue:
            try:
                ended = await self._ask(job)
                if ended is not None:
                    await self._host.store(ended)
            except BaseException as error:
                self._stop(error)
            if self._stopping.is_set():
                return

    async def _ask(self, job: Job) -> Ended | None:
        """Ask until there is a reply, a fault that stays, no try left, or a stop; None if nothing was sent."""
        began = time.monotonic()
        first = began
        result: Reply | Fault | None = None
        requests, failures = 0, 0
        only_unreachable = True
        avoid: Endpoint | None = None
        while True:
            try:
                endpoint, epoch = await self._pool.acquire(avoid)
            except PoolClosedError:
                break
            except NoEndpointError as error:
                self._stop(error)
                break
            first = first if requests else time.monotonic()
            try:
                sent = await self._try(endpoint, epoch, job)
            except Exception as error:
                self._stop(error)
                break
            requests, result = requests + 1, sent
            if isinstance(result, Reply):
                break
            only_unreachable = only_unreachable and result.reason is Reason.UNREACHABLE
            avoid = endpoint
            if result.reason is Reason.DENIED and endpoint.broken is not None:
                continue  # it is about the endpoint, not the request: another one may serve it
            failures += 1
            if not result.retry:
                break
            if failures > self._policy.max_retries:
                if only_unreachable and self._pool.silent_since(began):
                    self.unreachable = result
                    self._stop(NoEndpointError())
                break
            if not await self._wait(backoff(failures - 1, self._policy.backoff, self._policy.max_backoff)):
                break
        return None if result is None else Ended(job, result, requests, time.monotonic() - first)

    async def _try(self, endpoint: Endpoint, epoch: int, job: Job) -> Reply | Fault:
        result: Reply | Fault | None = None
        try:
            self._host.leaving()
            result = await self._host.send(endpoint, job)
        finally:
            self._pool.release(endpoint, epoch, result)
        return result

    async def _wait(self, seconds: float) -> bool:
        """Wait, but no longer than until the batch is stopped; whether it goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return not self._stopping.is_set()
