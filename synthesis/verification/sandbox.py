"""Runs a program somebody else wrote, contained: in `pydantic-monty` where it is installed, else in a locked-in Python.

Owns the limits and what is known of a run. The containment of CPython is `synthesis.verification.jail`'s. There is no
level without isolation: where neither is to be had, that is an error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from memory.errors import ConfigError

MAX_OUTPUT = 10_000  # characters that are kept
MAX_SOURCE = 20_000
_START_SECONDS = 2.0  # beyond the time limit, for a Python to start twice
_JAIL = Path(__file__).resolve().parent / "jail.py"

Level = Literal["auto", "monty", "cpython"]


@dataclass(frozen=True)
class Ran:
    """One run: what it printed, and why it failed; None where it ended well."""

    output: str
    error: str | None


class Sandbox(Protocol):
    """Runs one program after another; whatever a program does, `run` returns within the limits and does not raise."""

    level: str

    def run(self, source: str) -> Ran:
        """Run a program to its end or to a limit."""

    def close(self) -> None:
        """Release processes."""


def make_sandbox(level: Level = "auto", *, timeout_s: float = 5.0, memory_mb: int = 256) -> Sandbox:
    """The best sandbox there is, tried out: it has computed, and been kept from reading a file and opening a socket.

    Args:
        level: ``monty``, ``cpython`` (rlimits, Landlock, seccomp), or the first of them that works.
        timeout_s: wall-clock limit of one run.
        memory_mb: memory limit of one run.

    Raises:
        ConfigError: none works here, or not the one asked for; the message says why.
    """
    why = []
    if level in ("auto", "monty"):
        if importlib.util.find_spec("pydantic_monty") is not None:
            monty = MontySandbox(timeout_s, memory_mb)
            fault = _tried(monty)
            if fault is None:
                return monty
            monty.close()
            why.append(f"monty: {fault}")
        else:
            why.append("monty: pydantic-monty is not installed")
    if level in ("auto", "cpython"):
        jailed = JailedPython(timeout_s, max(memory_mb, 128))
        fault = _tried(jailed)
        if fault is None:
            return jailed
        why.append(f"cpython: {fault}")
    raise ConfigError(
        f"verify.program: programs cannot be contained on this machine ({'; '.join(why)}), and are not run without. "
        "Install pydantic-monty (pip install 'remedial[program]'), use a Linux kernel with Landlock, or take program "
        "out of verify.verifiers."
    )


def _tried(sandbox: Sandbox) -> str | None:
    """Why a sandbox is none; None where it computes and contains."""
    sums = sandbox.run("import math\nprint(math.gcd(12, 18))")
    if sums.output.strip() != "6":
        return sums.error or "it does not compute"
    for what, source in (
        ("a file was read", f"print('in' + 'side', len(open({str(_JAIL)!r}).read()))"),
        ("a socket was opened", "import socket\ns = socket.socket()\nprint('in' + 'side')"),
        ("a process was started", "import os\nos.fork()\nprint('in' + 'side')"),
    ):
        if "inside" in sandbox.run(source).output:
            return f"no isolation: {what}"
    return None


class MontySandbox:
    """Programs in `pydantic-monty`, an interpreter of a part of Python that has no files, network or processes."""

    level = "monty"

    def __init__(self, timeout_s: float, memory_mb: int) -> None:
        self.timeout_s, self.memory_mb = timeout_s, memory_mb
        self._pool: Any = None

    def run(self, source: str) -> Ran:
        """See `Sandbox.run`."""
        import pydantic_monty

        if len(source) > MAX_SOURCE:
            return Ran("", f"a program of {len(source)} characters")
        if self._pool is None:
            self._pool = pydantic_monty.Monty(request_timeout=self.timeout_s + 1).__enter__()
        printed = _Printed()
        try:
            with self._pool.checkout(
                limits={
                    "max_feed_duration_secs": self.timeout_s,
                    "max_memory": self.memory_mb * 2**20,
                    "max_recursion_depth": 500,
                    "max_suspensions": 10_000,
                },
                os_policy={"sleep": "zero", "random_start": {"seed": 0}},
            ) as session:
                session.feed_run(source, print_callback=printed)
        except (pydantic_monty.MontyError, _TooMuch, ValueError, TypeError, RuntimeError, MemoryError) as error:
            return Ran(printed.text, _short(f"{type(error).__name__}: {error}"))
        return Ran(printed.text, "it printed too much" if printed.full else None)

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _TooMuch(Exception):
    """A program printed more than is kept."""


class _Printed:
    """Collects what is printed, up to `MAX_OUTPUT`."""

    def __init__(self) -> None:
        self.text, self.full = "", False

    def __call__(self, stream: str, text: str) -> None:
        if stream == "stdout" and not self.full:
            self.text += text[: MAX_OUTPUT - len(self.text)]
        if len(self.text) >= MAX_OUTPUT:
            self.full = True
            raise _TooMuch("it printed too much")


class JailedPython:
    """Programs in a CPython that has locked itself in before it reads them; one process for each program."""

    level = "cpython+rlimits+landlock+seccomp"

    def __init__(self, timeout_s: float, memory_mb: int) -> None:
        self.timeout_s, self.memory_mb = timeout_s, memory_mb

    def run(self, source: str) -> Ran:
        """See `Sandbox.run`."""
        if len(source) > MAX_SOURCE:
            return Ran("", f"a program of {len(source)} characters")
        limits = [str(int(self.timeout_s) + 1), str(self.memory_mb * 2**20)]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_JAIL), *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
        try:
            with contextlib.suppress(OSError):
                assert process.stdin is not None
                process.stdin.write(source.encode("utf-8", "replace"))  # fits into the pipe, see MAX_SOURCE
                process.stdin.close()
            output, complaint, fault = self._read(process)
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    assert stream is not None
                    stream.close()
            process.wait()
        if fault is None and process.returncode != 0:
            last = complaint.strip().splitlines()
            fault = last[-1] if last else f"it ended with {process.returncode}"
        return Ran(output, None if fault is None else _short(fault))

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[str, str, str | None]:
        """Standard output and error, and which limit was met. Returns when the process has closed both."""
        assert process.stdout is not None
        assert process.stderr is not None
        kept = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        fault = None
        deadline = time.monotonic() + self.timeout_s + _START_SECONDS
        with selectors.DefaultSelector() as selector:
            for descriptor in kept:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map() and fault is None:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    fault = f"it ran longer than {self.timeout_s:g} s"
                for key, _ in ready:
                    block = os.read(key.fd, 65536)
                    kept[key.fd] += block
                    if not block:
                        selector.unregister(key.fd)
                    elif len(kept[key.fd]) > 4 * MAX_OUTPUT:
                        fault = "it printed too much"
        if fault is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
        texts = [bytes(kept[stream.fileno()]).decode("utf-8", "replace") for stream in (process.stdout, process.stderr)]
        return texts[0][:MAX_OUTPUT], texts[1], fault

    def close(self) -> None:
        """Nothing is kept between runs."""


def _short(text: str) -> str:
    return " ".join(text.split())[:160].encode("utf-8", "backslashreplace").decode("utf-8")
