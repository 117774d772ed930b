import multiprocessing
import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory.cache import CachedReply, RequestCache, request_key
from memory.errors import StoreError
from memory.ledger import Usage
from memory.records import Finish


def reply(key: str, text: str = "four", *, run: str = "run-1", model: str = "teacher", finish: Finish = Finish.STOP):
    usage = Usage(prompt_tokens=10, completion_tokens=5, requests=2, retries=1, seconds=0.25, paid_by=run)
    return CachedReply(key, model, text, finish, usage)


@pytest.fixture
def cache(tmp_path: Path) -> RequestCache:
    return RequestCache(tmp_path / "deep" / "cache.sqlite")


def test_key_depends_on_everything_that_changes_the_reply() -> None:
    messages = [{"role": "user", "content": "2 + 2 \ud800"}]
    keys = {
        request_key("m", messages, {"seed": 1}, None, 0),
        request_key({"base": "m", "adapter": "x"}, messages, {"seed": 1}, None, 0),
        request_key("m", [{"role": "user", "content": "2 + 3"}], {"seed": 1}, None, 0),
        request_key("m", messages, {"seed": 2}, None, 0),
        request_key("m", messages, {"seed": 1}, "{}", 0),
        request_key("m", messages, {"seed": 1}, None, 1),
    }
    assert len(keys) == 6
    assert request_key("m", messages, {"a": 1, "b": 2}, None, 0) == request_key(
        "m", messages, {"b": 2, "a": 1}, None, 0
    )


def test_a_reply_comes_back_as_it_was(cache: RequestCache) -> None:
    odd = "x\x00\u2028\ud800 \U0001f5dd"
    cache.put(reply("k", odd, finish=Finish.LENGTH))
    (found,) = cache.get(["k", "missing"]).values()
    assert (found.text, found.finish) == (odd, Finish.LENGTH)
    assert found.usage == Usage(
        prompt_tokens=10, completion_tokens=5, requests=2, retries=1, seconds=0.25, paid_by="run-1", from_cache=True
    )
    assert cache.get([f"k{n}" for n in range(2000)]) == {}


def test_failures_leave_their_cost_only(cache: RequestCache) -> None:
    cache.put(reply("k", "never kept", finish=Finish.ERROR))
    cache.put(reply("k", "never kept", finish=Finish.ERROR))
    kept = cache.put(reply("k", "good"))
    assert kept.usage.attempt == 3
    assert [(p.failed, p.usage.attempt) for p in cache.payments(["k"], "run-1")] == [(True, 1), (True, 2), (False, 3)]
    spent = cache.spent("run-1")
    assert (spent.paid, spent.failed, spent.requests, spent.tokens) == (3, 2, 6, 45)
    assert cache.get(["k"], "run-1")["k"].usage.attempt == 3
    assert cache.spent("run-2").requests == 0


def test_the_first_of_two_replies_is_everybodys_and_each_run_pays_its_own(cache: RequestCache) -> None:
    assert cache.put(reply("k", "first", run="run-1")).text == "first"
    assert cache.put(reply("k", "second", run="run-2")).text == "first"
    assert cache.get(["k"], "run-2")["k"].usage.paid_by == "run-2"
    assert cache.get(["k"], "run-3")["k"].usage.paid_by == "run-1"
    assert cache.get(["k"])["k"].text == "first"


def test_summary_and_prune(cache: RequestCache) -> None:
    cache.put_all([reply("a", "é"), reply("b", "xx"), reply("c", "yyy", model="student")])
    student, teacher = cache.summary()
    assert (student.model, student.entries, student.bytes) == ("student", 1, 3)
    assert (teacher.model, teacher.entries, teacher.tokens, teacher.bytes) == ("teacher", 2, 30, 4)
    assert teacher.oldest <= teacher.newest
    assert cache.prune(older_than=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert cache.prune(model="teacher", older_than=datetime.now(UTC) + timedelta(hours=1)) == 2
    assert [found.key for found in cache.entries()] == ["c"]
    assert cache.spent("run-1").paid == 3, "what was paid stays on record"
    assert cache.put(reply("a")).usage.attempt == 2


def test_use_keeps_a_reply_from_being_pruned(cache: RequestCache) -> None:
    cache.put_all([reply("used"), reply("idle")])
    between = datetime.now(UTC)
    cache.get(["used"])
    assert cache.prune(older_than=between) == 1
    assert list(cache.get(["used", "idle"])) == ["used"]


def test_threads(cache: RequestCache) -> None:
    def work(number: int) -> None:
        for index in range(20):
            cache.put(reply(f"{number}-{index}"))
            assert cache.get([f"{number}-{index}"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.entries()) == 80


def _write(path: Path, number: int) -> None:
    cache = RequestCache(path)
    for index in range(15):
        cache.put(reply(f"{number}-{index}", run=f"run-{number}"))
        cache.put(reply(f"shared-{index}", f"by {number}", run=f"run-{number}"))


def test_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    cache = RequestCache(path)
    assert len(cache.entries()) == 3 * 15 + 15
    assert sum(cache.spent(f"run-{number}").paid for number in range(3)) == 3 * 30


def test_a_fork_does_not_share_the_connection(cache: RequestCache) -> None:
    cache.put(reply("before"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            cache.put(reply("child"))
            cache.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    cache.put(reply("after"))
    assert len(cache.entries()) == 3


@pytest.mark.parametrize("damage", ["header", "not sqlite", "other sqlite", "version", "folder"])
def test_a_file_that_is_no_cache_is_a_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.sqlite"
    if damage == "folder":
        path.mkdir()
    elif damage == "not sqlite":
        path.write_text("a text of some length, but no database\n" * 40)
    elif damage == "other sqlite":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE mine (x)")
        db.close()
    else:
        first = RequestCache(path)
        first.put(reply("k"))
        first.close()
        if damage == "version":
            db = sqlite3.connect(path)
            db.execute("PRAGMA user_version=7")
            db.close()
        else:
            path.write_bytes(b"\x00" * 50 + path.read_bytes()[50:])
    with pytest.raises(StoreError, match=r"cache\.sqlite"):
        RequestCache(path).get(["k"])


def test_a_flipped_bit_in_a_reply_is_found_and_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cache = RequestCache(path)
    cache.put_all([reply("k", "the answer is 144"), reply("other")])
    cache.close()
    data = path.read_bytes()
    assert data.count(b"the answer is 144") == 1
    path.write_bytes(data.replace(b"the answer is 144", b"the answer is 145"))
    with pytest.raises(StoreError, match="is not what was stored"):
        cache.get(["k"])
    assert list(cache.get(["other"])) == ["other"]
    assert cache.prune_damaged() == 1
    assert cache.get(["k"]) == {}


def test_pages_of_garbage_are_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cache = RequestCache(path)
    cache.put_all([reply(f"k{n}", "x" * 500) for n in range(200)])
    cache.close()
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        cache.entries()
