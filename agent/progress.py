"""Progress for people: a live bar on a terminal, plain lines elsewhere, nothing when quiet.

Also owns the interrupt flag: the first Ctrl-C asks for a stop at the next safe point, the second aborts.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from memory.errors import Interrupted

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class StepProgress:
    """Progress of one step: ``total`` may be set once it is known, ``advance`` after every batch."""

    def __init__(self, owner: Progress, stage: str, name: str) -> None:
        self._owner, self._stage, self._name = owner, stage, name
        self._total: int | None = None
        self._done = 0
        self._started = self._spoken = time.monotonic()
        self._task: TaskID | None = None

    def start(self, total: int, unit: str) -> None:
        """Say how much there is to do, for example ``(672, "problems")``."""
        self._total, self._done, self._unit = total, 0, unit
        self._started = self._spoken = time.monotonic()
        bar = self._owner.bar
        if bar is not None:
            if self._task is not None:
                bar.remove_task(self._task)
            self._task = bar.add_task(f"{self._stage} {self._name}", total=total, unit=unit)

    def advance(self, n: int) -> None:
        """``n`` more are done.

        Raises:
            Interrupted: Ctrl-C was pressed.
        """
        self._done += n
        self._owner.checkpoint()
        bar = self._owner.bar
        if bar is not None and self._task is not None:
            bar.update(self._task, advance=n)
        elif self._total and time.monotonic() - self._spoken > self._owner.line_seconds:
            self._spoken = time.monotonic()
            rate = self._done / max(1e-9, self._spoken - self._started)
            left = (self._total - self._done) / max(1e-9, rate)
            self._owner.line(
                f"{self._stage} {self._name}: {self._done}/{self._total} {self._unit}, {rate:.0f}/s, {left:.0f} s left"
            )

    def close(self) -> None:
        """Take the bar away."""
        bar = self._owner.bar
        if bar is not None and self._task is not None:
            bar.remove_task(self._task)


class Progress:
    """Where progress goes. ``out`` is stderr, so that stdout holds results only."""

    line_seconds = 10.0

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None) -> None:
        self.out = out or sys.stderr
        self.quiet = quiet
        self.interrupted = False
        self.bar: RichProgress | None = None
        self._previous: Any = None

    @contextmanager
    def listening(self) -> Iterator[Progress]:
        """Catch Ctrl-C and show the live bar (on a terminal) while the block runs."""
        if not self.quiet and self.out.isatty():
            self.bar = _rich_bar(self.out)
            self.bar.start()
        self._previous = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, self._previous)
            if self.bar is not None:
                self.bar.stop()
                self.bar = None

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        self.line("Stopping at the next safe point; press Ctrl-C again to abort at once.")

    def checkpoint(self) -> None:
        """Stop here if the user asked for it.

        Raises:
            Interrupted: Ctrl-C was pressed since the start.
        """
        if self.interrupted:
            raise Interrupted("interrupted")

    @contextmanager
    def step(self, stage: str, name: str) -> Iterator[StepProgress]:
        """Progress of one step."""
        progress = StepProgress(self, stage, name)
        try:
            yield progress
        finally:
            progress.close()

    def done(self, stage: str, name: str, seconds: float, records: int) -> None:
        """One line for a finished step."""
        self.line(f"{stage} {name}: done in {seconds:.1f} s")

    def line(self, text: str) -> None:
        """A plain line, above the bar where there is one."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.out, flush=True)


def _rich_bar(out: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Rich

    return Rich(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeRemainingColumn(),
        console=Console(file=out),
        transient=True,
    )
