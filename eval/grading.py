"""Grading attempts: exact comparison in this process, the undecided tail by math-verify in one that can be killed.

Owns outcomes and the worker's life. Knows nothing of files or splits. Whatever an answer holds, a grade
comes back within the limit and nothing is raised.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from eval.answers import MAX_ANSWER, VERSION, compare, extract, extract_marked
from eval.benchmarks.base import Grade
from eval.math_worker import MAX_REPLY
from memory.errors import EngineError
from memory.records import Finish, Outcome, Problem

GRADER_VERSION = f"grader-1/{VERSION}"
_START_SECONDS = 120.0
_SLACK_SECONDS = 10.0  # what the worker may take beyond an answer's limit before it is thought lost


class Grader:
    """Grades in batches; the worker is started with the first answer that needs it.

    Args:
        timeout_s: wall limit of one comparison by math-verify.
        allow_last_number: take the last number of a text that marks no answer.

    Attributes:
        stats: how answers were decided: ``exact``, ``math_verify``, ``unread``, ``timeout``, ``crashed``, ``error``.
    """

    def __init__(self, timeout_s: float = 3.0, *, allow_last_number: bool = False) -> None:
        self.timeout_s, self.allow_last_number = timeout_s, allow_last_number
        self.stats: Counter[str] = Counter()
        self._worker: _Worker | None = None
        self._decided: dict[tuple[str, str], bool] = {}

    @property
    def version(self) -> str:
        """Names everything that changes a grade: part of a benchmark's fingerprint."""
        return f"{GRADER_VERSION}{'+last_number' if self.allow_last_number else ''}"

    @property
    def fingerprint(self) -> str:
        """The version."""
        return self.version

    def grade(self, items: Sequence[tuple[Problem, str, Finish]]) -> list[Grade]:
        """Grade (problem, generated text, finish) items, order kept.

        ``errored``: generation failed. ``truncated``: it met its length limit and no whole boxed (or otherwise marked)
        answer stands in the text. ``unparsed``: no answer was found. Else ``correct`` or ``wrong``; an answer that
        cannot be compared is wrong.
        """
        return [self._grade(problem, text, finish) for problem, text, finish in items]

    def _grade(self, problem: Problem, text: str, finish: Finish) -> Grade:
        if finish is Finish.ERROR:
            return Grade(Outcome.ERRORED, None)
        if finish is Finish.LENGTH:
            extracted = extract_marked(text, whole=True)
            if extracted is None:
                return Grade(Outcome.TRUNCATED, None)
        else:
            extracted = extract(text, allow_last_number=self.allow_last_number)
            if extracted is None:
                return Grade(Outcome.UNPARSED, None)
        return Grade(Outcome.CORRECT if self.equal(extracted, problem.answer) else Outcome.WRONG, extracted)

    def equal(self, answer: str, gold: str) -> bool:
        """Whether an answer is right: exactly where that is decided, else by math-verify; else it is not."""
        word = compare(answer, gold)
        if word is not None:
            self.stats["exact"] += 1
            return word
        if len(gold) > MAX_ANSWER:
            self.stats["unread"] += 1
            return False
        key = (answer, gold)
        if key not in self._decided:
            self._decided[key] = self._ask(answer, gold)
        return self._decided[key]

    def _ask(self, answer: str, gold: str) -> bool:
        if self._worker is None:
            self._worker = _Worker()
        word, how = self._worker.compare(answer, gold, self.timeout_s)
        if how == "lost":
            self._worker.close()
            self._worker = None
        self.stats["unread" if how == "decided" and word is None else "math_verify" if how == "decided" else how] += 1
        return word is True

    def close(self) -> None:
        """End the worker. The grader may be used again; it then starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def __enter__(self) -> Grader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _Worker:
    """`eval.math_worker` in a session of its own, so that Ctrl-C in a terminal does not reach it."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        paths = [root, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from eval.math_worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"},
        )
        self.buffer = b""
        if self._read(_START_SECONDS) is None:
            self.close()
            raise EngineError(
                "The answer comparing process did not start. Try: "
                f"{sys.executable} -c 'import math_verify'; if that fails, reinstall math-verify[antlr4_13_2]."
            )

    def compare(self, answer: str, gold: str, timeout: float) -> tuple[bool | None, str]:
        """The worker's word and how it came about; ``lost`` where the process itself is gone."""
        assert self.process.stdin is not None
        job = json.dumps({"answer": answer, "gold": gold, "timeout": timeout})
        try:
            self.process.stdin.write(job.encode("ascii") + b"\n")
            self.process.stdin.flush()
        except OSError:
            return None, "lost"
        reply = self._read(timeout + _SLACK_SECONDS)
        return (None, "lost") if reply is None else (reply["word"], reply["how"])

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """One reply line, or None when the time is up or the process gone."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                block = os.read(descriptor, MAX_REPLY)
                if not block:
                    return None
                self.buffer += block
        line, _, self.buffer = self.buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """Close its input, which ends it and its child; kill it if it does not go."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
