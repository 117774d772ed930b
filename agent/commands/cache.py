"""``cache``: what the request cache holds of each model, and making it smaller. What was paid stays on record."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.options import json_option
from memory.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from memory.cache import ModelSummary

DEFAULT = Path("runs/cache/requests.sqlite")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _age(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """A length of time such as 30d, 12h or 2w."""
    from datetime import timedelta

    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,5})([mhdw])", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is no age; write a number and one of m, h, d, w, for example 30d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command("cache")
@click.option("--path", type=click.Path(path_type=Path), default=DEFAULT, show_default=True, help="The cache file.")
@click.option(
    "--prune-older-than", "age", callback=_age, metavar="AGE", help="Remove replies last used longer ago, as 30d or 0d."
)
@click.option("--model", help="Only this model: of the list, and of what is pruned.")
@click.option("--prune-damaged", is_flag=True, help="Remove replies that are not what was stored.")
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@json_option
def cache_command(
    path: Path, age: timedelta | None, model: str | None, prune_damaged: bool, yes: bool, as_json: bool
) -> None:
    """List what the request cache holds of each model, or prune it.

    A reply that is removed is paid for again by the next run that needs it.
    """
    from memory.cache import RequestCache

    if not path.is_file():
        raise UsageError(
            f"There is no request cache at {path}. A run keeps one in cache/requests.sqlite beside its folder, or "
            "where its config's key cache says; name it with --path."
        )
    cache = RequestCache(path)
    try:
        removed: dict[str, int] = {}
        if age is not None or prune_damaged:
            _confirm(path, age, model, prune_damaged, yes, as_json)
        if prune_damaged:
            removed["damaged"] = cache.prune_damaged()
        if age is not None:
            from datetime import UTC, datetime

            removed["older"] = cache.prune(older_than=datetime.now(UTC) - age, model=model)
        entries = [entry for entry in cache.summary() if model is None or entry.model == model]
    finally:
        cache.close()
    if as_json:
        models = [entry.model_dump(exclude={"schema_version"}) for entry in entries]
        found = {"path": str(path), "file_bytes": path.stat().st_size, "removed": removed, "models": models}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for what, count in removed.items():
        click.echo(f"Removed {count:,} {what} {'reply' if count == 1 else 'replies'}.")
    _print(path, entries, model)


def _confirm(path: Path, age: timedelta | None, model: str | None, damaged: bool, yes: bool, as_json: bool) -> None:
    if yes:
        return
    whose = f" of {model}" if model else ""
    parts = [f"replies{whose} last used more than {age} ago"] if age is not None else []
    parts += ["damaged replies of all models"] if damaged else []
    what = " and ".join(parts)
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"This removes {what} from {path}, and there is nobody to ask; add --yes.")
    click.confirm(f"Remove {what} from {path}? They would be paid for again.", abort=True)


def _print(path: Path, entries: list[ModelSummary], model: str | None) -> None:
    from rich.console import Console
    from rich.text import Text

    from agent.report.terminal import plain_table, safe

    if not entries:
        click.echo(f"{path} holds no replies{f' of {model}' if model else ''}.")
        return
    table = plain_table(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB")
    table.add_column("model")
    for heading in ("replies", "tokens", "text KiB", "oldest", "newest"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            Text(safe(entry.model, 60)),
            f"{entry.entries:,}",
            f"{entry.tokens:,}",
            f"{entry.bytes / 1024:,.0f}",
            entry.oldest[:10],
            entry.newest[:10],
        )
    Console().print(table)
