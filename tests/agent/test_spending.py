"""What status, report and clusters say of a run that was paid for; the server's log is the witness."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from agent.report.spending import money, spending
from memory.cache import CachedReply, RequestCache
from memory.ledger import Spent, Usage
from memory.records import Finish
from memory.store import RunFolder
from tests.agent.http_demo import reply, write_http_demo
from tests.servers.fault_server import FaultServer, read_log

Cli = Callable[..., CompletedProcess[str]]
PRICES = {"currency": "EUR", "as_of": "2026-10-01", "prompt_per_million": 2.0, "completion_per_million": 8.0}
SAID = "It mixes up the operations."


@pytest.fixture(scope="module")
def paid(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("paid")
    with FaultServer(folder / "log", ["ok"] * 9 + ["rate_limited"], reply=reply) as server:
        prices = {**PRICES, "cached_per_million": 0.5}
        config = write_http_demo(folder / "input", server.url, teacher={"prices": prices}, loop={"max_rounds": 1})
        done = cli("run", "-c", config, "-o", folder / "runs" / "one", "--json", "-q")
    assert done.returncode == 0, done.stderr
    return {"status": json.loads(done.stdout), "run": folder / "runs" / "one", "log": read_log(folder / "log")}


def test_status_holds_what_the_server_was_asked_for(paid: dict[str, Any]) -> None:
    spend = paid["status"]["spend"]
    total = spend["total"]
    asked = [line for line in paid["log"] if line["event"] == "asked" and line["kind"] != "models"]
    assert total["requests"] == len(asked)
    assert total["retries"] == sum(line["kind"] == "rate_limited" for line in asked) > 0
    replies = total["requests"] - total["retries"]
    assert total["prompt_tokens"] == 11 * replies, "11, 7, 2 and 4 are what the server counts for each reply"
    assert total["completion_tokens"] == 7 * replies
    assert total["reasoning_tokens"] == 2 * replies
    assert total["cached_tokens"] == 4 * replies
    assert spend["unclaimed"]["requests"] == 0
    for group in ("by_step", "by_strategy", "by_cluster", "by_model"):
        for name in ("prompt_tokens", "completion_tokens", "requests", "retries"):
            assert sum(entry[name] for entry in spend[group]) == total[name], (group, name)
    assert {(entry["stage"], entry["step"]) for entry in spend["by_step"]} >= {
        ("base", "earn"),
        ("round-00", "draft"),
        ("round-00", "verify"),
    }
    labels = [entry["label"] for entry in spend["by_cluster"] if entry["weakness_id"].startswith("w-")]
    assert labels
    assert all(labels)
    expected = (7 * replies * 2.0 + 4 * replies * 0.5 + 7 * replies * 8.0) / 1e6
    assert spend["money"] == {
        "amount": pytest.approx(expected, abs=1e-6),
        "currency": "EUR",
        "prices_as_of": "2026-10-01",
        "model": "teacher",
    }


def test_status_and_report_show_it(cli: Cli, paid: dict[str, Any]) -> None:
    total = paid["status"]["spend"]["total"]
    shown = cli("status", paid["run"]).stdout
    assert f"{total['requests']:,} requests ({total['retries']:,} retries)" in shown
    assert "EUR at prices of 2026-10-01" in shown
    report = cli("report", paid["run"])
    assert report.returncode == 0, report.stderr
    for words in ("paid by step", "paid by strategy", "paid by cluster", "verification funnel", "agreement"):
        assert words in report.stdout
    story = json.loads(cli("report", paid["run"], "--json").stdout)
    rows = story["rounds"][0]["funnel"]
    assert [row["name"] for row in rows][:1] + [row["name"] for row in rows][-1:] == ["read", "policy"]
    assert rows[-1]["left"] == story["rounds"][0]["accepted"]
    refused = sum(sum(row["reasons"].values()) for row in rows)
    assert refused == sum(story["rounds"][0]["refused"].values())


def test_clusters_show_what_the_teacher_said(cli: Cli, paid: dict[str, Any]) -> None:
    found = json.loads(cli("clusters", paid["run"], "--json").stdout)
    assert {entry["misconception"] for entry in found["clusters"] if entry["budget"]} == {SAID}
    assert f"teacher: {SAID}" in cli("clusters", paid["run"]).stdout


def test_what_was_paid_and_not_entered_yet_is_counted_too(paid: dict[str, Any]) -> None:
    """A kill between the reply and the accounts must not hide what was paid."""
    run = RunFolder(paid["run"])
    before = spending(run)
    assert before is not None
    run_id = json.loads((run.path / "manifest.json").read_text())["run_id"]
    cache = RequestCache(run.path.parent / "cache" / "requests.sqlite")
    usage = Usage(prompt_tokens=1000, completion_tokens=10, requests=3, retries=2, paid_by=run_id)
    cache.put(CachedReply("k" * 64, "teacher", "text", Finish.STOP, usage))
    after = spending(run)
    assert after is not None
    assert after["unclaimed"]["requests"] == 3
    assert after["total"]["prompt_tokens"] == before["total"]["prompt_tokens"] + 1000
    assert after["by_step"] == before["by_step"]


def test_a_run_without_paid_models_has_no_spending(unbroken: dict[str, Any]) -> None:
    assert unbroken["spend"] is None


def test_money_is_null_without_prices_and_cached_tokens_have_their_own() -> None:
    spent = Spent(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)
    assert money(spent, None, "m") is None
    plain = money(spent, PRICES, "m")
    assert plain is not None
    assert plain["amount"] == 2.0 + 4.0
    reduced = money(spent, {**PRICES, "cached_per_million": 0.5}, "m")
    assert reduced is not None
    assert reduced["amount"] == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 4)


def test_the_ledger_file_is_not_made_by_looking(tmp_path: Path) -> None:
    assert spending(RunFolder(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
