"""A headless Chromium: Debian's, or the one that REMEDIAL_CHROMIUM names. Without one the tests are skipped."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.demo import write_demo
from tests.agent.review_runs import go

CHROMIUM = os.environ.get("REMEDIAL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Tab:
    """A page that is watched: what it asked for, and what it complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready]", timeout=60_000)

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait for a script's truth. Asked from outside: the page's policy forbids evaluation within, as it should."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)


def spot_of(tab: Tab, at: int) -> tuple[float, float]:
    """Where on the screen a failure stands, by its columns."""
    box = tab.page.locator("canvas").bounding_box()
    index = tab.page.evaluate("JSON.parse(document.getElementById('index').textContent)")
    x, y = index["items"]["x"][at] / index["grid"], 1 - index["items"]["y"][at] / index["grid"]
    edge = 14
    return (
        box["x"] + edge + x * (box["width"] - 2 * edge),
        box["y"] + edge + y * (box["height"] - 2 * edge),
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("the browser tests need a Chromium: apt-get install chromium (or name one in REMEDIAL_CHROMIUM)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """``tab(address, offline=True, ...)`` opens an address in a context of its own."""
    contexts = []

    def start(address: str, *, offline: bool = True, **options: Any) -> Tab:
        context = chromium.new_context(offline=offline, viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        found = Tab(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda told: found.complaints.append(told.text) if told.type == "error" else None)
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(address)
        found.ready()
        return found

    yield start
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def demo_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "input")


@pytest.fixture(scope="session")
def demo_run(demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert not go(demo_config, folder)
    return folder
