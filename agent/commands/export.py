"""``export``: what a run made, in the forms of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from agent.commands.options import emit, json_option

KINDS = ("atlas", "trl", "axolotl", "llamafactory", "hf")


@click.command("export")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output-dir", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@click.option("--license", "licence", default="unknown", show_default=True, help="For the cards, such as apache-2.0.")
@json_option
def export_command(kind: str, run: Path | None, output_dir: Path, licence: str, as_json: bool) -> None:
    """Write what RUN made (by default the latest under runs/) into a folder for other tools.

    \b
    atlas         the failures of every round as a table that Embedding Atlas opens
    trl           training data as prompt and completion
    axolotl       the same as messages (or segments), with a config
    llamafactory  the same in alpaca form, with dataset_info.json and a config
    hf            a dataset folder and an adapter folder as the hub wants them

    All but atlas hold the data the final student was trained on, the adapter, and a card of each. Problems of dev,
    guard and test never leave.
    """
    from agent.export.write import export
    from agent.report.status import find_run, open_run

    found = export(kind, open_run(find_run(run)), output_dir, licence)
    if as_json:
        emit(found)
        return
    counts = ", ".join(f"{n:,} {origin}" for origin, n in found.get("counts", {}).items())
    click.echo(f"{found['rows']:,} rows" + (f" ({counts})" if counts else "") + f" in {found['folder']}:")
    for name in found["files"]:
        click.echo(f"  {name}")
    if "command" in found:
        click.echo(f"x and y: {found['places']}\nOpen it with (pip install embedding-atlas):\n  {found['command']}")
