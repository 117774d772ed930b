"""``review``: look at what a paused run waits for, edit it, submit it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.options import json_option
from memory.errors import UsageError

if TYPE_CHECKING:
    from agent.review.pending import Pending
    from memory.reviews import ReviewRecord
    from memory.store import RunFolder


@click.command("review")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--apply", "file", type=click.Path(path_type=Path), metavar="FILE", help="Check this file and submit it.")
@click.option("--approve", is_flag=True, help="Submit that everything stays as it is.")
@click.option("--author", help="Who decides, for the record. [default: user@host]")
@json_option
def review_command(run: Path | None, file: Path | None, approve: bool, author: str | None, as_json: bool) -> None:
    """Look at the clusters or drafts that RUN waits with (by default the latest under runs/), and decide.

    Writes the pending decision as a YAML file and opens it in $VISUAL or $EDITOR; `remedial resume` applies it.
    """
    from agent.report.status import find_run, open_run
    from agent.review.desk import prepare, submit_file
    from agent.review.pending import pending
    from agent.review.submit import default_author, submit

    if file is not None and approve:
        raise UsageError("give --apply FILE or --approve, not both")
    held = open_run(find_run(run))
    name = author if author is not None else default_author()
    if file is not None:
        _tell(held, submit_file(held.path, file, name), as_json)
        return
    found = pending(held)
    if approve:
        if found is None:
            raise UsageError(f"{held.path} waits for no review. `run` and `resume` take --pause-after.")
        _tell(held, submit(held.path, found.decisions, name), as_json)
        return
    if as_json:
        _emit(_state(held, found))
    elif found is None:
        click.echo(
            f"{held.path} waits for no review. `remedial resume {held.path} --pause-after diagnose` asks for one."
        )
    else:
        _edit(held, found, prepare(held, found))


def _state(held: RunFolder, found: Pending | None) -> dict[str, Any]:
    from agent.review.state import decision_file
    from agent.review.words import reviews

    path = decision_file(held, found.round, found.point) if found is not None else None
    indices = [int(folder.name.removeprefix("round-")) for folder in sorted(held.path.glob("round-*"))]
    return {
        "run": str(held.path),
        "pending": _plain(found.model_dump(mode="json")) if found is not None else None,
        "file": str(path) if path is not None and path.is_file() else None,
        "reviews": [{"round": index, **item} for index in indices for item in reviews(held, index)],
    }


def _plain(value: Any) -> Any:
    """Without the schema versions of the records inside."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "schema_version"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _edit(held: RunFolder, found: Pending, path: Path) -> None:
    """Open the file where there is somebody to edit it, and say at once what is wrong with it."""
    from agent.review.files import check_file
    from agent.review.words import changes

    what = f"{len(found.clusters)} clusters" if found.clusters else f"{len(found.drafts)} drafts"
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor or not sys.stdin.isatty():
        click.echo(
            f"Round {found.round} waits for a review of {what}. Edit this file, then go on:\n"
            f"  {path}\n  remedial resume {held.path}\n"
            f"Or approve everything: remedial review {held.path} --approve"
        )
        return
    click.edit(filename=str(path), editor=editor)
    try:
        decisions = check_file(path, found)
    except UsageError as error:
        raise UsageError(f"{error}\nNothing was submitted. To mend it: remedial review {held.path}") from error
    _list(changes(decisions))
    click.echo(f"Nothing is submitted yet. Go on with it: remedial resume {held.path}")


def _list(lines: list[str]) -> None:
    from agent.report.terminal import safe

    for line in lines:
        click.echo(f"  {safe(line, 300)}")


def _tell(held: RunFolder, record: ReviewRecord, as_json: bool) -> None:
    from agent.report.terminal import safe
    from agent.review.words import changes, entry

    if as_json:
        _emit({"run": str(held.path), "round": record.decisions.round, **entry(record)})
        return
    point = record.decisions.point.value
    click.echo(f"Recorded for round {record.decisions.round} after {point}, by {safe(record.author)}:")
    _list(changes(record.decisions))
    click.echo(f"Go on with: remedial resume {held.path}")


def _emit(found: Any) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
