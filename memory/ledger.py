"""What was paid for: one entry for each request to a paid model, kept exactly across kills and resumes.

Owns the records of spending and their file. Knows nothing of HTTP, teachers or prices.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from memory.database import Database
from memory.ids import short_id
from memory.records import Record

if TYPE_CHECKING:
    import sqlite3

    from memory.cache import RequestCache

#: The numbers of a `Usage` that are summed.
COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "requests",
    "retries",
    "seconds",
)
#: What spending may be grouped by.
GROUPS = ("run", "stage", "step", "strategy", "weakness_id", "model", "purpose")
_SCHEMA = (
    "CREATE TABLE entries (unit TEXT PRIMARY KEY, payment TEXT NOT NULL, "
    + ", ".join(f"{name} TEXT NOT NULL" for name in GROUPS)
    + ", "
    + ", ".join(f"{name} {'REAL' if name == 'seconds' else 'INTEGER'} NOT NULL" for name in COUNTS)
    + ", paid INTEGER NOT NULL, failed INTEGER NOT NULL, created_at TEXT NOT NULL)",
    # Whatever names a payment twice, it is counted once.
    "CREATE UNIQUE INDEX paid_once ON entries (payment) WHERE paid = 1",
)


class Usage(Record):
    """What one reply took.

    Attributes:
        prompt_tokens: as the server counted them.
        completion_tokens: all generated tokens, ``reasoning_tokens`` included.
        reasoning_tokens: part of the completion that is hidden reasoning.
        cached_tokens: part of the prompt that the server had cached.
        requests: HTTP requests made, failed ones and retries included.
        retries: of those, how many came after a failure.
        seconds: wall-clock seconds from the first request to the reply.
        paid_by: id of the run that paid for the reply; None where nothing is paid (a local model).
        attempt: number of this payment among those of ``paid_by`` for the same request, from 1; above 1 only after
            failures (which a resume asks again) or after the reply was pruned from the cache.
        from_cache: whether the reply was answered by the request cache this time.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    paid_by: str | None = None
    attempt: int = 1
    from_cache: bool = False


class LedgerEntry(Record):
    """One request's place in the accounts. Make it with `Ledger.entry`.

    ``unit`` identifies the entry, ``payment`` what was paid. ``paid`` is true iff this run paid; entries that are not
    paid were answered from a cache. ``failed`` requests may cost tokens too, where the server counted some.
    """

    unit: str
    payment: str
    key: str
    run: str
    stage: str
    step: str
    strategy: str = ""
    weakness_id: str = ""
    model: str
    purpose: str
    usage: Usage
    paid: bool
    failed: bool = False


class Spent(Record):
    """Sums over ledger entries. Tokens, requests, retries and seconds are those of paid entries only.

    ``seconds`` add up over requests that ran at the same time, so they may exceed the wall clock.
    """

    group: dict[str, str] = Field(default_factory=dict)
    entries: int = 0
    paid: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def from_cache(self) -> int:
        """Entries answered without paying."""
        return self.entries - self.paid


class Meter:
    """Live counts for a budget's guard, which cannot wait for the ledger. Safe for threads.

    Attributes:
        requests: HTTP requests that have left, those still in flight included.
        tokens: prompt and completion tokens of replies that have arrived.
        replies: requests that ended well, by paying.
        failures: requests that failed for good.
    """

    def __init__(self, spent: Spent | None = None) -> None:
        """Start from what the run has spent already, for example ``cache.spent(run_id)``."""
        spent = spent or Spent()
        self.requests, self.tokens = spent.requests, spent.tokens
        self.replies, self.failures = spent.paid - spent.failed, spent.failed
        self._lock = threading.Lock()

    def leaving(self) -> None:
        """One request leaves."""
        with self._lock:
            self.requests += 1

    def ended(self, usage: Usage, failed: bool) -> None:
        """One request came to its end, after all its retries."""
        with self._lock:
            self.tokens += usage.prompt_tokens + usage.completion_tokens
            self.failures += failed
            self.replies += not failed


