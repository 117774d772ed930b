"""Writing replies to the cache without holding up the event loop: many in one durable transaction.

A commit costs an fsync (milliseconds). Replies that arrive while one is under way are written together with the next.
"""

from __future__ import annotations

import asyncio

from memory.cache import CachedReply, RequestCache


class Storing:
    """Group commit over a `RequestCache`, for one event loop."""

    def __init__(self, cache: RequestCache) -> None:
        self._cache = cache
        self._waiting: list[tuple[CachedReply, asyncio.Future[CachedReply]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, reply: CachedReply) -> CachedReply:
        """Store one reply; returns what `RequestCache.put` returns, once it is on disk.

        Raises:
            StoreError: it could not be stored.
        """
        stored: asyncio.Future[CachedReply] = asyncio.get_running_loop().create_future()
        self._waiting.append((reply, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                kept = await asyncio.to_thread(self._cache.put_all, [reply for reply, _ in batch])
            except Exception as error:
                for _, stored in batch:
                    if not stored.done():
                        stored.set_exception(error)
                continue
            for (_, stored), reply in zip(batch, kept, strict=True):
                if not stored.done():
                    stored.set_result(reply)
