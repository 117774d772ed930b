"""The run folder: written once, hashed, locked by one process.

Owns the atomic writing of artifacts, the ``.done`` markers with the hashes of inputs and outputs,
the event log and the lock. Does not know what a step computes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from memory import fault
from memory.errors import StoreError
from memory.ids import sha256_file

#: The event of a run that reached a limit and can go on.
PAUSED = "run.paused"
LOCK, EVENTS, MANIFEST, CONFIG = "run.lock", "events.jsonl", "manifest.json", "config.yaml"


def write_atomic(path: Path, text: str) -> None:
    """Write a file so that it is either whole or absent: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="\n", errors="surrogatepass") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fault.point("artifact.written")
    temporary.replace(path)
    fsync_folder(path.parent)
    fault.point("artifact.renamed")


def fsync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hash_tree(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file below a folder, by path relative to ``path.parent``."""
    if path.is_file():
        return {path.name: sha256_file(path)}
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return {item.relative_to(path.parent).as_posix(): sha256_file(item) for item in files}


class RunFolder:
    """One run on disk. Use as a context manager to hold the lock while writing; reading needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def __enter__(self) -> RunFolder:
        """Create the folder and take its lock.

        Raises:
            StoreError: another process holds it; the message says which.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        handle = (self.path / LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            handle.close()
            raise StoreError(
                f"{self.path} is being written by {owner}. Wait for it, stop it, or choose another --output-dir."
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        handle.flush()
        self._lock = handle
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def event(self, kind: str, **fields: Any) -> None:
        """Append one whole line to the event log. Times are wall clock, seconds since the epoch."""
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **fields}, sort_keys=True)
        with (self.path / EVENTS).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def events(self) -> list[dict[str, Any]]:
        """All whole lines of the event log; a half line left by a killed process is passed over."""
        path = self.path / EVENTS
        if not path.exists():
            return []
        found = []
        for line in path.read_text(encoding="utf-8").split("\n"):
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def done_path(self, stage: str, step: str) -> Path:
        """The marker of one step of a stage (``base``, ``round-NN`` or ``final``)."""
        return self.path / stage / f"{step}.done"

    def begin(self, stage: str, step: str) -> Path:
        """The folder to write into; leftovers of an unfinished attempt at this step are removed, scratch is kept."""
        folder = self.path / stage
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in (folder / f".{step}.jsonl.tmp", folder / f".{step}.done.tmp", folder / f"{step}.jsonl"):
            leftover.unlink(missing_ok=True)
        return folder

    def commit(
        self,
        stage: str,
        step: str,
        *,
        inputs: str,
        seed: int,
        lines: Iterable[str],
        folders: Iterable[Path] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write ``<step>.jsonl`` and then its marker, which holds the hashes of inputs and outputs."""
        folder = self.path / stage
        write_atomic(folder / f"{step}.jsonl", "".join(line + "\n" for line in lines))
        outputs = hash_tree(folder / f"{step}.jsonl")
        for extra in folders:
            outputs.update(hash_tree(extra))
        marker = {"step": step, "inputs": inputs, "seed": seed, "outputs": outputs, **(facts or {})}
        write_atomic(folder / f"{step}.done", json.dumps(marker, sort_keys=True, indent=1) + "\n")
        fault.point("step.done")

    def marker(self, stage: str, step: str) -> dict[str, Any] | None:
        """The marker of a finished step, or None.

        Raises:
            StoreError: the marker is not whole JSON.
        """
        path = self.done_path(stage, step)
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StoreError(f"{path} is damaged ({error}). Remove it, and resume makes the step again.") from error
        return found

    def read(self, stage: str, step: str) -> list[str]:
        """The lines of a finished step, after checking every output against its hash.

        Raises:
            StoreError: the step is unfinished, or a file was changed since it was written.
        """
        marker = self.marker(stage, step)
        folder = self.path / stage
        if marker is None:
            raise StoreError(f"{folder / step} is not finished; `remedial resume {self.path}` goes on with it.")
        for name, expected in marker["outputs"].items():
            path = folder / name
            actual = sha256_file(path) if path.is_file() else "missing"
            if actual != expected:
                raise StoreError(
                    f"{path} is not what was written (hash {actual[:12]}, expected {expected[:12]}). Restore it from "
                    f"a copy, or remove {stage}/{step}.done and everything later, and resume, which makes it again."
                )
        text = (folder / f"{step}.jsonl").read_text(encoding="utf-8", errors="surrogatepass")
        return [line for line in text.split("\n") if line]  # not splitlines: JSON strings may hold U+2028

    def artifacts(self) -> dict[str, str]:
        """Every artifact with its hash, by path relative to the run; equal for equal runs."""
        found: dict[str, str] = {}
        for path in sorted(self.path.glob("*/*.done")):
            marker = self.marker(path.parent.name, path.name.removesuffix(".done"))
            if marker:
                found.update({f"{path.parent.name}/{name}": digest for name, digest in marker["outputs"].items()})
        return dict(sorted(found.items()))

    def seconds(self, stages: Iterable[str]) -> float:
        """Seconds spent in the finished steps of some stages, over all resumes."""
        timings = self.timings()
        return float(sum(sum(timings.get(stage, {}).values()) for stage in stages))

    def is_locked(self) -> bool:
        """Whether a living process holds the lock."""
        path = self.path / LOCK
        if not path.exists():
            return False
        with path.open("r", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def timings(self) -> dict[str, dict[str, float]]:
        """Wall-clock seconds of every finished step by stage and step."""
        found: dict[str, dict[str, float]] = {}
        for path in sorted(self.path.glob("*/*.done")):
            marker = self.marker(path.parent.name, path.name.removesuffix(".done"))
            if marker is not None:
                found.setdefault(path.parent.name, {})[marker["step"]] = float(marker.get("seconds", 0.0))
        return found

    def scratch(self, stage: str, step: str) -> Path:
        """A folder for unfinished work (checkpoints); removed by `clear_scratch` once the step is done."""
        folder = self.path / stage / f".{step}.scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_scratch(self, stage: str, step: str) -> None:
        """Remove the step's unfinished work."""
        shutil.rmtree(self.path / stage / f".{step}.scratch", ignore_errors=True)