class Ledger:
    """The accounts of one run.

    Args:
        path: SQLite file in the run folder.
        run_id: the run; a reply is paid iff its ``paid_by`` is this.
        cache: the request cache. With it, requests that failed and were paid before a kill, and so reached no
            `record`, are found and recorded with the next entry for the same request.
    """

    def __init__(self, path: Path, run_id: str, cache: RequestCache | None = None) -> None:
        self.run_id, self._cache = run_id, cache
        self._place = ("", "")
        self._file = Database(
            path, what="ledger", schema=_SCHEMA, version=1, loss="what was spent so far is then unknown"
        )

    @contextlib.contextmanager
    def within(self, stage: str, step: str) -> Iterator[None]:
        """Entries made inside the block belong to this stage and step."""
        before, self._place = self._place, (stage, step)
        try:
            yield
        finally:
            self._place = before

    def entry(
        self,
        *,
        key: str,
        model: str,
        purpose: str,
        usage: Usage,
        strategy: str = "",
        weakness_id: str = "",
        failed: bool = False,
    ) -> LedgerEntry:
        """An entry for one sample at the current stage and step.

        Args:
            key: `eval.engines.base.Sample.key`; the sample's index is part of it.
            model: name of the model.
            purpose: what it was asked for: ``write``, ``repair``, ``solve``, ``answer``, ...
            usage: of the sample.
            strategy: the strategy that asked, where there is one.
            weakness_id: the cluster it was asked for, where there is one.
            failed: whether the sample's finish is ``ERROR``.
        """
        stage, step = self._place
        paid = usage.paid_by == self.run_id
        return LedgerEntry(
            unit=short_id("u", [key, usage.attempt if paid else 0, stage, step]),
            payment=f"{usage.paid_by or ''}:{key}:{usage.attempt}",
            key=key,
            run=self.run_id,
            stage=stage,
            step=step,
            strategy=strategy,
            weakness_id=weakness_id,
            model=model,
            purpose=purpose,
            usage=usage,
            paid=paid,
            failed=failed,
        )

    def record(self, entries: Sequence[LedgerEntry]) -> int:
        """Write entries in one durable transaction; those that are there already change nothing.

        A payment counts once, whichever entries name it: the first is paid, later ones are not.

        Returns:
            How many were new.

        Raises:
            StoreError: the file is damaged or cannot be written.
        """
        entries = [*self._earlier(entries), *entries]
        new = 0
        with self._file.transaction() as db:
            for entry in entries:
                new += _insert(db, entry)
        return new

    def totals(self, by: Sequence[str] = ("stage", "step")) -> list[Spent]:
        """Sums by group, sorted by the group's values.

        Args:
            by: names out of ``GROUPS``.

        Raises:
            ValueError: an unknown name.
        """
        unknown = [name for name in by if name not in GROUPS]
        if unknown:
            raise ValueError(f"cannot group by {', '.join(unknown)}; known: {', '.join(GROUPS)}")
        groups = ", ".join(by)
        sums = ", ".join(f"coalesce(sum(CASE WHEN paid THEN {name} ELSE 0 END), 0)" for name in COUNTS)
        query = f"SELECT count(*), coalesce(sum(paid), 0), coalesce(sum(failed), 0), {sums}"
        query += f", {groups} FROM entries GROUP BY {groups} ORDER BY {groups}" if by else " FROM entries"
        names = ("entries", "paid", "failed", *COUNTS)
        with self._file.reading() as db:
            rows = db.execute(query).fetchall()
        return [
            Spent(
                **dict(zip(names, row[: len(names)], strict=True)),
                group=dict(zip(by, row[len(names) :], strict=True)),
            )
            for row in rows
        ]

    def spent(self) -> Spent:
        """Everything in the ledger."""
        return self.totals(by=())[0]

    def unclaimed(self) -> Spent:
        """What the run paid by the cache's record that no entry names: replies that came and were never used."""
        if self._cache is None:
            return Spent()
        with self._file.reading() as db:
            known = {row[0] for row in db.execute("SELECT payment FROM entries WHERE paid = 1")}
        sums: dict[str, Any] = dict.fromkeys(("entries", "paid", "failed", *COUNTS), 0)
        for payment in self._cache.paid(self.run_id):
            if f"{self.run_id}:{payment.key}:{payment.usage.attempt}" in known:
                continue
            for name in COUNTS:
                sums[name] += getattr(payment.usage, name)
            sums["entries"] += 1
            sums["paid"] += 1
            sums["failed"] += payment.failed
        return Spent(**sums)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _earlier(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """Earlier payments for the same requests that a kill kept from being recorded."""
        if self._cache is None:
            return []
        first: dict[str, LedgerEntry] = {}
        named = {entry.payment for entry in entries}
        for entry in entries:
            first.setdefault(entry.key, entry)
        found = []
        for payment in self._cache.payments(list(first), self.run_id):
            like = first[payment.key]
            made = like.model_copy(
                update={
                    "unit": short_id("u", [payment.key, payment.usage.attempt, like.stage, like.step]),
                    "payment": f"{self.run_id}:{payment.key}:{payment.usage.attempt}",
                    "usage": payment.usage,
                    "paid": True,
                    "failed": payment.failed,
                }
            )
            if made.payment not in named:
                found.append(made)
        return found


def _insert(db: sqlite3.Connection, entry: LedgerEntry) -> int:
    taken = db.execute("SELECT 1 FROM entries WHERE payment = ? AND paid = 1", (entry.payment,)).fetchone()
    row = (
        entry.unit,
        entry.payment,
        *(getattr(entry, name) for name in GROUPS),
        *(getattr(entry.usage, name) for name in COUNTS),
        int(entry.paid and not taken),
        int(entry.failed),
        datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    marks = ",".join("?" for _ in row)
    return db.execute(f"INSERT INTO entries VALUES ({marks}) ON CONFLICT (unit) DO NOTHING", row).rowcount
