"""A small HTTP/1.1 server on 127.0.0.1 for tests: its own thread, bounded requests, always stopped.

What it answers is up to a handler, which may also break off in the middle of a reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType

MOST_BODY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """``sent`` cuts the body short and resets the connection; ``sent=-1`` resets before the first byte."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None


Handler = Callable[[Request], Awaitable[Response]]
#: Told the response and whether every byte of it was handed to the network.
Finished = Callable[[Request, Response, bool], None]


class Loopback:
    """``with Loopback(handler) as server: server.url``."""

    def __init__(self, handler: Handler, finished: Finished | None = None) -> None:
        self._handler, self._finished = handler, finished
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="loopback", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Loopback:
        self._thread.start()
        assert self._ready.wait(10), "the server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._connection(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks), timeout=5)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {}
            for line in lines:
                name, sign, value = line.partition(":")
                if sign:
                    headers[name.strip().lower()] = value.strip()
            length = int(headers.get("content-length", "0"))
            if length > MOST_BODY:
                return
            request = Request(method, path, headers, await reader.readexactly(length))
            response = await self._handler(request)
            whole = await self._answer(writer, response)
            if self._finished is not None:
                self._finished(request, response, whole)
            if not whole:
                return

    async def _answer(self, writer: asyncio.StreamWriter, response: Response) -> bool:
        body = response.body if response.sent is None else response.body[: max(0, response.sent)]
        if response.sent != -1:
            lines = {"content-type": "application/json", "content-length": str(len(response.body)), **response.headers}
            head = f"HTTP/1.1 {response.status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
            writer.write(head.encode("latin-1") + b"\r\n" + body)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if response.sent is None:
                return not writer.is_closing()
        raw = writer.get_extra_info("socket")
        if raw is not None and response.sent == -1:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST instead of FIN
        writer.close()
        return False
