"""The whole story of a run: status, and per round its clusters, refusals, guards, mixture and seconds by step."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.report.clusters import clusters, trend_text
from agent.report.drafts import funnel_table, round_funnel
from agent.report.spend_view import print_spending
from agent.report.status import status
from agent.report.terminal import change, interval, plain_table, print_status, safe, short
from memory.store import RunFolder

LARGEST = 8


def story(run: RunFolder) -> dict[str, Any]:
    """`status` with every round's clusters and verification funnel under ``rounds[i]``."""
    found = status(run)
    for entry in found["rounds"]:
        stage = f"round-{entry['index']:02d}"
        if run.marker(stage, "diagnose") is not None:
            entry["diagnosis"] = clusters(run, entry["index"])
        entry["funnel"] = round_funnel(run, stage)
    return found


def print_story(found: dict[str, Any], console: Console) -> None:
    """The round table, then a section a round."""
    print_status(found, console)
    if found["spend"]:
        console.print()
        print_spending(found["spend"], console)
    for entry in found["rounds"]:
        console.print()
        console.print(Text(f"Round {entry['index']}: {entry['decision'] or 'unfinished'}"), style="bold")
        for name, guard in entry.get("guards", {}).items():
            console.print(Text(f"  {name} {interval(guard)}, against the base {change(guard)}"))
        if "mixture" in entry:
            counts = entry["mixture"]["counts"]
            shares = entry["mixture"]["realised"]
            parts = ", ".join(f"{counts[name]:,} {name} ({100 * shares[name]:.1f} %)" for name in sorted(counts))
            console.print(Text(f"  mixture: {parts}"))
        if entry["funnel"]:
            console.print(funnel_table(entry["funnel"]))
        seconds = ", ".join(f"{step} {value:.1f}" for step, value in entry["seconds"].items())
        console.print(Text(f"  seconds: {seconds}"))
        if "diagnosis" in entry:
            console.print(_largest(entry["diagnosis"]))


def _largest(diagnosis: dict[str, Any]) -> Table:
    table = plain_table(f"largest of {len(diagnosis['clusters'])} clusters")
    for heading in ("id", "label", "failed / n", "trend", "budget"):
        table.add_column(heading)
    for item in diagnosis["clusters"][:LARGEST]:
        label = Text(safe(item["label"], 60))
        table.add_row(
            short(item["id"]), label, f"{item['failures']} / {item['n']}", trend_text(item), str(item["budget"])
        )
    return table
