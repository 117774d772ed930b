"""Options that several commands share, and the reading of a config that they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memory.errors import UsageError

if TYPE_CHECKING:
    from agent.config import RunConfig

config_option = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="YAML configuration."
)
output_dir_option = click.option(
    "-o", "--output-dir", type=click.Path(path_type=Path), help="Run folder to be. [default: runs/<name>]"
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="A.B=C", help="Override one key; may be repeated."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, nothing else.")


def emit(found: Any) -> None:
    """Print JSON for programs."""
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def run_folder(config: RunConfig, config_path: Path, output_dir: Path | None) -> Path:
    """Where a run of this config goes."""
    return output_dir or Path("runs") / (config.name or config_path.stem)


def named(config_path: Path | None, command: str) -> Path:
    """The config's path.

    Raises:
        UsageError: none was given.
    """
    if config_path is None:
        raise UsageError(
            f"Say which config: remedial {command} -c CONFIG.yaml (remedial init writes one; a ready one is "
            "examples/quickstart/config.yaml)."
        )
    return config_path
