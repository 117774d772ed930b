"""``preview``: one cluster, three problems, the first prompt in full, the free checks, a round's projected tokens."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click

from agent.commands.options import config_option, json_option, named, output_dir_option, run_folder, set_option


@click.command("preview")
@config_option
@output_dir_option
@set_option
@click.option(
    "--round", "round_index", type=click.IntRange(min=0), help="Use this round's diagnosis of the run folder."
)
@click.option("--dry-run", is_flag=True, help="Show the prompt and an estimate; ask nothing.")
@json_option
def preview_command(
    config_path: Path | None,
    output_dir: Path | None,
    overrides: tuple[str, ...],
    round_index: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask the teacher for three problems of one cluster: one request, kept in the run's cache.

    Where the run folder holds a run, its diagnosis is used; else a few probe problems that look alike stand for failed
    ones, and this is said.
    """
    path = named(config_path, "preview")
    warnings.simplefilter("ignore", FutureWarning)
    from agent.config import load_config
    from agent.data import load_data
    from agent.preview import preview

    config = load_config(path, overrides)
    folder = run_folder(config, path, output_dir)
    found = preview(config, load_data(config), folder, round_index=round_index, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from agent.report.preview_view import print_preview

    print_preview(found, Console())
