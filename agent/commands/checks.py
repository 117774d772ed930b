"""``validate`` and ``doctor``: what is wrong with a config, and with the machine, before anything is spent.

Both list all problems they find and end with exit code 2 where there is one.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.options import config_option, json_option, named, output_dir_option, run_folder, set_option
from memory.errors import ConfigError

if TYPE_CHECKING:
    from agent.config import RunConfig
    from agent.findings import Findings


@click.command("validate")
@config_option
@output_dir_option
@set_option
@click.option("--offline", is_flag=True, help="Ask neither the endpoints nor the model hub.")
@json_option
def validate_command(
    config_path: Path | None, output_dir: Path | None, overrides: tuple[str, ...], offline: bool, as_json: bool
) -> None:
    """Check everything that needs no weights and no tokens: keys, data, prompts, lengths, verifiers, endpoints.

    Endpoints are asked what they serve; a served student's servers load an adapter of zeros of the rank to come.
    """
    path = named(config_path, "validate")
    _quiet(offline)
    from agent.findings import Findings
    from agent.session import plan
    from agent.validate import inspect

    config, found = _read(path, overrides, Findings())
    numbers: dict[str, Any] | None = None
    if config is not None:
        inspected, data = inspect(config, run_folder(config, path, output_dir), offline=offline)
        found.extend(inspected)
        numbers = plan(config, data) if data is not None else None
    _tell(found, as_json, plan=numbers)


@click.command("doctor")
@config_option
@output_dir_option
@set_option
@json_option
def doctor_command(
    config_path: Path | None, output_dir: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Look at this machine: packages, GPU, cores, disk; with a config also one tiny real call to each endpoint."""
    _quiet(offline=False)
    from agent.doctor import examine
    from agent.findings import Findings

    config, found = None, Findings()
    folder = output_dir or Path("runs")
    if config_path is not None:
        config, found = _read(config_path, overrides, found)
        folder = run_folder(config, config_path, output_dir) if config is not None else folder
    found.extend(examine(config, folder))
    _tell(found, as_json)


def _read(path: Path, overrides: tuple[str, ...], found: Findings) -> tuple[RunConfig | None, Findings]:
    from agent.config import load_config

    try:
        config = load_config(path, overrides)
    except ConfigError as error:
        found.problem("config", str(error))
        return None, found
    found.ok("config", f"{path} has no unknown key and no impossible value.")
    return config, found


def _quiet(offline: bool) -> None:
    # Read by huggingface_hub when it is first imported, which is after this.
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore", FutureWarning)


def _tell(found: Findings, as_json: bool, **more: Any) -> None:
    from agent.report.terminal import safe

    problems = found.problems
    if as_json:
        click.echo(json.dumps({**found.as_dict(), **more}, indent=2, ensure_ascii=False))
    else:
        for mark, state in (("ok", "ok"), ("not checked", "unchecked")):
            for item in found.items:
                if item.state == state:
                    click.echo(f"{mark}: {safe(str(item), 1000)}")
        for item in problems:
            click.echo(f"PROBLEM: {safe(str(item), 1000)}", err=True)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''} to put right"
        unchecked = sum(item.state == "unchecked" for item in found.items)
        good = f"No problem found, {unchecked} not checked." if unchecked else "All good."
        click.echo(count if problems else good, err=bool(problems))
    if problems:
        raise SystemExit(2)
