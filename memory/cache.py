"""The request cache: every reply that was paid for, by what was asked, so that nothing is paid for twice.

Owns one SQLite file that several runs may share: ``replies`` holds each successful reply once, ``payments`` every
request that ended, failed ones included, with the run that paid. Knows nothing of HTTP or of what is asked for.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory.database import Database
from memory.ids import canonical_json, sha256_text
from memory.ledger import COUNTS, Spent, Usage
from memory.records import Finish, Record

_CHUNK = 500  # below SQLite's limit on bound variables
_NUMBERS = ", ".join(f"{name} {'REAL' if name == 'seconds' else 'INTEGER'} NOT NULL" for name in COUNTS)
_SCHEMA = (
    "CREATE TABLE replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, text BLOB NOT NULL, finish TEXT NOT NULL, "
    f"paid_by TEXT, {_NUMBERS}, created_at TEXT NOT NULL, last_used TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE TABLE payments (key TEXT NOT NULL, run TEXT NOT NULL, attempt INTEGER NOT NULL, model TEXT NOT NULL, "
    f"failed INTEGER NOT NULL, {_NUMBERS}, created_at TEXT NOT NULL, PRIMARY KEY (key, run, attempt))",
    "CREATE INDEX payments_run ON payments (run)",
)


@dataclass(frozen=True)
class CachedReply:
    """One request that ended. With finish ``ERROR`` only its cost is kept, never its text.

    Attributes:
        key: see `request_key`.
        model: the model's name as it was asked for, for people.
        text: the reply as it came; lone surrogates are kept.
        finish: ``STOP`` or ``LENGTH`` (which was paid for just as well), or ``ERROR``.
        usage: what it took; ``paid_by`` is the run that paid, ``attempt`` counts that run's payments for this key.
        created_at, last_used: UTC, ISO 8601.
    """

    key: str
    model: str
    text: str
    finish: Finish
    usage: Usage
    created_at: str = ""
    last_used: str = ""


class Payment(Record):
    """One request of one run that ended: its cost, whether it failed, and its number among those for the same key."""

    key: str
    model: str
    failed: bool
    usage: Usage


class ModelSummary(Record):
    """What the cache holds of one model. Times are UTC, ISO 8601."""

    model: str
    entries: int
    tokens: int
    bytes: int
    oldest: str
    newest: str


def request_key(
    identity: Any, messages: Sequence[dict[str, str]], sampling: dict[str, Any], schema: str | None, index: int
) -> str:
    """Hex SHA-256 that stands for one request.

    Args:
        identity: the model, any JSON-able value.
        messages: the rendered chat, system prompt included.
        sampling: every setting that changes the reply, except how many samples are asked for.
        schema: canonical JSON of the schema the reply shall follow.
        index: number of the sample, from 0.
    """
    parts = {"model": identity, "messages": list(messages), "sampling": sampling, "schema": schema, "index": index}
    return sha256_text(canonical_json(parts))


class RequestCache:
    """Replies by key; safe for threads, for several processes, and over a fork.

    Every method raises StoreError where the file is damaged, locked for a minute, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Database(
            path, what="request cache", schema=_SCHEMA, version=1, loss="the replies in it will be paid for again"
        )

    def get(self, keys: Sequence[str], run: str | None = None) -> dict[str, CachedReply]:
        """The stored replies by key, each checked against its checksum; marks them as used now.

        Where ``run`` has itself paid for a key, the usage is that of its own payment.

        Raises:
            StoreError: a reply is not what was stored.
        """
        found: dict[str, CachedReply] = {}
        with self._file.reading() as db:
            for part in _chunks(keys):
                rows = db.execute(f"SELECT * FROM replies WHERE key IN ({_marks(part)})", part).fetchall()
                found.update((row[0], self._checked(row)) for row in rows)
                if run is not None and rows:
                    for payment in _payments(db, part, run):
                        if not payment.failed and payment.key in found:
                            found[payment.key] = replace(found[payment.key], usage=payment.usage)
        if found:
            with self._file.transaction() as db:
                now = _now()
                db.executemany("UPDATE replies SET last_used = ? WHERE key = ?", [(now, key) for key in found])
        return found

    def put(self, reply: CachedReply) -> CachedReply:
        """Store one reply; see `put_all`."""
        return self.put_all([reply])[0]

    def put_all(self, replies: Sequence[CachedReply]) -> list[CachedReply]:
        """Store replies and their cost in one durable transaction.

        Returns:
            For each what is now kept: if another process stored a reply to the same request first, its text, so that
            all runs see one; the usage is the caller's, with ``attempt`` filled in. Failed ones come back with no text.
        """
        kept: list[CachedReply] = []
        with self._file.transaction() as db:
            now = _now()
            for reply in replies:
                usage = _pay(db, reply, now)
                if reply.finish is Finish.ERROR:
                    kept.append(replace(reply, text="", usage=usage))
                    continue
                row = _row(replace(reply, created_at=now, last_used=now, usage=usage))
                db.execute(f"INSERT INTO replies VALUES ({_marks(row)}) ON CONFLICT (key) DO NOTHING", row)
                stored = db.execute("SELECT * FROM replies WHERE key = ?", (reply.key,)).fetchone()
                kept.append(replace(self._checked(stored), usage=usage))
        return kept

    def payments(self, keys: Sequence[str], run: str) -> list[Payment]:
        """Everything one run paid for these keys, by key and attempt."""
        with self._file.reading() as db:
            return [payment for part in _chunks(keys) for payment in _payments(db, part, run)]

    def paid(self, run: str) -> Iterator[Payment]:
        """Everything one run ever paid, in order of payment."""
        with self._file.reading() as db:
            rows = db.execute(
                f"SELECT key, model, failed, attempt, {', '.join(COUNTS)} FROM payments WHERE run = ? ORDER BY rowid",
                (run,),
            ).fetchall()
        return (_payment(row, run) for row in rows)

    def spent(self, run: str) -> Spent:
        """What one run has paid so far, replies that are in no ledger yet included."""
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNTS)
        with self._file.reading() as db:
            entries, failed, *numbers = db.execute(
                f"SELECT count(*), coalesce(sum(failed), 0), {sums} FROM payments WHERE run = ?", (run,)
            ).fetchone()
        return Spent(entries=entries, paid=entries, failed=failed, **dict(zip(COUNTS, numbers, strict=True)))

    def entries(self) -> list[CachedReply]:
        """Every stored reply, by time of storing. Reads all texts: for listings, use `summary`."""
        with self._file.reading() as db:
            return [self._checked(row) for row in db.execute("SELECT * FROM replies ORDER BY created_at, key")]

    def summary(self) -> list[ModelSummary]:
        """Replies, tokens and bytes of text for each model, by name."""
        query = (
            "SELECT model, count(*), sum(prompt_tokens + completion_tokens), sum(length(text)), min(created_at), "
            "max(created_at) FROM replies GROUP BY model ORDER BY model"
        )
        with self._file.reading() as db:
            names = ("model", "entries", "tokens", "bytes", "oldest", "newest")
            return [ModelSummary(**dict(zip(names, row, strict=True))) for row in db.execute(query)]

    def prune(self, *, older_than: datetime | None = None, model: str | None = None) -> int:
        """Remove replies last used before a time, of a model, or both; what was paid stays on record.

        Returns:
            How many were removed. With no condition, all.
        """
        conditions, values = ["1"], []
        if older_than is not None:
            conditions.append("last_used < ?")
            values.append(older_than.astimezone(UTC).isoformat(timespec="microseconds"))
        if model is not None:
            conditions.append("model = ?")
            values.append(model)
        with self._file.transaction() as db:
            removed = db.execute(f"DELETE FROM replies WHERE {' AND '.join(conditions)}", values).rowcount
        with self._file.reading() as db, contextlib.suppress(sqlite3.OperationalError):
            db.execute("VACUUM")  # gives the room back; not possible while another process writes
        return removed

    def prune_damaged(self) -> int:
        """Remove replies that are not what was stored, so that they are asked for again; how many there were."""
        with self._file.transaction() as db:
            bad = [(row[0],) for row in db.execute("SELECT * FROM replies") if _checksum(row[:-1]) != row[-1]]
            db.executemany("DELETE FROM replies WHERE key = ?", bad)
        return len(bad)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _checked(self, row: Sequence[Any]) -> CachedReply:
        if _checksum(row[:-1]) != row[-1]:
            raise self._file.damaged(f"the reply {str(row[0])[:16]} is not what was stored")
        key, model, text, finish, paid_by, *numbers, created_at, last_used, _ = row
        usage = Usage(paid_by=paid_by, attempt=1, from_cache=True, **dict(zip(COUNTS, numbers, strict=True)))
        words = text.decode("utf-8", "surrogatepass")
        return CachedReply(key, model, words, Finish(finish), usage, created_at, last_used)


