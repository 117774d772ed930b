"""The report of a run in a browser: from disk without a network, by mouse and by keyboard, with hostile texts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.report.page import write_report
from agent.report.reading import read_records
from benchmarks.made_run import make_run
from memory.records import Attempt, Diagnosis, Problem
from memory.store import RunFolder
from tests.browser.conftest import Tab, spot_of

pytestmark = pytest.mark.real

Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def report(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(RunFolder(demo_run), path)
    return path


def test_a_point_is_clicked_and_read_from_disk_without_a_network(tab: Open, report: Path, demo_run: Path) -> None:
    shown = tab(report.as_uri())
    index = shown.page.evaluate("JSON.parse(document.getElementById('index').textContent)")
    latest = max(index["items"]["round"])
    at = index["items"]["round"].index(latest) + 3
    shown.page.locator("canvas").scroll_into_view_if_needed()
    shown.page.mouse.click(*spot_of(shown, at))
    shown.page.wait_for_selector("#item-body h4")
    name = shown.page.inner_text("#item-title code")
    run = RunFolder(demo_run)
    problem = {item.id: item for item in read_records(run, "base", "data", Problem)}[name]
    attempt = next(
        item for item in read_records(run, f"round-{latest:02d}", "probe", Attempt) if item.problem_id == name
    )
    told = shown.page.inner_text("#item-body")
    assert problem.statement in told
    assert problem.answer in told
    assert attempt.extracted is not None
    assert attempt.extracted in told
    assert shown.page.locator("#item-body math").count() >= 1  # \boxed of the student's text, without a network
    shown.page.click("#item-body details.practice summary")
    shown.page.wait_for_selector("#item-body details.practice .draft")
    assert "accepted" in shown.page.inner_text("#item-body details.practice")
    assert shown.requests == [report.as_uri()]
    assert shown.complaints == []


def test_a_cluster_and_words_filter(tab: Open, report: Path, demo_run: Path) -> None:
    shown = tab(report.as_uri())
    last = read_records(RunFolder(demo_run), "round-02", "diagnose", Diagnosis)[0]
    wanted = last.weaknesses[1]
    every = int(re.sub(r"\D", "", shown.page.inner_text("#tally")))
    assert every == sum(item.failures for item in last.weaknesses)
    shown.page.click(f'#clusters [data-cluster="{wanted.id}"]')
    assert shown.page.inner_text("#tally") == f"{wanted.failures} failures"
    assert shown.page.locator("#cluster-detail .draft").count() > 0
    assert wanted.id in shown.page.evaluate("location.hash")
    shown.page.fill("#search", read_records(RunFolder(demo_run), "base", "data", Problem)[0].id)
    shown.until("document.getElementById('tally').textContent.match(/^[01] failure/)")
    shown.page.fill("#search", "")
    shown.until(f"document.getElementById('tally').textContent === '{wanted.failures} failures'")
    shown.page.click("button:has-text('round 0')")
    first = read_records(RunFolder(demo_run), "round-00", "diagnose", Diagnosis)[0]
    assert shown.page.inner_text("#tally") == f"{sum(item.failures for item in first.weaknesses)} failures"
    assert shown.complaints == []


def test_everything_is_reached_from_the_keyboard(tab: Open, report: Path) -> None:
    shown = tab(report.as_uri())
    shown.page.focus("canvas")
    shown.page.keyboard.press("ArrowRight")
    shown.page.wait_for_selector("#item-body h4")
    first = shown.page.inner_text("#item-title code")
    seen = {first}
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft") * 2:
        shown.page.keyboard.press(key)
        shown.page.wait_for_timeout(60)
        seen.add(shown.page.inner_text("#item-title code"))
    assert len(seen) > 2
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_selector("#item-body :text('Choose a point')")
    shown.page.focus(".row >> nth=2")
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_selector("#item-body h4")
    nameless = shown.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, canvas, [role=region]')].filter(
             (own) => !(own.textContent.trim() || own.getAttribute('aria-label') || own.labels?.length)).length"""
    )
    assert nameless == 0
    assert shown.page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read_and_turned(tab: Open, report: Path, scheme: str) -> None:
    shown = tab(report.as_uri(), color_scheme=scheme)

    def contrast() -> float:
        pair = shown.page.evaluate(
            "() => { const own = getComputedStyle(document.body); return [own.color, own.backgroundColor]; }"
        )
        levels = []
        for colour in pair:
            parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
        return (max(levels) + 0.05) / (min(levels) + 0.05) * (1 if levels[1] > levels[0] else -1)

    sign = 1 if scheme == "light" else -1
    assert contrast() * sign > 7
    shown.page.click("#theme")
    assert contrast() * sign < -7
    shown.page.emulate_media(media="print")
    assert contrast() > 7  # paper is white, whatever the screen is
    assert shown.complaints == []


