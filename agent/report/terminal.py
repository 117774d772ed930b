"""Tables for people, made from `agent.report.status`. Model text is never printed as markup or control characters."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def safe(text: str, limit: int = 400) -> str:
    """Text from a model as plain printable characters: control and bidirectional characters become U+FFFD."""
    shown = "".join(char if char == "\n" or not _is_hostile(char) else "\ufffd" for char in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "..."


def _is_hostile(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")


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
    """The round table and the sealed-test result."""
    console.print(round_table(found))
    for entry in found["rounds"]:
        if entry.get("reason"):
            refused = ", ".join(f"{reason} {n}" for reason, n in entry["refused"].items()) or "none"
            console.print(Text(f"round {entry['index']}: {entry['decision']}: {entry['reason']}; refused: {refused}"))
    if found["stop_reason"]:
        console.print(Text(f"stopped: {found['stop_reason']} ({found['stop_detail']})"))
    console.print(Text(test_line(found)))
    if found["adapter"]:
        console.print(Text(f"adapter: {found['adapter']} (rank {found['adapter_rank']})"))
    if found["state"] != "finished":
        console.print(Text(f"{found['state']}; go on with: remedial resume {found['run']}"))


def test_line(found: dict[str, Any]) -> str:
    """The sealed test in one line."""
    test = found["test"]
    if test is None:
        return "sealed test: not opened yet"
    return (
        f"sealed test (n = {test['n']}): base {test['base']:.1f} -> final {test['final']:.1f}, "
        f"{test['difference']:+.1f} points, paired 95 % interval [{test['low']:+.1f}, {test['high']:+.1f}]"
    )


def round_table(found: dict[str, Any]) -> Table:
    """One row a round, the base first."""
    table = Table(title=f"{found['run']}: {found['state']}", title_justify="left")
    for heading in ("round", "dev accuracy", "paired change", "guard vs base"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "clusters",
        "shrunk/grown",
        "drafted",
        "accepted",
        "refused",
        "train tokens",
        "teacher tokens",
        "s",
    ):
        table.add_column(heading, justify="right")
    table.add_column("decision")
    base = found.get("base") or {}
    table.add_row("base", interval(base.get("dev")), *["-"] * 10, "")
    for entry in found["rounds"]:
        clusters = entry.get("clusters", {})
        guard = next(iter(entry.get("guards", {}).values()), None)
        table.add_row(
            str(entry["index"]),
            interval(entry["dev"]),
            change(entry["dev"]),
            change(guard),
            str(clusters.get("n", "-")),
            f"{clusters.get('shrunk', 0)}/{clusters.get('grown', 0)}",
            _count(entry, "drafted"),
            _count(entry, "accepted"),
            str(sum(entry["refused"].values())) if "refused" in entry else "-",
            _count(entry, "train_tokens"),
            _count(entry, "teacher_tokens"),
            f"{sum(entry['seconds'].values()):.0f}",
            entry["decision"] or "unfinished",
        )
    return table


def _count(entry: dict[str, Any], key: str) -> str:
    return f"{entry[key]:,}" if key in entry else "-"
