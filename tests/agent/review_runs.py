"""Runs of the scripted demo in this process, paused where a test wants to look."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent import demo
from agent.config import load_config
from agent.progress import Progress
from agent.report.reading import read_records
from agent.report.serving import Server, Session
from agent.review.pending import Pending, pending
from agent.session import start
from memory.errors import Paused
from memory.records import Record
from memory.store import RunFolder
from synthesis.teachers.scripted import ScriptedTeacher


def go(config: Path, folder: Path, *pause_after: str, overrides: tuple[str, ...] = (), finish: bool = False) -> bool:
    """Start or go on; whether the run stopped for a review."""
    try:
        loaded = load_config(config, overrides)
        start(loaded, folder, Progress(quiet=True), pause_after=pause_after, finish=finish)
    except Paused:
        return True
    return False


def waiting(folder: Path) -> Pending:
    found = pending(RunFolder(folder))
    assert found is not None
    return found


def records(folder: Path, stage: str, step: str, kind: type[Any]) -> list[Any]:
    found: list[Record] = read_records(RunFolder(folder), stage, step, kind)
    return list(found)


def artifacts(folder: Path) -> dict[str, str]:
    """The hashes of a run, without the records of reviews, which hold times."""
    return {name: digest for name, digest in RunFolder(folder).artifacts().items() if "/review-" not in name}


def listen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every request that a demo teacher is asked from now on."""
    asked: list[Any] = []
    make: Callable[[], Any] = demo.demo_teacher

    def listening() -> Any:
        teacher = make()
        assert isinstance(teacher, ScriptedTeacher)
        teacher.asked = asked
        return teacher

    monkeypatch.setattr(demo, "demo_teacher", listening)
    return asked


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The page of a run, served until the end of the block."""
    server = Server(Session(folder), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
