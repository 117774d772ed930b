"""Tables for people, made from `agent.report.status`. Model text is never printed as markup or control characters."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def safe(text: str, limit: int = 400) -> str:
    """Text from a model as plain printable characters: control and bidirectional characters become U+FFFD."""
    shown = "".join(char if char == "\n" or not _is_hostile(char) else "\ufffd" for char in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "..."


def one_line(text: str, limit: int = 400) -> str:
    """`safe` on a single line: a line break in a model's text must not look like one of ours."""
    return safe(" ".join(text[: 4 * limit].split()), limit)


def has_hostile(text: str) -> bool:
    """Whether `safe` would replace anything in ``text``."""
    return any(char != "\n" and _is_hostile(char) for char in text)


def _is_hostile(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")


def plain_table(title: str = "") -> Table:
    """A table without vertical lines, so that rows fit 80 columns."""
    return Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def short(record_id: str) -> str:
    """The beginning of an id that `remedial show` takes."""
    return record_id[:10]


def interval(entry: dict[str, Any] | None) -> str:
    """``55.1 [51.3, 58.8]``."""
    if not entry:
        return "-"
    return f"{entry['accuracy']:.1f} [{entry['low']:.1f}, {entry['high']:.1f}]"


def change(entry: dict[str, Any] | None) -> str:
    """``+6.9 [+4.1, +9.6]``."""
    if not entry or entry.get("difference") is None:
        return "-"
    return f"{entry['difference']:+.1f} [{entry['difference_low']:+.1f}, {entry['difference_high']:+.1f}]"


def print_status(found: dict[str, Any], console: Console) -> None:
    """The round tables and the sealed-test result."""
    console.print(result_table(found))
    if found["rounds"]:
        console.print(work_table(found))
    for entry in found["rounds"]:
        if entry.get("reason"):
            refused = ", ".join(f"{reason} {n}" for reason, n in entry["refused"].items()) or "none"
            line = f"round {entry['index']}: {entry['reason']}; refused: {refused}"
            console.print(Text(line), soft_wrap=True)
        for review in entry.get("reviews", ()):
            console.print(Text(review_line(entry["index"], review)), soft_wrap=True)
    if found["stop_reason"] and not found.get("review"):
        console.print(Text(f"stopped: {found['stop_reason']} ({found['stop_detail']})"))
    console.print(Text(test_line(found)), soft_wrap=True)
    if found["spend"]:
        console.print(Text(spend_line(found["spend"])), soft_wrap=True)
    if found["adapter"]:
        console.print(Text(f"adapter: {found['adapter']} (rank {found['adapter_rank']})"))
    if waiting := found.get("review"):
        line = f"round {waiting['round']} waits for a review after {waiting['point']}: remedial review {found['run']}"
        console.print(Text(line), soft_wrap=True)
    if found["state"] != "finished":
        console.print(Text(f"{found['state']}; go on with: remedial resume {found['run']}"))


def review_line(index: int, review: dict[str, Any]) -> str:
    """Who decided what in a round, when."""
    comment = f" ({safe(review['comment'], 200)})" if review["comment"] else ""
    who = (
        f"round {index}: reviewed after {review['point']} by {safe(review['author'], 80)} at {review['time']}{comment}"
    )
    return f"{who}: {'; '.join(safe(text, 200) for text in review['changes'])}"


def test_line(found: dict[str, Any]) -> str:
    """The sealed test in one line."""
    test = found["test"]
    if test is None:
        return "sealed test: not opened yet"
    return (
        f"sealed test (n = {test['n']}): base {test['base']:.1f} -> final {test['final']:.1f}, "
        f"{test['difference']:+.1f} points, paired 95 % interval [{test['low']:+.1f}, {test['high']:+.1f}]"
    )


def spend_line(found: dict[str, Any]) -> str:
    """The total on one line."""
    total, cost = found["total"], found["money"]
    tokens = f"{total['prompt_tokens']:,} prompt + {total['completion_tokens']:,} completion tokens"
    of_which = f"of these {total['reasoning_tokens']:,} reasoning, {total['cached_tokens']:,} cached"
    requests = f"{total['requests']:,} requests ({total['retries']:,} retries), {total['from_cache']:,} from the cache"
    return f"paid: {tokens} ({of_which}); {requests}; {money_text(cost)}"


def money_text(cost: dict[str, Any] | None) -> str:
    """``1.2345 USD at prices of 2026-01-31 (model)``."""
    if cost is None:
        return "no prices configured"
    return f"{cost['amount']:.4f} {cost['currency']} at prices of {cost['prices_as_of']} ({safe(cost['model'], 60)})"


def result_table(found: dict[str, Any]) -> Table:
    """What each round brought: one row a round, the base first. Fits 80 columns."""
    table = plain_table(f"{found['run']}: {found['state']}")
    for heading in ("round", "dev accuracy %", "paired change", "guard vs base", "decision"):
        table.add_column(heading, no_wrap=True)
    base = found.get("base") or {}
    table.add_row("base", interval(base.get("dev")), "-", "-", "")
    for entry in found["rounds"]:
        guard = next(iter(entry.get("guards", {}).values()), None)
        decision = (entry["decision"] or "unfinished").replace("_", " ")
        table.add_row(str(entry["index"]), interval(entry["dev"]), change(entry["dev"]), change(guard), decision)
    return table


def work_table(found: dict[str, Any]) -> Table:
    """What each round did: clusters shrunk and grown, drafts, tokens trained and asked for. Fits 80 columns."""
    table = plain_table("clusters (shrunk/grown), drafts, tokens, seconds")
    table.add_column("round", no_wrap=True)
    for heading in ("clusters", "drafted", "accepted", "refused", "trained", "teacher", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in found["rounds"]:
        clusters = entry.get("clusters")
        table.add_row(
            str(entry["index"]),
            f"{clusters['n']} ({clusters['shrunk']}/{clusters['grown']})" if clusters else "-",
            _count(entry, "drafted"),
            _count(entry, "accepted"),
            str(sum(entry["refused"].values())) if "refused" in entry else "-",
            *(_thousands(entry, key) for key in ("train_tokens", "teacher_tokens")),
            f"{sum(entry['seconds'].values()):.0f}",
        )
    return table


def _thousands(entry: dict[str, Any], key: str) -> str:
    return f"{entry[key] / 1000:,.0f}k" if key in entry else "-"


def _count(entry: dict[str, Any], key: str) -> str:
    return f"{entry[key]:,}" if key in entry else "-"
