"""What `remedial diagnose` found, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.clusters import STANDS_OUT, print_standings
from agent.report.standing import Standing
from agent.report.terminal import plain_table, safe, short

#: Disagreements that are listed; --json holds them all.
LISTED = 20


def print_diagnosis(found: dict[str, Any], console: Console) -> None:
    """Outcomes, disagreements with the file's own verdicts, the table of clusters and one example of each."""
    name = safe(found["model"], 60)
    outcomes = ", ".join(f"{word} {n}" for word, n in found["outcomes"].items())
    say(console, f"{safe(found['file'], 200)} ({found['format']}), {name}: {found['n']} outputs: {outcomes}")
    for note in found["notes"]:
        say(console, safe(note, 300))
    _print_flags(found["flags"], console)
    if not found["clusters"]:
        errored = found["outcomes"]["errored"]
        say(console, f"No failures to cluster: every output is correct{' or errored' if errored else ''}.")
        return
    console.print(_table(found, name))
    print_standings(found["clusters"], console)
    stability = "-" if found["stability"] is None else f"{found['stability']:.2f}"
    say(console, f"k: {found['k_rule']}; stability over seeds {stability} (adjusted Rand index: 1 same, 0 chance)")
    say(console, "failed problems: " + ", ".join(f"{word} {n}" for word, n in found["triage"].items()))
    for entry in found["clusters"]:
        for example in entry["examples"][:1]:
            answer = "none read" if example["student"] is None else safe(example["student"], 60)
            gold = safe(example["answer"], 40)
            text = f"{short(entry['id'])}: {safe(example['statement'], 160)} (gold {gold}, model {answer})"
            say(console, text.replace("\n", " "))


def _table(found: dict[str, Any], name: str) -> Any:
    table = plain_table(f"{name}: {len(found['clusters'])} clusters of {found['problems']} problems")
    table.add_column("id", no_wrap=True)
    table.add_column("label")
    for heading in ("failed", "of", "%", "95 %", "stable", "stands out"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in found["clusters"]:
        table.add_row(
            short(entry["id"]),
            Text(safe(entry["label"], 60)),
            str(entry["size"]),
            str(entry["n"]),
            f"{entry['failure_rate']:.0f}",
            f"{entry['low']:.0f}-{entry['high']:.0f}",
            "-" if entry["stability"] is None else f"{entry['stability']:.2f}",
            STANDS_OUT[Standing(entry["standing"])],
        )
    return table


def _print_flags(flags: dict[str, Any] | None, console: Console) -> None:
    if flags is None:
        return
    say(
        console,
        f"verdicts agree with the file's own on {flags['agree']} of {flags['compared']} ({flags['agreement']:.2f} %)",
    )
    apart = flags["disagreements"]
    for item in apart[:LISTED]:
        read = "no answer read" if item["extracted"] is None else f"read {safe(item['extracted'], 60)}"
        gold = safe(item["gold"], 40)
        text = f"  line {item['line']}: recorded {item['recorded']}, here {item['ours']}: {read}, gold {gold}"
        say(console, text.replace("\n", " "))
    if len(apart) > LISTED:
        say(console, f"  ... and {len(apart) - LISTED} more (--json lists all)")


def say(console: Console, text: str) -> None:
    """A line of plain text."""
    console.print(Text(text), soft_wrap=True)
