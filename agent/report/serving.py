"""`remedial view`: the page of a run on the loopback interface, with the review in it.

Owns who may ask. Every address of a session begins with its secret; the Host header must name the loopback interface
(against DNS rebinding); a review needs the secret again as a header of its own, which no other site's page can send,
and an Origin that is ours where there is one. Bodies are bounded. Reads the run folder, loads no student.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.report.page import Live, render_report
from agent.report.status import open_run
from agent.review.submit import default_author, submit
from memory.errors import ConfigError, RemedialError
from memory.ids import fingerprint
from memory.reviews import Decisions
from memory.store import RunFolder

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
#: Bytes of a review at most; seconds that a connection may be silent.
MAX_BODY, SILENCE = 8_000_000, 30


class Session:
    """One run that is served: its secret, and its page as it last was.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._page: tuple[str, bytes] | None = None

    def state(self) -> str:
        """Changes whenever a step of the run was finished, or it waits for a review or no longer does."""
        run = RunFolder(self.run)
        seen = [*self.run.glob("*/*.done"), *self.run.glob("review/*.json")]
        marks = sorted((str(path), path.stat().st_mtime_ns) for path in seen if path.exists())
        return fingerprint([marks, run.is_locked()])[:16]

    def page(self) -> bytes:
        """The page of the run as it is now; made again only where it has changed.

        Raises:
            RemedialError: the run folder is damaged.
        """
        with self._lock:
            state = self.state()
            if self._page is None or self._page[0] != state:
                live = Live(token=self.token, author=default_author(), state=state)
                self._page = state, render_report(open_run(self.run), live=live).encode()
            return self._page[1]

    def review(self, body: bytes) -> str:
        """Store a review; returns what to do next.

        Raises:
            ConfigError: the body is no review; the message names the place.
            RemedialError: see `agent.review.submit.submit`.
        """
        try:
            sent = json.loads(body)
            decisions, author = Decisions.model_validate(sent["decisions"]), str(sent["author"])
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"review: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError("review: the body is no JSON object with 'author' and 'decisions'") from error
        submit(self.run, decisions, author)
        return f"The review is stored. Go on with: remedial resume {self.run}"


class Server(ThreadingHTTPServer):
    """The loopback server of one session; ``port`` 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int) -> None:
        self.session = session
        super().__init__((HOST, port), Handler)

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{HOST}:{self.server_port}/{self.session.token}/"


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "remedial", ""
    timeout = SILENCE

    def do_GET(self) -> None:
        """The page, or whether it has changed."""
        if not self._allowed():
            return
        try:
            if self._name() == "":
                self._answer(HTTPStatus.OK, self.server.session.page(), "text/html; charset=utf-8")
            elif self._name() == "state":
                self._json(HTTPStatus.OK, {"state": self.server.session.state()})
            else:
                self._json(HTTPStatus.NOT_FOUND, {"text": "There is nothing here."})
        except RemedialError as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), "text/plain; charset=utf-8")

    def do_POST(self) -> None:
        """A review."""
        self.close_connection = True  # a body that is refused is not read
        if not self._allowed():
            return
        if not hmac.compare_digest(
            self.headers.get("X-Remedial-Token", "").encode(), self.server.session.token.encode()
        ):
            self._json(HTTPStatus.FORBIDDEN, {"text": "The session's secret is missing or wrong; reload the page."})
            return
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{name}:{self.server.server_port}" for name in NAMES}:
            self._json(HTTPStatus.FORBIDDEN, {"text": "Reviews come from this page only."})
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"text": f"A review has at most {MAX_BODY:,} bytes."})
            return
        if self._name() != "review":
            self._json(HTTPStatus.NOT_FOUND, {"text": "There is nothing here."})
            return
        try:
            text = self.server.session.review(self.rfile.read(int(length)))
        except RemedialError as error:
            self._json(HTTPStatus.CONFLICT, {"text": str(error)})
            return
        self._json(HTTPStatus.OK, {"text": text})

    def _allowed(self) -> bool:
        host = self.headers.get("Host", "")
        if host not in {f"{name}:{self.server.server_port}" for name in NAMES}:
            self._json(HTTPStatus.MISDIRECTED_REQUEST, {"text": "This server answers to its loopback address only."})
            return False
        secret = self.path.partition("?")[0].split("/")[1:2]
        if not secret or not hmac.compare_digest(secret[0].encode(), self.server.session.token.encode()):
            self._json(HTTPStatus.FORBIDDEN, {"text": "Open the whole address that remedial view printed."})
            return False
        return True

    def _name(self) -> str:
        return self.path.partition("?")[0].removeprefix(f"/{self.server.session.token}").removeprefix("/")

    def _json(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests carry the secret."""
