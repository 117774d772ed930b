"""The HTTP engine stopped by a budget, an interrupt or Ctrl-C: nothing that was asked for is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval.engines.openai_http import OpenAIEngine
from memory.cache import RequestCache
from memory.errors import BudgetError, Interrupted
from memory.ledger import Meter
from tests.eval.http_cases import DRAWN, RUN, Recorder, asked, many
from tests.servers.fault_server import FaultServer
from tests.servers.loopback import Loopback, Response


def test_a_budget_stops_at_the_request_and_a_resume_pays_the_rest(log: Path, cache: RequestCache) -> None:
    meter = Meter()

    def guard() -> None:
        if meter.requests >= 13:
            raise BudgetError("max_requests is reached")

    with FaultServer(log, ("ok",), delay=0.01) as server:
        engine = OpenAIEngine("teacher", [server.url], cache=cache, run_id=RUN, guard=guard, meter=meter)
        with pytest.raises(BudgetError):
            engine.generate(many(40), DRAWN)
        assert len(asked(log)) == 13, "not one more"
        assert cache.spent(RUN).requests == 13, "and all of them are stored"
        assert (meter.replies, meter.failures) == (13, 0)
        assert meter.tokens == cache.spent(RUN).tokens
        OpenAIEngine("teacher", [server.url], cache=cache, run_id=RUN).generate(many(40), DRAWN)
        assert len(asked(log)) == 40


def test_a_budget_stops_retries_too_and_keeps_their_cost(log: Path, cache: RequestCache) -> None:
    meter = Meter()

    def guard() -> None:
        if meter.requests >= 3:
            raise BudgetError("max_requests is reached")

    with FaultServer(log, ("always_500",)) as server:
        engine = OpenAIEngine(
            "teacher", [server.url], cache=cache, run_id=RUN, guard=guard, meter=meter, backoff=0.01, max_retries=50
        )
        with pytest.raises(BudgetError):
            engine.generate(many(1), DRAWN)
        assert len(asked(log)) == 3
        spent = cache.spent(RUN)
        assert (spent.requests, spent.failed) == (3, 1)


def test_an_interrupt_waits_for_what_is_in_flight(log: Path, cache: RequestCache) -> None:
    def progress(finished: int) -> None:
        if finished:
            raise Interrupted("interrupted")

    with FaultServer(log, ("ok",), delay=0.1) as server:
        engine = OpenAIEngine("teacher", [server.url], cache=cache, run_id=RUN)
        with pytest.raises(Interrupted):
            engine.generate(many(100), DRAWN, progress)
        assert cache.spent(RUN).paid == len(asked(log)) <= 8 + 16


def test_an_interrupt_is_heard_while_nothing_comes_back(log: Path) -> None:
    started = time.monotonic()

    def progress(finished: int) -> None:
        if time.monotonic() - started > 0.3:
            raise Interrupted("interrupted")

    recorder = Recorder(Response(503, b"{}", {"retry-after": "50"}))
    with Loopback(recorder) as server, pytest.raises(Interrupted):
        OpenAIEngine("m", [server.url]).generate(many(5), DRAWN, progress)
    assert time.monotonic() - started < 10


CTRL_C = """
import signal
import sys
from pathlib import Path
from eval.engines.base import Sampling
from eval.engines.openai_http import OpenAIEngine
from memory.cache import RequestCache
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
cache = RequestCache(Path(sys.argv[2]))
engine = OpenAIEngine("teacher", [sys.argv[1]], cache=cache, run_id="run-1", max_concurrency=8)
prompts = [[{"role": "user", "content": f"problem {number}"}] for number in range(500)]
try:
    engine.generate(prompts, Sampling(temperature=0.7))
except KeyboardInterrupt:
    print("stopped", cache.spent("run-1").paid)
"""


def test_ctrl_c_stores_what_is_in_flight(log: Path, tmp_path: Path, root: Path) -> None:
    with FaultServer(log, ("ok",), delay=1.0) as server:
        command = [sys.executable, "-c", CTRL_C, server.url, str(tmp_path / "c.sqlite")]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            deadline = time.monotonic() + 30
            while len(asked(log)) < 12 and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        assert out.split() == ["stopped", str(len(asked(log)))]
