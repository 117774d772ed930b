"""Submitting decisions: checked against what the run waits for, then stored once and for good.

Owns the time, the author's name and the writing. The run's lock is held meanwhile, so that it can't go on at the same
time; a process killed on the way leaves either the whole decision or none.
"""

from __future__ import annotations

import getpass
import socket
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

from agent.report.status import open_run
from agent.review.check import checked
from agent.review.pending import pending
from agent.review.state import decided, stage_of, step_of
from memory.errors import UsageError
from memory.ids import canonical_json
from memory.reviews import Decisions, ReviewRecord
from memory.store import RunFolder

MAX_AUTHOR = 200


def submit(run_path: Path, decisions: Decisions, author: str) -> ReviewRecord:
    """Store decisions about what the run waits for; a resume goes on with them.

    Args:
        run_path: the run folder.
        decisions: what was decided; what they do not name stays as it is.
        author: who decided, on one line; see `default_author`.

    Raises:
        UsageError: no run there, the decisions are stale or impossible (a line for each fault), or no author.
        StoreError: a process is at work on the run, or its folder is damaged.
    """
    checked_author(author)
    open_run(run_path)
    with RunFolder(run_path) as run:
        return submit_to(run, decisions, author)


def submit_to(run: RunFolder, decisions: Decisions, author: str) -> ReviewRecord:
    """The same for a run folder whose lock is held by this process.

    Raises:
        UsageError: see `submit`.
        StoreError: the run folder is damaged.
    """
    name = checked_author(author)
    earlier = decided(run, decisions.round, decisions.point)
    if earlier is not None:
        raise UsageError(
            f"review: round {decisions.round} after {decisions.point.value} was decided by {earlier.author} at "
            f"{earlier.time}, which stands. Go on with: remedial resume {run.path}"
        )
    kept = checked(pending(run), decisions)
    record = ReviewRecord.make(kept, datetime.now(UTC).isoformat(timespec="seconds"), name)
    stage, step = stage_of(kept.round), step_of(kept.point)
    run.begin(stage, step)
    line = canonical_json(record.model_dump(mode="json"))
    run.commit(stage, step, inputs=kept.state, seed=0, lines=[line], facts={"seconds": 0.0, "records": 1})
    run.event("review.submitted", stage=stage, step=step, author=name)
    return record


def checked_author(author: str) -> str:
    """A name on one line.

    Raises:
        UsageError: it is empty, too long, or holds control characters.
    """
    name = author.strip()
    if not name or len(name) > MAX_AUTHOR:
        raise UsageError(f"--author: give a name of 1 to {MAX_AUTHOR} characters, such as 'Ada <ada@example.org>'.")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name):
        raise UsageError("--author: the name holds control characters or line ends; take them out.")
    return name


def default_author() -> str:
    """``user@host``, as far as this machine says."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name
        user = "unknown"
    return f"{user}@{socket.gethostname() or 'unknown'}"
