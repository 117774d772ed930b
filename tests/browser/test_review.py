"""The review in the page: a cluster and a draft are dropped in the browser, and the run goes on without them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.report.drafts import batches
from agent.report.page import write_report
from agent.report.reading import read_records
from agent.review.pending import pending
from memory.records import Allocation, Diagnosis, Mixture
from memory.reviews import ReviewRecord
from memory.store import RunFolder
from tests.agent.review_runs import go, serving
from tests.browser.conftest import Tab, spot_of

pytestmark = pytest.mark.real


@pytest.fixture(params=["scripted parts", "a real student"])
def world(request: pytest.FixtureRequest, demo_config: Path, root: Path) -> tuple[Path, tuple[str, ...]]:
    """A config, and what makes one short round of it."""
    if request.param == "scripted parts":
        return demo_config, ("loop.max_rounds=1",)
    quickstart = root / "examples" / "quickstart"
    if not (quickstart / "student" / "model.safetensors").is_file():
        pytest.skip("the quickstart student is not built; `make student` builds it")
    limits = tuple(f"data.{split}.limit=60" for split in ("probe", "dev", "test"))
    small = ("loop.max_rounds=1", "allocate.new_examples=40", "data.guard_size=60", "diagnose.stability_seeds=2")
    return quickstart / "config.yaml", (*small, "anneal.num_threads=1", *limits)


def test_what_is_decided_in_the_page_is_what_the_run_does(
    tab: Callable[..., Tab], world: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    folder, (config, one_round) = tmp_path / "run", world
    assert go(config, folder, "diagnose", "verify", overrides=one_round)
    run = RunFolder(folder)
    with serving(folder) as server:
        waits = pending(run)
        assert waits is not None
        dropped, renamed = waits.clusters[0], waits.clusters[1]
        shown = tab(server.url, offline=False)
        shown.page.select_option(f'select[data-review="{dropped.id}"]', "drop")
        row = shown.page.locator(f'tr:has(select[data-review="{renamed.id}"])')
        row.locator("input[type=text]").fill("named by hand")
        row.locator("textarea").fill("Ask for <b>two</b> steps.")
        shown.page.fill("#comment", "seen in a browser")
        shown.page.fill("#author", "Ada")
        shown.page.click("#submit-review")
        shown.page.wait_for_selector("#review-said .good, #review-said .bad")
        assert "remedial resume" in shown.page.inner_text("#review-said")

        assert go(config, folder, "diagnose", "verify", overrides=one_round)
        (plan,) = read_records(run, "round-00", "allocate", Allocation)
        assert dropped.id not in {item.weakness_id for item in plan.allotments if item.n}
        waits = pending(run)
        assert waits is not None
        vetoed = next(item for item in waits.drafts if item.accepted)
        # the served page has followed the run by itself
        shown.page.wait_for_selector(f'input[data-review="{vetoed.id}"]', timeout=30_000)
        shown.page.check(f'input[data-review="{vetoed.id}"]')
        shown.page.fill("#author", "Ada")
        shown.page.click("#submit-review")
        shown.page.wait_for_selector("#review-said .good, #review-said .bad")
        assert "remedial resume" in shown.page.inner_text("#review-said")
        assert {request.split("/")[2] for request in shown.requests} == {f"127.0.0.1:{server.server_port}"}
        assert shown.complaints == []
    assert not go(config, folder, overrides=one_round)
    records = [read_records(run, "round-00", step, ReviewRecord)[0] for step in ("review-diagnose", "review-verify")]
    assert [record.author for record in records] == ["Ada", "Ada"]
    assert [item.action for item in records[1].decisions.drafts] == ["veto"]
    (mixture,) = read_records(run, "round-00", "mix", Mixture)
    new = {item.problem_id for item in mixture.items}
    assert not new & _problem_of(run, vetoed.id)
    write_report(run, tmp_path / "report.html")
    told = tab((tmp_path / "report.html").as_uri())
    reviews = told.page.inner_text("#round-0")
    for words in (
        "dropped",
        "renamed to named by hand",
        "Ask for <b>two</b> steps.",
        "seen in a browser",
        "Ada",
        "vetoed",
    ):
        assert words in reviews
    told.page.locator("canvas").scroll_into_view_if_needed()
    told.page.mouse.click(*spot_of(told, 0))
    told.page.wait_for_selector("#item-body h4")
    diagnosis = read_records(run, "round-00", "diagnose", Diagnosis)[0]
    kept = diagnosis.weaknesses[-1]
    assert told.page.inner_text("#item-title code") in {
        name for item in diagnosis.weaknesses for name in item.problem_ids
    }
    told.page.click(f'#clusters [data-cluster="{kept.id}"]')
    assert told.page.inner_text("#tally").split()[0] == str(kept.failures)
    assert told.requests == [(tmp_path / "report.html").as_uri()]
    assert told.complaints == []


def _problem_of(run: RunFolder, draft_id: str) -> set[str]:
    found = {draft.problem.id for batch in batches(run, "round-00") for draft in batch.drafts if draft.id == draft_id}
    assert found
    return found
