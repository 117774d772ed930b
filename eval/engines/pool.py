"""Endpoints that share one batch: least load, adaptive limits, pauses, and which of them are of no use.

Lives inside one event loop. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.engines.limiter import Limiter
from eval.engines.replies import Fault, Reason, Reply

if TYPE_CHECKING:
    from openai import AsyncOpenAI

#: A denial (wrong key, unknown model) in a row with no success between them says that the endpoint is of no use:
#: this many while it has never answered, and this many after it once did. A single one may be about one prompt.
_DENIALS_AT_FIRST, _DENIALS_LATER = 3, 8


@dataclass
class Endpoint:
    """One endpoint's state. ``paused_until`` is in seconds of `time.monotonic`."""

    url: str
    client: AsyncOpenAI
    limiter: Limiter
    in_flight: int = 0
    paused_until: float = 0.0
    succeeded: bool = False
    last_success: float = 0.0
    denials: int = 0
    unreachable: int = 0
    broken: Fault | None = None
    last_denial: Fault | None = None

    @property
    def load(self) -> float:
        """Share of the limit in use."""
        return self.in_flight / self.limiter.limit


class NoEndpointError(Exception):
    """Every endpoint is broken, or none can be reached."""


class PoolClosedError(Exception):
    """The batch was stopped: no slots are given any more."""


class Pool:
    """Hands out endpoints, one slot at a time.

    Args:
        endpoints: at least one.
        pause: seconds that an endpoint which cannot be reached is left alone at first; doubled each time.
        max_pause: the most seconds an endpoint is left alone, whatever it asks for.
    """

    def __init__(self, endpoints: list[Endpoint], pause: float, max_pause: float) -> None:
        self.endpoints = endpoints
        self._first_pause, self._max_pause = pause, max_pause
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def acquire(self, avoid: Endpoint | None = None) -> tuple[Endpoint, int]:
        """Wait for a slot at the endpoint with the least load; another than ``avoid`` if one is free.

        Returns:
            The endpoint and its limiter's epoch, for `release`.

        Raises:
            NoEndpointError: every endpoint is broken.
            PoolClosedError: `close` was called.
        """
        while True:
            if self._closed:
                raise PoolClosedError
            usable = [endpoint for endpoint in self.endpoints if endpoint.broken is None]
            if not usable:
                raise NoEndpointError
            free = [item for item in usable if self._slots(item) > 0]
            if free:
                chosen = min(free, key=lambda item: (item is avoid, item.load))
                chosen.in_flight += 1
                return chosen, chosen.limiter.epoch
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()  # the slot this one was woken for is somebody else's now
                raise

    def release(self, endpoint: Endpoint, epoch: int, result: Reply | Fault | None) -> None:
        """Give the slot back and learn from how the request ended; None if none was sent."""
        endpoint.in_flight -= 1
        if isinstance(result, Fault):
            self._learn(endpoint, epoch, result)
        elif result is not None:
            self._answered(endpoint)
        self._wake()

    def close(self) -> None:
        """Give no more slots; whoever waits for one is told."""
        self._closed = True
        self._wake()

    def silent_since(self, moment: float) -> bool:
        """Whether no endpoint has answered since a `time.monotonic` moment."""
        return all(endpoint.last_success < moment for endpoint in self.endpoints)

    def _learn(self, endpoint: Endpoint, epoch: int, fault: Fault) -> None:
        if fault.overload:
            endpoint.limiter.overloaded(epoch)
        if fault.retry_after is not None:
            self._pause(endpoint, fault.retry_after)
        if fault.reason is Reason.DENIED:
            endpoint.denials += 1
            endpoint.last_denial = fault
            limit = _DENIALS_LATER if endpoint.succeeded else 1 if fault.status == 401 else _DENIALS_AT_FIRST
            if endpoint.denials >= limit:
                endpoint.broken = fault
        elif fault.reason is Reason.UNREACHABLE and endpoint.paused_until <= time.monotonic():
            # Refusals come back at once: without a pause the dead endpoint would draw all the load.
            self._pause(endpoint, self._first_pause * 2.0 ** min(endpoint.unreachable, 20))
            endpoint.unreachable += 1
        elif fault.status is None and not fault.retry:  # HTTP 200, though of no use to us
            self._answered(endpoint)

    @staticmethod
    def _answered(endpoint: Endpoint) -> None:
        endpoint.succeeded, endpoint.last_success = True, time.monotonic()
        endpoint.denials = endpoint.unreachable = 0
        endpoint.limiter.succeeded()

    def _pause(self, endpoint: Endpoint, seconds: float) -> None:
        seconds = min(seconds, self._max_pause)
        endpoint.paused_until = max(endpoint.paused_until, time.monotonic() + seconds)
        asyncio.get_running_loop().call_later(seconds + 0.001, self._wake)

    @staticmethod
    def _slots(endpoint: Endpoint) -> int:
        if endpoint.broken is not None or endpoint.paused_until > time.monotonic():
            return 0
        return endpoint.limiter.limit - endpoint.in_flight

    def _wake(self) -> None:
        """Wake as many as there are slots for; all of them where there will be no more slots."""
        over = self._closed or all(endpoint.broken is not None for endpoint in self.endpoints)
        count = len(self._waiters) if over else sum(max(0, self._slots(endpoint)) for endpoint in self.endpoints)
        while count > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
