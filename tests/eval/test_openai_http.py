"""The HTTP engine on a loopback server, one behaviour at a time."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from eval.engines.base import Sampling
from eval.engines.limiter import Limiter, backoff, parse_retry_after
from eval.engines.openai_http import OpenAIEngine
from eval.engines.replies import Fault, Reason, Reply, Secret, read_reply
from memory.cache import RequestCache
from memory.errors import ConfigError, EngineError, StoreError
from memory.records import Finish
from tests.eval.http_cases import DRAWN, RUN, Recorder, ask, asked, chat, many
from tests.servers.fault_server import FaultServer, mark_of
from tests.servers.loopback import Loopback, Request, Response

# What is sent


def test_the_body_of_a_request() -> None:
    recorder = Recorder(Response(body=chat("4")))
    schema = '{"type":"object"}'
    with Loopback(recorder) as server:
        engine = OpenAIEngine(
            "teacher", [server.url + "/"], system_prompt="Be brief.", extra_body={"max_tokens": None, "top_k": 5}
        )
        engine.generate(ask("2 + 2"), Sampling(2, 0.7, 0.9, 64, 3, schema))
        engine.generate([[{"role": "system", "content": "Own."}, {"role": "user", "content": "x"}]], Sampling(3))
    first, second, greedy = recorder.bodies
    assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2"}]
    assert (first["model"], first["temperature"], first["top_p"], first["top_k"]) == ("teacher", 0.7, 0.9, 5)
    assert "max_tokens" not in first
    assert first["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert first["seed"] != second["seed"]
    assert greedy["messages"][0]["content"] == "Own."
    assert "seed" not in greedy
    assert "n" not in first


def test_no_key_of_the_environment_is_sent_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-elses")
    monkeypatch.setenv("MY_KEY", " sk-mine-123 \n")
    recorder = Recorder(Response(body=chat("4")))
    with Loopback(recorder) as server:
        OpenAIEngine("m", [server.url]).generate(ask("a"), Sampling())
        OpenAIEngine("m", [server.url], api_key_env="MY_KEY").generate(ask("a"), Sampling())
    assert [request.headers["authorization"] for request in recorder.requests] == ["Bearer none", "Bearer sk-mine-123"]


def test_the_fingerprint_knows_no_address_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine-123")
    first = OpenAIEngine("m", ["http://a/v1"])
    assert first.fingerprint == OpenAIEngine("m", ["http://b/v1", "http://c/v1"], api_key_env="MY_KEY").fingerprint
    assert first.fingerprint != OpenAIEngine("m", ["http://a/v1"], system_prompt="x").fingerprint
    assert first.fingerprint != OpenAIEngine("m", ["http://a/v1"], identity={"adapter": "hash"}).fingerprint


# Cache, samples, order


def test_every_sample_is_its_own_request_and_is_paid_once(log: Path, cache: RequestCache) -> None:
    reply = lambda content, body: f"{mark_of(content)} {body.get('seed')}"  # noqa: E731
    with FaultServer(log, ("ok",), reply=reply) as server:
        engine = OpenAIEngine("teacher", [server.url], cache=cache, run_id=RUN)
        prompts = ask("a", "b", "a")
        progress: list[int] = []
        found = engine.generate(prompts, Sampling(3, 0.7), progress.append)
        assert len(asked(log)) == 6, "the same prompt twice in one batch is paid once"
        assert sum(progress) == 3
        assert found[0] == found[2]
        assert len({sample.text for row in found[:2] for sample in row}) == 6
        more = engine.generate(prompts, Sampling(4, 0.7))
        assert len(asked(log)) == 8, "more samples: only the new ones are asked for"
        assert [sample.text for sample in more[1][:3]] == [sample.text for sample in found[1]]
        assert (more[1][0].usage.from_cache, more[1][3].usage.from_cache) == (True, False)
        assert more[1][0].usage.paid_by == RUN
        engine.generate(prompts, Sampling(4, 0.7, max_new_tokens=99))
        assert len(asked(log)) == 16, "other settings are another request"


def test_greedy_is_asked_once_and_repeated(log: Path, cache: RequestCache) -> None:
    with FaultServer(log, ("ok",)) as server:
        engine = OpenAIEngine("teacher", [server.url], cache=cache)
        (row,) = engine.generate(ask("a"), Sampling(4))
        assert len(row) == 4
        assert len(set(row)) == 1
        engine.generate(ask("a"), Sampling(2, seed=99))
        assert len(asked(log)) == 1


def test_an_adapter_served_under_an_old_name_is_another_model(log: Path, cache: RequestCache) -> None:
    with FaultServer(log, ("ok",), models=("round-00",)) as server:
        for identity in ("hash-1", "hash-2", "hash-1"):
            OpenAIEngine("round-00", [server.url], cache=cache, identity=identity).generate(ask("a"), Sampling())
        assert len(asked(log)) == 2


def test_works_without_a_cache_in_threads_and_inside_a_loop(log: Path) -> None:
    with FaultServer(log, ("ok",)) as server:
        engine = OpenAIEngine("teacher", [server.url], run_id=RUN)
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(engine.generate(ask("a"), DRAWN))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def notebook() -> Any:
            return engine.generate(ask("a"), DRAWN)

        found.append(asyncio.run(notebook()))
        assert {row[0].text for (row,) in found} == {mark_of("a")}
        assert len(found) == 4


def test_a_prompt_that_no_request_can_carry_is_a_sample_with_a_reason(log: Path) -> None:
    with FaultServer(log, ("ok",)) as server:
        bad, good = OpenAIEngine("teacher", [server.url]).generate(ask("a\ud800", "b"), Sampling(2))
        assert [sample.finish for sample in bad] == [Finish.ERROR] * 2
        assert str(bad[0].error).startswith("bad_prompt")
        assert good[0].text == mark_of("b")


def test_a_cache_that_cannot_be_written_stops_the_batch(log: Path, tmp_path: Path) -> None:
    class Full(RequestCache):
        def put_all(self, replies: Any) -> Any:
            raise StoreError("the disk is full")

    with FaultServer(log, ("ok",)) as server:
        engine = OpenAIEngine("teacher", [server.url], cache=Full(tmp_path / "c.sqlite"), max_concurrency=4)
        with pytest.raises(StoreError, match="full"):
            engine.generate(many(50), Sampling())
        assert len(asked(log)) <= 8


# Reading replies


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.MALFORMED_BODY),
        (b"null", Reason.MALFORMED_BODY),
        (b'{"choices": [{"message"', Reason.MALFORMED_BODY),
        (b'{"choices": [' + b"9" * 5000 + b"]}", Reason.MALFORMED_BODY),
        (b'{"choices": {}}', Reason.EMPTY_CHOICES),
        (b'{"choices": [7]}', Reason.NO_CONTENT),
        (b'{"choices": [{"finish_reason": "stop", "message": "text"}]}', Reason.NO_CONTENT),
        (chat(None, "length"), Reason.NO_CONTENT),
        (chat("x", "content_filter"), Reason.CONTENT_FILTER),
        (chat(None, "content_filter"), Reason.CONTENT_FILTER),
        (chat("x", "abort"), Reason.FINISH_REASON),
        (chat("x", None), Reason.FINISH_REASON),
        (b'{"choices": [{"finish_reason": ["stop"], "message": {"content": "x"}}]}', Reason.FINISH_REASON),
    ],
)
def test_bodies_that_are_no_reply(body: bytes, reason: Reason) -> None:
    found = read_reply(body, Secret())
    assert isinstance(found, Fault)
    assert found.reason is reason
    assert "\n" not in str(found)
    assert len(str(found)) < 400


def test_reasoning_is_not_text_and_counts_are_read() -> None:
    body = json.loads(chat("four", reasoning_content="hidden", reasoning="hidden"))
    body["usage"] = {
        "prompt_tokens": 9, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 6},
        "prompt_tokens_details": {"cached_tokens": True},
    }  # fmt: skip
    found = read_reply(json.dumps(body).encode(), Secret())
    assert isinstance(found, Reply)
    assert found.text == "four"
    assert (found.tokens.prompt, found.tokens.completion, found.tokens.reasoning, found.tokens.cached) == (9, 8, 6, 0)


def test_a_secret_does_not_show() -> None:
    secret = Secret('sk-"quoted"/key')
    assert "quoted" not in repr(secret)
    for text in ('Bearer sk-"quoted"/key', 'sk-\\"quoted\\"/key', "sk-%22quoted%22%2Fkey"):
        assert "quoted" not in secret.hide(f"header was {text}")
    assert Secret("none").hide_in_reply("none of these") == "none of these"


# Retries, load, limits


def test_limiter_climbs_and_backs_off_once_for_a_burst() -> None:
    limiter = Limiter(20)
    assert limiter.limit == 8
    for _ in range(8):
        limiter.succeeded()
    assert limiter.limit == 16
    for _ in range(16):
        limiter.overloaded(0)  # all left before the first of them came back
    assert limiter.limit == 8
    for _ in range(8):
        limiter.succeeded()
    assert limiter.limit == 9, "after the first overload it climbs by one"
    for epoch in range(1, 9):
        limiter.overloaded(epoch)
    assert limiter.limit == 1
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == 20


def test_retry_after_is_read_in_both_forms() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert parse_retry_after("7") == 7
    assert parse_retry_after("-7") == 0
    assert parse_retry_after(format_datetime(now.replace(second=30), usegmt=True), now) == 30
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now) == 0
    for nonsense in (None, "", "soon", "inf", "nan", "Wed, 99 Foo"):
        assert parse_retry_after(nonsense, now) is None
    assert all(backoff(attempt, 0.5, 4.0) * 2 >= 0.5 and backoff(attempt, 0.5, 4.0) <= 4.0 for attempt in range(2000))


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(status: int) -> None:
    recorder = Recorder(Response(status, b"{}", {"retry-after": "1"}), Response(body=chat("4")))
    with Loopback(recorder) as server:
        started = time.monotonic()
        ((sample,),) = OpenAIEngine("m", [server.url], backoff=0.01).generate(ask("a"), Sampling())
    assert time.monotonic() - started >= 1.0
    assert (sample.text, sample.usage.requests, sample.usage.retries) == ("4", 2, 1)


@pytest.mark.parametrize(("status", "requests"), [(400, 1), (422, 1), (500, 3), (408, 3), (409, 3), (429, 3)])
def test_what_is_retried(status: int, requests: int) -> None:
    recorder = Recorder(Response(status, b'{"error": {"message": "no"}}'))
    with Loopback(recorder) as server:
        engine = OpenAIEngine("m", [server.url], max_retries=2, backoff=0.01)
        ((sample,),) = engine.generate(ask("a"), Sampling())
    assert len(recorder.requests) == sample.usage.requests == requests
    assert sample.finish is Finish.ERROR
    assert str(status) in str(sample.error)


def test_a_hang_ends_at_the_timeout() -> None:
    async def trickle(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    with Loopback(trickle) as server:
        engine = OpenAIEngine("m", [server.url], timeout=0.3, max_retries=1, backoff=0.01)
        started = time.monotonic()
        ((sample,),) = engine.generate(ask("a"), Sampling())
    assert time.monotonic() - started < 10
    assert str(sample.error).startswith("timeout")


def test_a_huge_reply_is_not_read_to_its_end(log: Path) -> None:
    with FaultServer(log, ("huge", "huge_error")) as server:
        found = OpenAIEngine("teacher", [server.url], max_concurrency=2).generate(many(4), DRAWN)
    assert [str(sample.error)[:9] for (sample,) in found] == ["too_large"] * 4


def test_load_is_shared_and_a_dead_endpoint_loses_nothing(tmp_path: Path) -> None:
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    with FaultServer(logs[0], ("ok",), delay=0.02) as a, FaultServer(logs[1], ("ok",), delay=0.02) as b:
        urls = ["http://127.0.0.1:9/v1", a.url, b.url]
        found = OpenAIEngine("teacher", urls, max_concurrency=4, backoff=0.05).generate(many(80), DRAWN)
        assert all(sample.finish is Finish.STOP for (sample,) in found)
        assert max(a.most_in_flight, b.most_in_flight) <= 4
    counts = [len(asked(log)) for log in logs]
    assert sum(counts) == 80
    assert min(counts) >= 20, counts


def test_one_wrong_key_or_model_among_endpoints_loses_nothing(tmp_path: Path) -> None:
    with (
        FaultServer(tmp_path / "a.log", ("ok",), key="other") as locked,
        FaultServer(tmp_path / "b.log", ("ok",), models=("another",)) as other,
        FaultServer(tmp_path / "c.log", ("ok",)) as good,
    ):
        engine = OpenAIEngine("teacher", [locked.url, other.url, good.url], max_concurrency=4)
        found = engine.generate(many(60), DRAWN)
    failed = [sample for (sample,) in found if sample.finish is Finish.ERROR]
    assert len(failed) <= 2, "until the endpoint with the unknown model is given up"
    assert len(asked(tmp_path / "a.log")) <= 8
    assert len(asked(tmp_path / "b.log")) <= 10


# What is wrong with an endpoint


def message_of(model: str, url: str, **options: Any) -> str:
    with pytest.raises(EngineError) as error:
        OpenAIEngine(model, [url], max_retries=2, backoff=0.01, **options).generate(many(20), DRAWN)
    assert error.value.__cause__ is None
    return str(error.value)


def test_everything_refused_is_an_error_that_says_what_to_do(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-12345")
    with FaultServer(log, ("ok",), key="right") as server:
        text = message_of("teacher", server.url, api_key_env="MY_KEY")
        assert "MY_KEY" in text
        assert "sk-wrong" not in text
        assert "set api_key_env" in message_of("teacher", server.url)
    count = len(asked(log))
    assert count <= 2 * 8, "the batch does not go on for long"
    with FaultServer(tmp_path / "b.log", ("ok",)) as server:
        assert "does not serve the model 'techer'" in message_of("techer", server.url)
        assert "usually ends in /v1" in message_of("teacher", server.url.removesuffix("/v1") + "/api")
    assert "cannot be reached" in message_of("teacher", "http://127.0.0.1:9/v1")
    quota = Response(429, b'{"error": {"code": "insufficient_quota", "message": "no money"}}')
    with Loopback(Recorder(quota)) as http:
        assert "quota is used up" in message_of("teacher", http.url)


def test_one_denial_after_replies_is_about_one_prompt(tmp_path: Path) -> None:
    recorder = Recorder(Response(body=chat("4")), Response(403, b'{"error": "moderation"}'), Response(body=chat("5")))
    with Loopback(recorder) as server:
        engine = OpenAIEngine("m", [server.url], max_concurrency=1)
        found = engine.generate(many(3), Sampling())
    assert [sample.text for (sample,) in found] == ["4", "", "5"]
    assert str(found[1][0].error).startswith("denied 403")


def test_checks_of_an_endpoint(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-right-12345")

    def check(model: str, url: str, **options: Any) -> tuple[Any, Any]:
        engine = OpenAIEngine(model, [url], **options)
        return engine.list_models()[0], engine.probe()[0]

    with FaultServer(log, ("ok",), key="sk-right-12345", models=("teacher-7b", "student")) as server:
        for found in check("teacher-7b", server.url, api_key_env="MY_KEY"):
            assert found.ok, found
        for found in check("teacher-70b", server.url, api_key_env="MY_KEY"):
            assert not found.ok
            assert "teacher-7b, student" in found.message
            assert "did you mean 'teacher-7b'" in found.message
        for found in check("teacher-7b", server.url):
            assert not found.ok
            assert "HTTP 401" in found.message
    for found in check("m", "http://127.0.0.1:9/v1"):
        assert "cannot be reached" in found.message
    with Loopback(Recorder(Response(body=b"<html>hello</html>"))) as http:
        for found in check("m", http.url):
            assert "is not an OpenAI-compatible server" in found.message
    with Loopback(Recorder(Response(301, b"", {"location": "https://elsewhere/v1"}))) as http:
        for found in check("m", http.url):
            assert "final address" in found.message


@pytest.mark.parametrize(
    "urls", [[], ["localhost:8000"], ["http://user:pass@host/v1"], ["http://a/v1", "http://a/v1/"]]
)
def test_addresses_are_checked(urls: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        OpenAIEngine("m", urls)
    assert "pass@" not in str(error.value)


@pytest.mark.parametrize("value", [None, "", "sk-a b", "sk-\x07", "sk-é"])
def test_keys_are_checked(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError, match="MY_KEY") as error:
        OpenAIEngine("m", ["http://a/v1"], api_key_env="MY_KEY")
    assert "sk-" not in str(error.value)
