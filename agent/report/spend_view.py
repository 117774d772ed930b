"""Tables of what a run paid for, made from `agent.report.spending`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.report.terminal import plain_table, safe, short


def print_spending(found: dict[str, Any], console: Console) -> None:
    """What is in no finished step, then a table by step, by strategy, by cluster and by model."""
    unclaimed = found["unclaimed"]["requests"]
    if unclaimed:
        console.print(Text(f"  {unclaimed:,} requests of these are in no finished step yet"))
    for name, columns in (
        ("by_step", ("stage", "step")),
        ("by_strategy", ("strategy",)),
        ("by_cluster", ("weakness_id", "label")),
        ("by_model", ("model",)),
    ):
        console.print(_table(name.replace("_", " "), columns, found[name]))


def _table(title: str, columns: Sequence[str], entries: Sequence[dict[str, Any]]) -> Table:
    table = plain_table(f"paid {title}")
    for column in columns:
        table.add_column({"weakness_id": "cluster"}.get(column, column))
    for heading in ("prompt", "completion", "reasoning", "cached", "requests", "retries"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        names = [safe(str(entry[column] or "-"), 40) for column in columns]
        if columns[0] == "weakness_id":
            names[0] = short(names[0])
        counts = (
            *(f"{kind}_tokens" for kind in ("prompt", "completion", "reasoning", "cached")),
            "requests",
            "retries",
        )
        table.add_row(*(Text(name) for name in names), *(f"{entry[count]:,}" for count in counts))
    return table
