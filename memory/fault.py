"""Named commit points, so that tests can stop the program at each of them.

``REMEDIAL_FAULT=name`` kills the process (SIGKILL) the first time the point is
reached; ``name:3`` the third time. Without the variable a point costs one look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

#: Every point in the program; ``tests/agent/test_kill.py`` goes through all of them.
POINTS = (
    "run.created",
    "step.begin",
    "artifact.written",
    "artifact.renamed",
    "step.done",
    "anneal.exported",
    "mix.commit",
    "round.record",
    "loop.stopped",
    "test.opened",
    "run.finished",
)

_seen: Counter[str] = Counter()


def point(name: str) -> None:
    """Die here if the environment says so.

    Raises:
        ValueError: the name is not in ``POINTS``.
    """
    if name not in POINTS:
        raise ValueError(f"unknown fault point {name!r}; add it to memory.fault.POINTS")
    wanted = os.environ.get("REMEDIAL_FAULT")
    if not wanted:
        return
    target, _, count = wanted.partition(":")
    if target != name:
        return
    _seen[name] += 1
    if _seen[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
