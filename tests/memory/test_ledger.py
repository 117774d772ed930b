import sqlite3
from pathlib import Path

import pytest

from memory.cache import CachedReply, RequestCache
from memory.ledger import Ledger, LedgerEntry, Meter, Spent, Usage
from memory.records import Finish

RUN = "run-1"


def usage(**fields: object) -> Usage:
    return Usage.model_validate({"prompt_tokens": 10, "completion_tokens": 5, "requests": 1, "paid_by": RUN, **fields})


def entry(
    ledger: Ledger, key: str, *, failed: bool = False, strategy: str = "targeted", **fields: object
) -> LedgerEntry:
    return ledger.entry(
        key=key,
        model="teacher",
        purpose="write",
        usage=usage(**fields),
        strategy=strategy,
        weakness_id="w-1",
        failed=failed,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", RUN)


def test_recording_again_changes_nothing(ledger: Ledger) -> None:
    with ledger.within("round-00", "draft"):
        assert ledger.record([entry(ledger, "a"), entry(ledger, "b")]) == 2
        # After a resume the same replies come from the cache, still paid by this run.
        assert ledger.record([entry(ledger, "a", from_cache=True), entry(ledger, "c")]) == 1
    spent = ledger.spent()
    assert (spent.entries, spent.paid, spent.requests, spent.tokens) == (3, 3, 3, 45)


def test_a_payment_counts_once_wherever_it_is_used(ledger: Ledger) -> None:
    with ledger.within("round-00", "draft"):
        ledger.record([entry(ledger, "a"), entry(ledger, "a")])
    with ledger.within("round-00", "verify"):
        ledger.record([entry(ledger, "a", from_cache=True), entry(ledger, "b")])
    draft, verify = ledger.totals(by=("stage", "step"))
    assert (draft.group, draft.paid, draft.tokens) == ({"stage": "round-00", "step": "draft"}, 1, 15)
    assert (verify.paid, verify.from_cache, verify.tokens, verify.requests) == (1, 1, 15, 1)


def test_what_another_run_paid_is_not_paid(ledger: Ledger) -> None:
    ledger.record([entry(ledger, "a", paid_by="run-0", from_cache=True), entry(ledger, "b", paid_by=None)])
    spent = ledger.spent()
    assert (spent.entries, spent.paid, spent.from_cache, spent.tokens, spent.requests) == (2, 0, 2, 0, 0)


def test_a_failure_asked_again_costs_again(ledger: Ledger) -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "requests": 6, "retries": 5}
    first = entry(ledger, "a", failed=True, attempt=1, **nothing)
    ledger.record([first])
    ledger.record([first])
    ledger.record([entry(ledger, "a", failed=True, attempt=2, **nothing)])
    ledger.record([entry(ledger, "a", attempt=3)])
    spent = ledger.spent()
    assert (spent.paid, spent.failed, spent.requests, spent.retries, spent.tokens) == (3, 2, 13, 10, 15)


def test_payments_that_a_kill_kept_from_the_ledger_are_found(tmp_path: Path) -> None:
    cache = RequestCache(tmp_path / "cache.sqlite")
    for finish, cost in ((Finish.ERROR, {"requests": 4}), (Finish.ERROR, {"requests": 2}), (Finish.STOP, {})):
        cache.put(CachedReply("a", "teacher", "text", finish, usage(**cost)))  # and then the process was killed
    cache.put(CachedReply("orphan", "teacher", "text", Finish.STOP, usage()))
    cache.put(CachedReply("a", "teacher", "text", Finish.STOP, usage(paid_by="run-2")))
    ledger = Ledger(tmp_path / "ledger.sqlite", RUN, cache)
    found = cache.get(["a"], RUN)["a"]
    with ledger.within("round-00", "draft"):
        again = [entry(ledger, "a", **found.usage.model_dump(exclude={"schema_version"}))]
        ledger.record(again)
        ledger.record(again)
    (group,) = ledger.totals(by=("step", "strategy", "weakness_id", "purpose"))
    assert group.group == {"step": "draft", "strategy": "targeted", "weakness_id": "w-1", "purpose": "write"}
    assert (group.paid, group.failed, group.requests) == (3, 2, 7)
    assert (ledger.unclaimed().paid, ledger.unclaimed().tokens) == (1, 15)
    whole = cache.spent(RUN)
    assert whole.requests == group.requests + ledger.unclaimed().requests


def test_totals_are_grouped_and_sorted(ledger: Ledger) -> None:
    assert ledger.spent() == Spent()
    assert ledger.totals() == []
    with ledger.within("round-01", "draft"):
        ledger.record([entry(ledger, "a", strategy="variants"), entry(ledger, "b"), entry(ledger, "c")])
    assert [(found.group["strategy"], found.entries) for found in ledger.totals(by=("strategy",))] == [
        ("targeted", 2),
        ("variants", 1),
    ]
    with pytest.raises(ValueError, match="known: run, stage"):
        ledger.totals(by=("paid; DROP TABLE entries",))


def test_places_nest_and_end(ledger: Ledger) -> None:
    with ledger.within("round-00", "draft"):
        with ledger.within("round-00", "verify"):
            assert entry(ledger, "a").step == "verify"
        assert entry(ledger, "a").step == "draft"
    assert entry(ledger, "a").step == ""


def test_nothing_is_written_where_one_entry_cannot_be(ledger: Ledger) -> None:
    bad = entry(ledger, "b").model_copy(update={"stage": None})
    with pytest.raises(sqlite3.IntegrityError):
        ledger.record([entry(ledger, "a"), bad])
    assert ledger.spent().entries == 0


def test_meter_goes_on_from_what_was_spent() -> None:
    meter = Meter(Spent(paid=3, failed=1, requests=7, prompt_tokens=10, completion_tokens=20))
    meter.leaving()
    meter.ended(usage(), failed=False)
    meter.ended(usage(prompt_tokens=0, completion_tokens=0), failed=True)
    assert (meter.requests, meter.tokens, meter.replies, meter.failures) == (8, 45, 3, 2)
