"""``status``, ``report``, ``view`` and ``show``: they read a run folder and load no student."""

from __future__ import annotations

from pathlib import Path

import click

from agent.commands.options import emit, json_option
from memory.errors import UsageError

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
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the page goes. [default: RUN/report.html]")
@json_option
def report_command(run: Path | None, output: Path | None, as_json: bool) -> None:
    """The whole story of RUN: printed, and written as one HTML page that opens offline and fetches nothing."""
    from rich.console import Console

    from agent.report.page import page_path, write_report
    from agent.report.status import find_run, open_run
    from agent.report.story import print_story, story
    from agent.report.terminal import safe

    folder = open_run(find_run(run))
    path = output or page_path(folder)
    found = story(folder)
    size = write_report(folder, path, found)
    if as_json:
        emit({**found, "page": str(path)})
    else:
        print_story(found, Console())
        click.echo(f"page: {safe(str(path))} ({size / 1e6:.1f} MB); remedial view serves it with the review in it")


@click.command("view")
@run_argument
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port. [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def view_command(run: Path | None, port: int, no_browser: bool) -> None:
    """Serve the page of RUN on 127.0.0.1; it follows the run, and a review that the run waits for is made in it."""
    import webbrowser

    from agent.report.serving import Server, Session
    from agent.report.status import find_run

    session = Session(find_run(run))
    session.page()  # what is wrong with the run is said here, and the first answer is ready
    try:
        server = Server(session, port)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}. Choose another, or leave it out for a free one.") from error
    click.echo(f"{server.url}\nThe address holds this session's secret. Ctrl-C ends it.")
    if not no_browser:
        webbrowser.open(server.url)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


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
