"""Helper processes that decode batches beside this one, for students so small that one core is the limit.

Owns the processes' life. Each batch is decoded whole by one process and with the same arithmetic, so the answers
do not depend on how many there are. Knows nothing of what is decoded.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import TypeVar

from memory.errors import EngineError
from memory.lifetime import end_with_parent

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    jobs: Sequence[T], here: Callable[[T], R], there: Callable[[T], R], helpers: int
) -> Iterator[tuple[int, R]]:
    """The number of every job with its result, in the order they are finished.

    Args:
        jobs: the batches; the last ones are begun first.
        here: decodes one batch in this process.
        there: does the same in a helper, so it is an importable function or a `functools.partial` of one.
        helpers: how many processes there are besides this one.

    Raises:
        EngineError: a helper died.
    """
    left = list(range(len(jobs)))
    flying: dict[Future[R], int] = {}
    pool = _pool(helpers)
    try:
        while left or flying:
            while left and len(flying) < helpers:
                number = left.pop()
                flying[_submit(pool, there, jobs[number])] = number
            if left:
                number = left.pop()
                yield number, here(jobs[number])
            done, _ = wait(flying, timeout=0 if left else None, return_when=FIRST_COMPLETED)
            for future in done:
                yield flying.pop(future), future.result()
    except BrokenProcessPool as error:
        _pool.cache_clear()
        raise EngineError(
            "A helper process of the student ended on its own, most likely for lack of memory. "
            "Set student.num_workers: 1, or free some memory; finished steps are kept."
        ) from error
    finally:
        for future in flying:
            future.cancel()


@lru_cache(maxsize=1)
def _pool(helpers: int) -> ProcessPoolExecutor:
    """The helpers, kept until this process ends: starting one costs seconds of imports."""
    return ProcessPoolExecutor(helpers, multiprocessing.get_context("spawn"), end_with_parent)


atexit.register(_pool.cache_clear)  # while the modules that a pool's end needs are still there


def _submit(pool: ProcessPoolExecutor, there: Callable[[T], R], job: T) -> Future[R]:
    """Submit with SIGINT blocked: helpers started here inherit that, so Ctrl-C is this process's alone."""
    if threading.current_thread() is not threading.main_thread():
        return pool.submit(there, job)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(there, job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
