"""``compare``: arms of an experiment against each other, from a file of scores; loads no model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from memory.errors import UsageError


@click.command("compare")
@click.option(
    "--scores", type=click.Path(path_type=Path), metavar="FILE.csv", help="Results: columns item, arm, seed, correct."
)
@click.option("--arms", metavar="A,B,...", help="Only these, in this order. [default: all, by falling mean]")
@click.option("--baseline", metavar="ARM", help="Compare each arm with this one only. [default: every pair]")
@click.option(
    "--alpha",
    type=click.FloatRange(min=0, max=0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Error rate of all verdicts together, and of each interval.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout, nothing else.")
def compare_command(
    scores: Path | None, arms: str | None, baseline: str | None, alpha: float, html: Path | None, as_json: bool
) -> None:
    """Compare arms over items and seeds: means, paired differences with intervals, verdicts."""
    if scores is None:
        raise UsageError(
            "compare reads finished results only: remedial compare --scores FILE.csv (columns item, arm, seed, "
            "correct). Running the arms itself comes with a later release."
        )
    from agent.compare import Choice, compare_scores

    chosen = None if arms is None else tuple(name.strip() for name in arms.split(",") if name.strip())
    if chosen == ():
        raise UsageError("--arms names no arm")
    found = compare_scores(scores, Choice(chosen, baseline, alpha))
    if html is not None:
        from agent.report.comparison_page import write_page

        write_page(found, html)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    from agent.report.comparison import print_comparison

    print_comparison(found, Console())
