"""Forks a batch of requests for each line on stdin, so that a test can kill it with -9 without paying for imports.

Usage: kill_worker.py CACHE URL PROMPTS CONCURRENCY. Prints the child's pid, and its wait status once it is gone.
"""

import os
import sys
from pathlib import Path

import openai  # noqa: F401 (imported once, here)

from eval.engines.base import Sampling
from eval.engines.openai_http import OpenAIEngine
from memory.cache import RequestCache

RUN = "run-1"


def prompts(count: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"problem {number}"}] for number in range(count)]


def ask(cache: Path, url: str, count: int, concurrency: int) -> None:
    engine = OpenAIEngine(
        "teacher", [url], cache=RequestCache(cache), run_id=RUN, max_concurrency=concurrency, backoff=0.01
    )
    engine.generate(prompts(count), Sampling(temperature=1.0))


def main() -> None:
    cache, url, count, concurrency = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                ask(cache, url, count, concurrency)
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