def test_a_narrow_window_scrolls_one_way(tab: Open, report: Path) -> None:
    shown = tab(report.as_uri())
    shown.page.set_viewport_size({"width": 360, "height": 740})
    shown.page.click(".row >> nth=0")
    shown.page.wait_for_selector("#item-body h4")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 360


LINE = "x" * 1_000_000
HOSTILE = {
    "script": "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'><svg onload='window.pwned = 3'>",
    "end": "</script></style></textarea>--><script>window.pwned = 4</script>",
    "ansi": "before \x1b[31mred\x1b[0m \x07 \x00 after",
    "right to left": "say \u202e desrever \u202c \u2067 \u200f\u05e9\u05dc\u05d5\u05dd end",
    "separators": "one\u2028two\u2029three\ufefffour",
    "yaml": "!!python/object/apply:os.system ['touch /tmp/pwned'] &a [*a, *a]",
    "latex": r"$\href{javascript:window.pwned=5}{x}$ \(\def\a{\a\a}\a\) $\html{<script>window.pwned=6</script>}{x}$ "
    r"\(\includegraphics{http://evil.example/x.png}\) $x_1$ \[" + "{" * 1200 + r"\] $\frac{1}{$ \boxed{" * 40,
    "line": LINE,
    "controls": "\u202e" * 50_000,
    "braces": "\\boxed{" * 100_000,
}  # fmt: skip


def test_hostile_texts_are_only_texts(tab: Open, tmp_path: Path) -> None:
    texts = list(HOSTILE.values())
    failures = [(f"{name} {text}", text, text, text[:5000]) for name, text in HOSTILE.items()]
    run = make_run(tmp_path / "run", failures, clusters=2, labels=texts[:2], drafts=[*texts[:6], texts[6]])
    write_report(run, tmp_path / "report.html")
    shown = tab((tmp_path / "report.html").as_uri())
    page: Any = shown.page
    assert page.inner_text("#tally") == f"{len(HOSTILE)} failures"
    assert "<script>window.pwned" in page.inner_text("#clusters")
    for _ in HOSTILE:
        page.click("button[aria-label='next failure']") if page.locator("#item-body h4").count() else page.click(
            ".row >> nth=0"
        )
        page.wait_for_selector("#item-body h4")
        page.wait_for_timeout(150)
        if page.locator("#item-body details.practice").count():
            page.click("#item-body details.practice > summary")
        for more in page.locator("#item-body button:has-text('show all')").all():
            if more.is_visible():
                more.click()

    def read(words: str) -> None:
        """Find the one failure with these words, and open it."""
        page.fill("#search", words)
        shown.until(
            "document.getElementById('tally').textContent === '1 failure' && "
            "document.querySelectorAll('.row').length === 1 && "
            f"document.querySelector('.row').innerText.startsWith('{words}')"
        )
        page.click(".row >> nth=0")

    read("ansi before")
    shown.until("document.querySelector('#item-body .hidden-char')?.textContent === 'U+001B'")
    read("right to left")
    shown.until("[...document.querySelectorAll('#item-body .hidden-char')].some((own) => own.textContent === 'U+202E')")
    assert "\u202e" not in page.evaluate("document.body.innerText")
    read("latex")
    shown.until("document.querySelector('#item-body math') !== null")
    assert page.locator("#item-body a, #item-body img, #item-body script").count() == 0
    started = page.evaluate("performance.now()")
    read("line xxxx")
    shown.until("document.querySelector('#item-body').innerText.includes('show all 1,000,005 characters')")
    assert page.evaluate("performance.now()") - started < 5000
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.evaluate("window.pwned") is None
    assert shown.requests == [(tmp_path / "report.html").as_uri()]
    assert shown.complaints == []
