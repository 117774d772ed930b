"""The other side of `eval.grading`: a process that keeps a killable child in which math-verify compares answers.

``serve`` reads one JSON job a line and answers one JSON line; it never touches an answer itself, so that none can hold
it up. The child, forked after math-verify was imported (2 ms instead of a second), does the comparing and is killed
at the wall limit. Imports math-verify and sympy inside functions only.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import resource
import select
import signal
import time
from typing import Any, NoReturn

MEMORY_BYTES = 2 << 30
#: Our own texts, compared at the start so that what math-verify loads late is loaded before the fork.
WARM_UP = (
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"\frac{\log 8}{\log 2}", "3"),
    (r"\sin(x)^2+\cos(x)^2", "1"),
    (r"\sqrt{2+\sqrt{3}}", r"\frac{\sqrt{6}+\sqrt{2}}{2}"),
    (r"\{1,2\}\cup\{3\}", r"\{1,2,3\}"),
    (r"(1,2)\cup[3,4)", r"x\in(1,2)\cup[3,4)"),
    (r"\begin{pmatrix}1\\x\end{pmatrix}", r"\begin{pmatrix}1\\2x\end{pmatrix}"),
    (r"2x+3=7", "x=2"),
    (r"x>3", r"x\geq 3"),
    (r"50\%", "0.5"),
)
MAX_REPLY = 4096
_PR_SET_PDEATHSIG = 1
_LITERAL = re.compile(r"[-+]?\d{1,400}")
_DECIMAL = re.compile(r"[-+]?(?:\d{1,400}\.\d{0,400}|\.\d{1,400})")


def serve() -> None:
    """Answer jobs ``{"answer", "gold", "timeout"}`` from stdin until it closes.

    Replies ``{"word": true | false | null, "how": "decided" | "timeout" | "crashed" | "error"}``.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like a reply
    load()
    print(json.dumps({"ready": os.getpid()}), file=replies, flush=True)
    child: _Child | None = None
    jobs = _Jobs()
    try:
        while line := jobs.next():
            child = child or _Child()
            reply = child.ask(line, float(json.loads(line)["timeout"]), jobs)
            if reply is None:
                break
            if reply["how"] in ("timeout", "crashed"):
                child.kill()
                child = None
            print(json.dumps(reply), file=replies, flush=True)
    finally:
        if child is not None:
            child.kill()


class _Jobs:
    """Lines from stdin, one at a time; over when stdin closes or the parent process is gone."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.buffer = b""

    def next(self) -> bytes:
        """The next line, or nothing when there will be none."""
        while b"\n" not in self.buffer:
            # A process forked by the parent may hold stdin open after the parent's death.
            ready, _, _ = select.select([0], [], [], 1.0)
            block = os.read(0, 1 << 16) if ready else b""
            if os.getppid() != self.parent or (ready and not block):
                return b""
            self.buffer += block
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def wait(self, descriptor: int, seconds: float) -> bool | None:
        """Whether the descriptor can be read within the time; None when the parent is gone meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            # The parent sends nothing while it waits for a reply: stdin readable means stdin closed.
            ready, _, _ = select.select([descriptor, 0], [], [], min(left, 1.0))
            if descriptor in ready:
                return True
            if 0 in ready or os.getppid() != self.parent:
                return None
        return False


class _Child:
    """A forked process that compares until it is killed."""

    def __init__(self) -> None:
        down_read, self.down = os.pipe()
        self.up, up_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.down)
            os.close(self.up)
            _run_child(down_read, up_write)
        os.close(down_read)
        os.close(up_write)

    def ask(self, line: bytes, timeout: float, jobs: _Jobs) -> dict[str, Any] | None:
        """The child's reply, or what became of it; None when nobody waits for it any more."""
        try:
            os.write(self.down, line)  # jobs are shorter than a pipe's buffer
            ready = jobs.wait(self.up, timeout)
            if not ready:
                return None if ready is None else {"word": None, "how": "timeout"}
            reply = os.read(self.up, MAX_REPLY)
        except OSError:
            reply = b""
        if not reply:
            return {"word": None, "how": "crashed"}
        found: dict[str, Any] = json.loads(reply)
        return found

    def kill(self) -> None:
        os.close(self.down)
        os.close(self.up)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _run_child(read: int, write: int) -> NoReturn:
    """Compare jobs from one pipe and answer into another; never returns."""
    try:
        _die_with_parent()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(read, "r", encoding="utf-8") as jobs:
            for line in jobs:
                job = json.loads(line)
                try:
                    word, how = math_equal(job["answer"], job["gold"]), "decided"
                except BaseException:  # math-verify's TimeoutException is one; so are MemoryError and RecursionError
                    word, how = None, "error"
                os.write(write, json.dumps({"word": word, "how": how}).encode())
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    """Ask Linux to kill this process with its parent, should that be killed; elsewhere the closed pipe ends it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def load() -> None:
    """Import math-verify, and make sympy refuse to execute text.

    math-verify's LaTeX parser hands number tokens to ``sympy.Number(text)``, which goes through ``sympify`` and
    ``parse_expr`` to ``eval``. Here ``sympify`` of any string reads a numeric literal or raises, and
    ``parse_expr`` cannot evaluate at all.
    """
    import logging

    import math_verify  # noqa: F401
    import sympy.parsing.sympy_parser
    from sympy.core.sympify import converter

    logging.disable(logging.CRITICAL)
    # Modules that sympy imports late make symbols from strings of their own: let them, before strings are refused.
    importlib.import_module("sympy.physics.units")
    for answer, gold in WARM_UP:
        math_equal(answer, gold)
    converter[str] = read_literal
    sympy.parsing.sympy_parser.eval_expr = refuse_evaluation


def refuse_evaluation(*_: object) -> NoReturn:
    """What stands where sympy would evaluate text as Python.

    Raises:
        ValueError: always.
    """
    raise ValueError("text is never evaluated")


def read_literal(text: str) -> Any:
    """A sympy number from a plain numeric literal.

    Raises:
        ValueError: for any other text.
    """
    import sympy

    if _LITERAL.fullmatch(text):
        return sympy.Integer(int(text))
    if _DECIMAL.fullmatch(text):
        return sympy.Float(text)
    raise ValueError("not a number")


def math_equal(answer: str, gold: str) -> bool | None:
    """Compare two LaTeX answers with math-verify; None where one of them is not understood.

    Only its LaTeX route is used: the plain-expression route gives the text to ``parse_expr``. Its own SIGALRM limits
    are off, since the process is killed instead. May take for ever: call it in a child only.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    sides = [
        parse(
            f"\\boxed{{{text}}}",
            config,
            fallback_mode="no_fallback",
            extraction_mode="first_match",
            parsing_timeout=None,
        )
        for text in (gold, answer)
    ]
    if not all(sides):
        return None
    return bool(verify(sides[0], sides[1], timeout_seconds=None))