def _pay(db: sqlite3.Connection, reply: CachedReply, now: str) -> Usage:
    usage = reply.usage
    if usage.paid_by is None:
        return usage
    (earlier,) = db.execute(
        "SELECT coalesce(max(attempt), 0) FROM payments WHERE key = ? AND run = ?", (reply.key, usage.paid_by)
    ).fetchone()
    usage = usage.model_copy(update={"attempt": earlier + 1})
    failed = reply.finish is Finish.ERROR
    row = (
        reply.key,
        usage.paid_by,
        usage.attempt,
        reply.model,
        failed,
        *(getattr(usage, name) for name in COUNTS),
        now,
    )
    db.execute(f"INSERT INTO payments VALUES ({_marks(row)})", row)
    return usage


def _payments(db: sqlite3.Connection, keys: Sequence[str], run: str) -> list[Payment]:
    query = (
        f"SELECT key, model, failed, attempt, {', '.join(COUNTS)} FROM payments "
        f"WHERE run = ? AND key IN ({_marks(keys)}) ORDER BY key, attempt"
    )
    return [_payment(row, run) for row in db.execute(query, (run, *keys))]


def _payment(row: Sequence[Any], run: str) -> Payment:
    key, model, failed, attempt, *numbers = row
    usage = Usage(paid_by=run, attempt=attempt, from_cache=not failed, **dict(zip(COUNTS, numbers, strict=True)))
    return Payment(key=key, model=model, failed=bool(failed), usage=usage)


def _row(reply: CachedReply) -> tuple[Any, ...]:
    usage = reply.usage
    row = (
        reply.key,
        reply.model,
        reply.text.encode("utf-8", "surrogatepass"),
        reply.finish.value,
        usage.paid_by,
        *(getattr(usage, name) for name in COUNTS),
        reply.created_at,
        reply.last_used,
    )
    return (*row, _checksum(row))


def _checksum(row: Sequence[Any]) -> str:
    *parts, _last_used = row  # changes with every use
    return sha256_text(repr(parts))[:32]


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    distinct = list(dict.fromkeys(keys))
    return (distinct[start : start + _CHUNK] for start in range(0, len(distinct), _CHUNK))


def _marks(values: Iterable[Any]) -> str:
    return ",".join("?" for _ in values)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
