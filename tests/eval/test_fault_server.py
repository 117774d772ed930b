"""A thousand requests over every fault, and kill -9 in the middle of a batch: the server's log is the witness."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eval.engines import endpoints
from eval.engines.base import Messages, Sample, Sampling
from eval.engines.openai_http import OpenAIEngine
from eval.engines.replies import Reason
from memory.cache import RequestCache
from memory.ledger import Ledger
from memory.records import Finish
from tests.servers.fault_server import EVERYTHING, LASTING, PASSING, FaultServer, mark_of, read_log
from tests.servers.kill_worker import RUN, prompts

KEY = "sk-test-0123456789-never-to-be-seen"
DRAWN = Sampling(temperature=1.0)


def test_a_thousand_requests_over_every_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    monkeypatch.setattr(endpoints, "MOST_BYTES", 1_000_000)  # test_openai_http.py has the real limit
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    asked = [*prompts(1000)]
    kinds = ("ok",) * 40 + EVERYTHING
    with FaultServer(logs[0], kinds, huge=1_100_000) as a, FaultServer(logs[1], kinds, huge=1_100_000) as b:
        cache = RequestCache(tmp_path / "cache.sqlite")
        engine = OpenAIEngine(
            "teacher", [a.url, b.url], api_key_env="TEACHER_KEY", cache=cache, run_id=RUN, timeout=1.5, max_retries=6,
            max_concurrency=32, backoff=0.02, max_backoff=0.3,
        )  # fmt: skip
        ticks: list[int] = []
        found = engine.generate(asked, DRAWN, ticks.append)
        assert sum(ticks) == 1000
        samples = check_order(asked, found)
        witness = [line for log in logs for line in asked_lines(log)]
        seen = {line["kind"] for line in witness}
        assert seen == set(EVERYTHING), "every fault was met"
        # Every reply that ends badly says why, in a word from the closed set; everything that passes was asked again.
        failed = {mark for mark, sample in samples.items() if sample.finish is Finish.ERROR}
        by_mark = {line["mark"]: line["kind"] for line in reversed(witness)}
        assert failed == {mark for mark in samples if by_mark[mark] in LASTING}
        reasons = Counter(str(samples[mark].error).replace(":", " ").split(" ")[0] for mark in failed)
        assert set(reasons) <= {reason.value for reason in Reason}, reasons
        assert reasons["connection"] == 0
        assert reasons["timeout"] == 0
        first = cache.spent(RUN)
        assert (first.paid, first.failed) == (1000, len(failed))
        assert first.requests == len(witness), "the accounts and the servers count the same requests"
        counts = [len(asked_lines(log)) for log in logs]
        # The second pass pays for what failed, and for nothing else.
        a.heal()
        b.heal()
        again = check_order(asked, engine.generate(asked, DRAWN))
        assert all(sample.finish is not Finish.ERROR for sample in again.values())
        later = [line["mark"] for log, old in zip(logs, counts, strict=True) for line in asked_lines(log)[old:]]
        assert set(later) == failed
        for mark, sample in again.items():
            assert sample.usage.from_cache is (mark not in failed)
            assert (sample.text == samples[mark].text) or mark in failed
    assert_never_seen(tmp_path, samples, KEY, logs)


def check_order(asked: list[Messages], found: list[list[Sample]]) -> dict[str, Sample]:
    """Results in order, one for each prompt, and each prompt's reply its own; by mark."""
    assert len(found) == len(asked)
    samples = {}
    for messages, row in zip(asked, found, strict=True):
        (sample,) = row
        mark = mark_of(messages[0]["content"])
        samples[mark] = sample
        if sample.finish is Finish.ERROR:
            assert sample.text == ""
            assert sample.error
        else:
            assert mark in sample.text
            assert sample.error is None
    return samples


def assert_never_seen(folder: Path, samples: dict[str, Sample], key: str, logs: list[Path]) -> None:
    assert any("[redacted]" in sample.text for sample in samples.values())
    assert any("[redacted]" in str(sample.error) for sample in samples.values())
    for sample in samples.values():
        assert key not in repr(sample)
    for path in folder.iterdir():
        assert path in logs or key.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.real)])
