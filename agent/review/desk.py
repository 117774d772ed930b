"""The files of a review in its run folder: written once, kept while they are edited, applied, put aside.

Owns when a file is written anew, and what a resume does with one. A file that was applied keeps its text under another
name; the decision itself is the record.
"""

from __future__ import annotations

from pathlib import Path

from agent.review.files import check_file, read_yaml, write_yaml
from agent.review.pending import Pending, pending
from agent.review.state import decision_file, waiting
from agent.review.submit import submit, submit_to
from memory.errors import UsageError
from memory.reviews import Decisions, ReviewRecord
from memory.store import RunFolder


def prepare(run: RunFolder, asked: Pending) -> Path:
    """The file of a pending review. One that is there already is kept, with what was edited, unless it is of another
    state; then it is put aside as ``...stale.yaml``.
    """
    path = decision_file(run, asked.round, asked.point)
    if path.is_file():
        try:
            if read_yaml(path).decisions.state == asked.state:
                return path
        except UsageError:  # half-edited: its faults are told when it is checked
            return path
        path.replace(path.with_suffix(".stale.yaml"))
    write_yaml(asked, path)
    return path


def submit_file(run_path: Path, path: Path, author: str) -> ReviewRecord:
    """Check a file and submit it.

    Raises:
        UsageError: the file is malformed, stale or asks for what cannot be; with its lines.
        StoreError: a process is at work on the run, or its folder is damaged.
    """
    run = RunFolder(run_path)
    record = submit(run_path, check_file(path, pending(run)), author)
    own = decision_file(run, record.decisions.round, record.decisions.point)
    if path.is_file() and own.is_file() and path.samefile(own):
        _put_aside(own)
    return record


def check_waiting(run: RunFolder) -> tuple[Path, Decisions] | None:
    """The file of the review a run waits for and its decisions; None where there is no such review or no file.

    Raises:
        UsageError: the file is malformed, stale or asks for what cannot be; with its lines.
    """
    found = waiting(run)
    if found is None:
        return None
    path = decision_file(run, found[0], found[1])
    return (path, check_file(path, pending(run))) if path.is_file() else None


def apply_waiting(run: RunFolder, author: str) -> ReviewRecord | None:
    """Submit that file in a run folder whose lock is held by this process.

    Raises:
        UsageError: see `check_waiting`; nothing is changed, and the run still waits.
    """
    found = check_waiting(run)
    if found is None:
        return None
    path, decisions = found
    record = submit_to(run, decisions, author)
    _put_aside(path)
    return record


def _put_aside(path: Path) -> None:
    path.replace(path.with_suffix(".applied.yaml"))
