"""Budgets: what a run may spend, checked before every request to a paid model and between rounds.

Owns the limits of ``loop`` and the early stop when most requests or replies fail. Knows nothing of who spends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.config import LoopConfig
from memory.errors import BudgetError, TeacherError
from memory.ledger import Meter
from memory.records import DraftBatch

#: Requests or replies before a share of failures means anything.
MIN_REPLIES = 20


@dataclass
class Limits:
    """The limits of one process at work on a run.

    Args:
        loop: the limits; None is no limit.
        meter: live counts of what the run paid, earlier processes included.
        seconds_before: seconds of steps that earlier processes finished.
    """

    loop: LoopConfig
    meter: Meter = field(default_factory=Meter)
    seconds_before: float = 0.0

    def __post_init__(self) -> None:
        """What failed before a resume is no reason to stop again."""
        self._started = time.monotonic()
        self._replies, self._failures = self.meter.replies, self.meter.failures

    def check(self) -> None:
        """Stop before more is spent.

        Raises:
            BudgetError: a limit is reached; names it.
            TeacherError: more than ``max_failed_share`` of this process' requests failed for good.
        """
        self._refuse("max_wall_hours", (self.seconds_before + time.monotonic() - self._started) / 3600)
        self._refuse("max_teacher_tokens", self.meter.tokens)
        self._refuse("max_requests", self.meter.requests)
        failed = self.meter.failures - self._failures
        self._refuse_failures(failed, failed + self.meter.replies - self._replies, "requests to the teacher failed")

    def check_training(self, tokens: int) -> None:
        """The same for training tokens so far."""
        self._refuse("max_train_tokens", tokens)

    def check_replies(self, batches: Sequence[DraftBatch]) -> None:
        """The same for replies that came and held no problem that could be read."""
        useless = sum(not batch.drafts for batch in batches)
        self._refuse_failures(useless, len(batches), "replies of the teacher hold no problem that can be used")

    def _refuse_failures(self, bad: int, total: int, what: str) -> None:
        if total >= MIN_REPLIES and bad > self.loop.max_failed_share * total:
            raise TeacherError(
                f"{bad} of {total} {what}, more than loop.max_failed_share = {self.loop.max_failed_share:g}. The run "
                "stops before more is spent; every reply is kept. Look at the teacher (remedial doctor, remedial "
                "preview), then resume."
            )

    def _refuse(self, name: str, amount: float) -> None:
        limit = getattr(self.loop, name)
        if limit is not None and amount >= limit:
            raise BudgetError(f"loop.{name}: {amount:g} of {limit:g} used")
