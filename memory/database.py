"""One SQLite file in WAL mode, for threads, processes and forks; every failure is a StoreError that says what to do.

Shared by the request cache and the ledger. Knows nothing of what the tables mean.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from memory.errors import StoreError

_BUSY_SECONDS = 60.0

#: Connections inherited over a fork: closing one in the child would drop the parent's locks, so they are kept, unused.
_inherited: list[sqlite3.Connection] = []


class Database:
    """A lazily opened connection that is shared by threads and opened anew after a fork.

    Args:
        path: the file; its folder is made.
        what: names the file in errors, for example ``request cache``.
        schema: statements that make the tables of an empty file.
        version: of the schema, 1 or more; kept in ``user_version``.
        loss: what removing a damaged file costs, for the error's text.
    """

    def __init__(self, path: Path, *, what: str, schema: tuple[str, ...], version: int, loss: str) -> None:
        self.path, self.what, self.loss = path, what, loss
        self._schema, self._version = schema, version
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._pid = os.getpid()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, durable (fsync) when the block ends, rolled back if it raises.

        Raises:
            StoreError: the file is damaged, of another kind, locked for a minute, or cannot be written.
        """
        with self._translated(), self._held() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for reading.

        Raises:
            StoreError: as for `transaction`.
        """
        with self._translated(), self._held() as db:
            yield db

    def damaged(self, detail: object) -> StoreError:
        """The error for a file that is not what was written."""
        return StoreError(
            f"The {self.what} {self.path} is damaged or not a {self.what} ({detail}). Restore it from a copy, or move "
            f"it away with its -wal and -shm files; {self.loss}."
        )

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        with self._lock:
            if self._db is not None and self._pid == os.getpid():
                self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        if self._pid != os.getpid():  # forked: the lock may be held by a thread that is not here
            self._lock, self._pid = threading.RLock(), os.getpid()
            if self._db is not None:
                _inherited.append(self._db)
                self._db = None
        with self._lock:
            if self._db is None:
                self._db = self._open()
            yield self._db

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            if self._read_version(db) == 0:
                db.execute("BEGIN IMMEDIATE")
                if self._read_version(db) == 0:  # not made by another process in the meantime
                    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                        raise self.damaged("an SQLite file of something else")
                    for statement in self._schema:
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version={self._version}")
                db.execute("COMMIT")
            found = self._read_version(db)
            if found != self._version:
                raise StoreError(
                    f"The {self.what} {self.path} has format {found}, this version of Remedial reads {self._version}. "
                    f"Use the version that wrote it, or another path; {self.loss}."
                )
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _read_version(db: sqlite3.Connection) -> int:
        return int(db.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "malformed" in str(error) or "no such" in str(error):
                raise self.damaged(error) from error
            raise StoreError(
                f"The {self.what} {self.path} cannot be used now ({error}). Check that the folder is writable, the "
                "disk has room, and no other process holds the file; then resume."
            ) from error
        except sqlite3.IntegrityError:
            raise  # not the file's fault
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from error
        except OSError as error:
            raise StoreError(
                f"The {self.what} {self.path} cannot be opened ({error}). Choose a path that can be written."
            ) from error
