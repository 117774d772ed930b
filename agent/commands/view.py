"""``status``, ``report`` and ``show``: they read a run folder and load no model."""

from __future__ import annotations

from pathlib import Path

import click

from agent.commands.options import emit, json_option

run_argument = click.argument("run", required=False, type=click.Path(path_type=Path))


@click.command("status")
@run_argument
@json_option
def status_command(run: Path | None, as_json: bool) -> None:
    """Rounds, decisions and the sealed test of RUN (by default the latest under runs/)."""
    from rich.console import Console

    from agent.report.status import find_run, open_run, status
    from agent.report.terminal import print_status

    found = status(open_run(find_run(run)))
    if as_json:
        emit(found)
    else:
        print_status(found, Console())


@click.command("report")
@run_argument
@json_option
def report_command(run: Path | None, as_json: bool) -> None:
    """The whole story of RUN: status, clusters of every round, refusals, guards, mixtures and seconds by step."""
    from rich.console import Console

    from agent.report.status import find_run, open_run
    from agent.report.story import print_story, story

    found = story(open_run(find_run(run)))
    if as_json:
        emit(found)
    else:
        print_story(found, Console())


@click.command("show")
@click.argument("record_id")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder. [default: the latest under runs/]")
@json_option
def show_command(record_id: str, run: Path | None, as_json: bool) -> None:
    """The record RECORD_ID (or a unique beginning of it) with its lineage.

    Any problem, attempt, cluster, draft, mixture or adapter; in order: problem, attempt, cluster, draft, checks,
    mixture, adapter.
    """
    from rich.console import Console

    from agent.report.show import show
    from agent.report.show_view import print_record
    from agent.report.status import find_run, open_run

    found = show(open_run(find_run(run)), record_id)
    if as_json:
        emit(found)
    else:
        print_record(found, Console())
