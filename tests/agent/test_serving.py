"""Who `remedial view` answers, and that a review sent to it is the run's."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.report.serving import MAX_BODY, Server
from agent.review.pending import pending
from agent.review.state import decided
from memory.reviews import Point
from memory.store import RunFolder
from tests.agent.review_runs import go, serving


@pytest.fixture
def served(demo_config: Path, tmp_path: Path) -> Iterator[Server]:
    """A demo run that waits after its first diagnosis, served."""
    folder = tmp_path / "run"
    assert go(demo_config, folder, "diagnose")
    with serving(folder) as server:
        yield server


def ask(server: Server, method: str, name: str, body: bytes | None = None, **headers: str) -> tuple[int, str, Any]:
    """Ask for ``name``; underscores of header names become hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    path = name if name.startswith("/") else f"/{server.session.token}/{name}"
    connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text, reply


def body_of(server: Server, **changes: Any) -> bytes:
    waits = pending(RunFolder(server.session.run))
    assert waits is not None
    decisions = {**waits.decisions.model_dump(mode="json"), **changes}
    return json.dumps({"author": "Ada", "decisions": decisions}).encode()


def test_only_this_machine_and_only_with_the_secret(served: Server) -> None:
    assert served.server_address[0] == "127.0.0.1"
    status, text, reply = ask(served, "GET", "")
    assert status == 200
    assert served.session.token in text
    assert "connect-src 'self'" in text
    assert reply.getheader("Cache-Control") == "no-store"
    assert "frame-ancestors 'none'" in reply.getheader("Content-Security-Policy")
    for name, headers, expected in [
        ("", {"Host": "evil.example"}, 421),
        ("", {"Host": f"evil.example:{served.server_port}"}, 421),
        ("/", {}, 403),
        ("/wrong/", {}, 403),
        ("/wrong/state", {}, 403),
        ("nothing", {}, 404),
    ]:
        status, text, _ = ask(served, "GET", name, **headers)
        assert status == expected, name
        assert served.session.token not in text
    assert ask(served, "GET", "", Host=f"localhost:{served.server_port}")[0] == 200


def test_another_sites_page_cannot_send_a_review(served: Server) -> None:
    token, body = served.session.token, body_of(served)
    for headers, expected in [
        ({}, 403),
        ({"X_Remedial_Token": "wrong"}, 403),
        ({"X_Remedial_Token": token, "Origin": "https://evil.example"}, 403),
        ({"X_Remedial_Token": token, "Origin": "null"}, 403),
        ({"X_Remedial_Token": token, "Host": "evil.example"}, 421),
        ({"X_Remedial_Token": token, "Content_Length": str(MAX_BODY + 1)}, 413),
        ({"X_Remedial_Token": token, "Content_Length": "-1"}, 413),
    ]:
        assert ask(served, "POST", "review", body, **headers)[0] == expected, headers
    assert decided(RunFolder(served.session.run), 0, Point.DIAGNOSE) is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"author": "a", "decisions": {"round": "x"}}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_review_is_refused_with_words(served: Server, body: bytes) -> None:
    status, text, _ = ask(served, "POST", "review", body, X_Remedial_Token=served.session.token)
    assert status == 409
    assert json.loads(text)["text"].startswith("review: ")


def test_a_review_is_stored_once_and_changes_the_page(served: Server) -> None:
    run, token = RunFolder(served.session.run), served.session.token
    before = json.loads(ask(served, "GET", "state")[1])["state"]
    waits = pending(run)
    assert waits is not None
    stale = ask(served, "POST", "review", body_of(served, state="0" * 16), X_Remedial_Token=token)
    assert stale[0] == 409
    drop = [{"id": waits.clusters[0].id, "action": "drop"}]
    origin = f"http://127.0.0.1:{served.server_port}"
    body = body_of(served, clusters=drop)
    status, text, _ = ask(served, "POST", "review", body, X_Remedial_Token=token, Origin=origin)
    assert status == 200, text
    assert "remedial resume" in json.loads(text)["text"]
    record = decided(run, 0, Point.DIAGNOSE)
    assert record is not None
    assert record.author == "Ada"
    assert [item.id for item in record.decisions.clusters] == [waits.clusters[0].id]
    assert ask(served, "POST", "review", body, X_Remedial_Token=token)[0] == 409
    assert json.loads(ask(served, "GET", "state")[1])["state"] != before
    assert '"action":"drop"' in ask(served, "GET", "")[1]