def test_killed_in_the_middle_of_a_batch(tmp_path: Path, root: Path, kills: int) -> None:
    """No reply that was stored is asked for again, whatever the moment of the kill.

    A reply that the server has sent and the process had not stored when it died is lost to any client; those are
    counted one by one, and the total comes out exactly.
    """
    count, concurrency = 60 * kills, 8
    log, path = tmp_path / "server.log", tmp_path / "cache.sqlite"
    rng = random.Random(kills)
    lost: list[float] = []
    with FaultServer(log, ("ok", "ok", "ok", *PASSING[3:5]), delay=0.03) as server:
        script = root / "tests/servers/kill_worker.py"
        command = [sys.executable, str(script), str(path), server.url, str(count), str(concurrency)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None

            def start() -> int:
                worker.stdin.write("go\n")
                worker.stdin.flush()
                return int(worker.stdout.readline())

            seen = 0
            for kill in range(kills):
                before = len(sent(log))
                child = start()
                deadline = time.monotonic() + 20
                while len(sent(log)) == before and time.monotonic() < deadline:
                    time.sleep(0.01)  # in the middle of the batch: after its first reply
                time.sleep(rng.uniform(0.0, 0.2))
                os.kill(child, signal.SIGKILL)
                moment = time.time()
                status = int(worker.stdout.readline())
                assert os.WIFSIGNALED(status), f"the batch ended before kill {kill}: give it more prompts"
                server.settle()
                stored = stored_marks(path)
                replies = sent(log)
                new = [moment - line["time"] for line in replies[seen:] if line["mark"] not in stored]
                assert len(new) <= concurrency, "no more than what was in flight"
                assert all(age < 1.0 for age in new), "only what came in the last moment before the kill"
                lost += new
                seen = len(replies)
            start()
            assert int(worker.stdout.readline()) == 0
            worker.stdin.close()
    assert len(stored_marks(path)) == count
    # Exact: each prompt was paid once, and once more for each reply that was lost on its way to the disk.
    total = len(sent(log))
    assert total == count + len(lost)
    early = [age for age in lost if age > 0]  # the others were sent to a process that was dead already
    print(f"{kills} kills, {count} prompts, {total} replies, {len(lost)} lost in flight: {len(early)} had been sent,")
    print(f"at most {max(early, default=0.0) * 1000:.0f} ms before the kill")
    assert_nothing_stored_was_asked_again(log, path)
    check_accounts(tmp_path, path, count)


def asked_lines(log: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(log) if line["event"] == "asked"]


def sent(log: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(log) if line["event"] == "sent" and line["paid"]]


def stored_marks(path: Path) -> set[str]:
    cache = RequestCache(path)
    try:
        return {reply.text for reply in cache.entries()}
    finally:
        cache.close()


def assert_nothing_stored_was_asked_again(log: Path, path: Path) -> None:
    cache = RequestCache(path)
    times = {reply.text: reply.created_at for reply in cache.entries()}
    cache.close()
    for line in asked_lines(log):
        moment = datetime.fromtimestamp(line["time"], UTC).isoformat(timespec="microseconds")
        assert moment <= times[line["mark"]], f"{line['mark']} was stored, and asked for afterwards"


def check_accounts(folder: Path, path: Path, count: int) -> None:
    """After all the kills, the ledger holds each payment once, the failed tries included."""
    cache = RequestCache(path)
    ledger = Ledger(folder / "ledger.sqlite", RUN, cache)
    engine = OpenAIEngine("teacher", ["http://127.0.0.1:9/v1"], cache=cache, run_id=RUN)  # nobody answers there
    found = engine.generate(prompts(count), DRAWN)
    with ledger.within("round-00", "draft"):
        entries = [
            ledger.entry(key=sample.key or "", model="teacher", purpose="write", usage=sample.usage)
            for (sample,) in found
        ]
        ledger.record(entries)
        assert ledger.record(entries) == 0
    spent, paid = ledger.spent(), cache.spent(RUN)
    assert spent.paid - spent.failed == count
    assert spent.completion_tokens == 7 * count
    assert (spent.paid, spent.failed, spent.requests, spent.tokens) == (
        paid.paid,
        paid.failed,
        paid.requests,
        paid.tokens,
    )
    assert ledger.unclaimed().paid == 0
    ledger.close()
    cache.close()
