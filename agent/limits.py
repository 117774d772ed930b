"""Budgets: what a run may spend, checked before every request to a paid model and between rounds.

Owns the limits of ``loop`` and the early stop when most of the teacher's replies fail. Knows nothing of who spends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.config import LoopConfig
from memory.errors import BudgetError, TeacherError

#: Replies before a share of failures means anything.
MIN_REPLIES = 20


@dataclass(frozen=True)
class Spent:
    """What this run has paid so far, over all resumes."""

    tokens: int = 0
    requests: int = 0


@dataclass
class Limits:
    """The limits of one process at work on a run.

    Args:
        loop: the limits; None is no limit.
        spent: asks the request cache or the ledger, so that a resumed run counts what it paid before.
        seconds_before: seconds of steps that earlier processes finished.
    """

    loop: LoopConfig
    spent: Callable[[], Spent] = Spent
    seconds_before: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _good: int = 0
    _bad: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Stop before more is spent.

        Raises:
            BudgetError: a limit is reached; names it.
        """
        self._refuse("max_wall_hours", (self.seconds_before + time.monotonic() - self._started) / 3600)
        if self.loop.max_teacher_tokens is not None or self.loop.max_requests is not None:
            spent = self.spent()
            self._refuse("max_teacher_tokens", spent.tokens)
            self._refuse("max_requests", spent.requests)

    def check_training(self, tokens: int) -> None:
        """The same for training tokens so far."""
        self._refuse("max_train_tokens", tokens)

    def replied(self, error: str | None) -> None:
        """Count one reply of the teacher, with its reason where it failed.

        Raises:
            TeacherError: more than ``max_failed_share`` of the replies of this process failed.
        """
        if error is None:
            self._good += 1
        else:
            self._bad[error.partition(":")[0][:60]] += 1
        bad = sum(self._bad.values())
        total = self._good + bad
        if total >= MIN_REPLIES and bad > self.loop.max_failed_share * total:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in self._bad.most_common(3))
            raise TeacherError(
                f"{bad} of {total} replies of the teacher failed: {reasons}. The run stops before more is spent; every "
                "reply is kept. Look at the teacher (remedial doctor), then resume."
            )

    def _refuse(self, name: str, amount: float) -> None:
        limit = getattr(self.loop, name)
        if limit is not None and amount >= limit:
            raise BudgetError(f"loop.{name}: {amount:g} of {limit:g} used")
