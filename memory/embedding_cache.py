"""Embeddings on disk by content hash: a derived file that may be deleted at any time.

Owns one SQLite file (WAL) of checksummed rows. Knows nothing of models. A damaged file is thrown away and
begun anew, a damaged row is a miss, and a file that cannot be written is no error: the vectors are
computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
_CHUNK = 500  # below SQLite's limit on bound variables


class EmbeddingCache:
    """Vectors by key; every call opens and closes the file, so no handle outlives a step or a fork."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are there and whole, each (dim,)."""
        if not self.path.exists():
            return {}
        try:
            with self._open() as db:
                return self._read(db, keys)
        except sqlite3.OperationalError:
            return {}  # locked or not readable: recompute
        except sqlite3.DatabaseError:
            self._discard()
            return {}

    def put(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Store vectors; the last of two writers wins with the same bytes."""
        rows = []
        for key, vector in sorted(vectors.items()):
            blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
            rows.append((key, blob, _checksum(key, blob)))
        for _ in range(2):
            try:
                with self._open() as db:
                    db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                return
            except (sqlite3.OperationalError, OSError):
                return  # a read-only or full disk costs time, not the run
            except sqlite3.DatabaseError:
                self._discard()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            with db:
                db.execute(_SCHEMA)
                yield db
        finally:
            db.close()

    @staticmethod
    def _read(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(keys), _CHUNK):
            part = list(keys[start : start + _CHUNK])
            marks = ",".join("?" * len(part))
            for key, blob, checksum in db.execute(f"SELECT * FROM vectors WHERE key IN ({marks})", part):
                if isinstance(blob, bytes) and checksum == _checksum(key, blob) and len(blob) % 4 == 0:
                    found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return found

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()


def _checksum(key: str, blob: bytes) -> bytes:
    return hashlib.blake2b(blob, key=key.encode()[:64], digest_size=8).digest()
