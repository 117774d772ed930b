"""A server's log and a request cache of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.cache import RequestCache


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[RequestCache]:
    cache = RequestCache(tmp_path / "cache.sqlite")
    yield cache
    cache.close()
