"""How many requests one endpoint takes at a time, and how long to wait after a fault.

Pure arithmetic: no clock of its own, no HTTP.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Where an endpoint starts; doubled in each window of successes until the first sign of overload.
_START = 8


class Limiter:
    """Additive increase, multiplicative decrease (Chiu and Jain, 1989), after a slow start as in TCP.

    Args:
        maximum: the most requests in flight.

    Attributes:
        limit: requests that may be in flight now, 1 to ``maximum``.
        epoch: counts the decreases; a request remembers the epoch it left in.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = max(1, maximum)
        self.limit = min(_START, self.maximum)
        self.epoch = 0
        self._successes = 0
        self._slow_start = True

    def succeeded(self) -> None:
        """One request ended well; a whole window of ``limit`` of them raises the limit."""
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = min(self.maximum, self.limit * 2 if self._slow_start else self.limit + 1)

    def overloaded(self, epoch: int) -> None:
        """The endpoint has too much to do: halve, but once only for all requests that left in one epoch."""
        if epoch != self.epoch:
            return
        self.epoch += 1
        self._successes, self._slow_start = 0, False
        self.limit = max(1, self.limit // 2)


def backoff(attempt: int, base: float, cap: float) -> float:
    """Seconds to wait before retry ``attempt`` (from 0): exponential, capped, with half of it random."""
    return float(min(cap, base * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0))


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header (seconds, or an HTTP date; RFC 9110, 10.2.3); None where there is none."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None
