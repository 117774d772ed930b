"""How quick the page of a run with many failures is: made with invented texts, opened from disk in Chromium.

    python benchmarks/report_20000.py --chromium /usr/bin/chromium

Needs `pip install playwright` and a Chromium. Times are medians over fresh pages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.report.page import write_report
from benchmarks.made_run import make_run, wordy_failures

CLICK = """async (at) => {
  const start = performance.now();
  document.querySelectorAll('.row')[at].click();
  while (!document.querySelector('#item-body h4')) await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - start;
}"""
FILTER = """async () => {
  const tally = () => document.getElementById('tally').textContent, before = tally();
  const start = performance.now();
  document.querySelector('#clusters [data-cluster]').click();
  while (tally() === before) await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - start;
}"""
SEARCH = """async () => {
  const box = document.getElementById('search');
  const tally = () => document.getElementById('tally').textContent, before = tally();
  const start = performance.now();
  box.value = '77';
  box.dispatchEvent(new Event('input'));
  while (tally() === before) await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - start;
}"""  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--failures", type=int, default=20_000)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = make_run(
            folder / "run", wordy_failures(arguments.failures, arguments.clusters, 0), clusters=arguments.clusters,
            drafts=[f"What is {at} plus {at}?" for at in range(400)],
        )  # fmt: skip
        started, cpu = time.perf_counter(), time.process_time()
        size = write_report(run, folder / "report.html")
        wrote, cpu = time.perf_counter() - started, time.process_time() - cpu
        rows = [("write the page", f"{wrote:.1f} s ({cpu:.1f} s of processor)"), ("file size", f"{size / 1e6:.1f} MB")]
        rows += measure(folder / "report.html", arguments.chromium, arguments.repeats)
    print(f"{arguments.failures:,} failures, {arguments.clusters} clusters; {os.cpu_count()} cores\n")
    print("| what | median |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


def measure(page_path: Path, chromium: str, repeats: int) -> list[tuple[str, str]]:
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        version = browser.version
        for _ in range(repeats):
            context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
            page: Any = context.new_page()
            page.goto(page_path.as_uri())
            page.wait_for_selector(".row")
            drawn = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
            found.setdefault("open until it is drawn and answers", []).append(drawn)
            found.setdefault("click until the item can be read", []).append(page.evaluate(CLICK, 3))
            found.setdefault("point on the map until the item can be read", []).append(click_map(page))
            found.setdefault("click on a cluster until it is filtered", []).append(page.evaluate(FILTER))
            page.click("text=show all")
            found.setdefault("first search, all texts unpacked", []).append(page.evaluate(SEARCH))
            context.close()
        browser.close()
    rows = [(name, f"{statistics.median(times):.0f} ms") for name, times in found.items()]
    return [*rows, ("Chromium", version)]


def click_map(page: Any) -> float:
    """Milliseconds from a real click on the canvas until another item's name stands there, seen from outside."""
    page.locator("canvas").scroll_into_view_if_needed()
    before = page.inner_text("#item-title code")
    box = page.locator("canvas").bounding_box()
    index = page.evaluate(
        "(() => { const own = JSON.parse(document.getElementById('index').textContent);"
        " return [own.items.x[777] / own.grid, 1 - own.items.y[777] / own.grid]; })()"
    )
    x, y = (14 + part * (side - 28) for part, side in zip(index, (box["width"], box["height"]), strict=True))
    start = time.perf_counter()
    page.mouse.click(box["x"] + x, box["y"] + y)
    while page.inner_text("#item-title code") == before:
        if time.perf_counter() - start > 10:
            raise SystemExit("a click on the map was not answered in 10 s")
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
