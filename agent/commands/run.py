"""``run``, ``resume`` and ``demo``: they start or go on with a loop. All checks come before any model is loaded."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click

from memory.errors import BudgetError, Interrupted, Paused, UsageError

_NO_CONFIG = """No config given. Remedial needs to know the student, the teacher and the data:

  remedial run -c CONFIG.yaml

A ready one is examples/quickstart/config.yaml (a real tiny student, minutes on a laptop);
README.md, "Your own model and data", says how to write yours. `remedial demo` needs none."""

pause_option = click.option(
    "--pause-after",
    type=click.Choice(["diagnose", "verify", "none"]),
    multiple=True,
    help="Stop there in every round for `remedial review`; may be repeated. none: no more.",
)


@click.command("run")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="YAML configuration.")
@click.option("-o", "--output-dir", type=click.Path(path_type=Path), help="Run folder. [default: runs/<name>]")
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override one key; may be repeated.")
@click.option("--seed", type=int, help="Seed of the whole run.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many problems of each of probe, dev and test.")
@pause_option
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, spend nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def run_command(
    config_path: Path | None,
    output_dir: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    limit: int | None,
    pause_after: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Start an improvement loop, or go on with it if its folder exists already."""
    if config_path is None:
        raise UsageError(_NO_CONFIG)
    from agent.config import load_config

    if limit is not None:
        overrides = (*overrides, *(f"data.{split}.limit={limit}" for split in ("probe", "dev", "test")))
    config = load_config(config_path, overrides, seed)
    folder = output_dir or Path("runs") / (config.name or config_path.stem)
    _start(config, folder, dry_run=dry_run, pause_after=pause_after, as_json=as_json, quiet=quiet)


@click.command("resume")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Change a limit, an endpoint or a path.")
@click.option("--finish", is_flag=True, help="No further round: end with the rounds there are, open the sealed test.")
@pause_option
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def resume_command(
    run: Path | None,
    overrides: tuple[str, ...],
    finish: bool,
    pause_after: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Go on with an interrupted run (by default the latest under runs/), or with a comparison.

    A run that waits for a review goes on as its file says (see `remedial review`), or stays where it is without one.
    """
    from agent.config import load_config
    from agent.report.status import find_run

    if run is not None and (run / "comparison.json").is_file():
        if pause_after:
            raise UsageError(f"{run} holds a comparison, which never pauses; leave --pause-after out.")
        _resume_comparison(run, overrides, finish=finish, as_json=as_json, quiet=quiet)
        return
    folder = find_run(run)
    config = load_config(folder / "config.yaml", overrides)
    _start(config, folder, finish=finish, pause_after=pause_after, as_json=as_json, quiet=quiet)


def _resume_comparison(folder: Path, overrides: tuple[str, ...], *, finish: bool, as_json: bool, quiet: bool) -> None:
    from agent.commands.compare import run_design
    from agent.comparison.runner import read_plan

    if overrides or finish:
        raise UsageError(
            f"{folder} holds a comparison, which takes neither --set nor --finish: all of its units have one config."
        )
    config, design, command = read_plan(folder)
    run_design(config, design, folder, command=command, as_json=as_json, quiet=quiet)


@click.command("demo")
@click.option("-o", "--output-dir", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def demo_command(output_dir: Path, seed: int, as_json: bool, quiet: bool) -> None:
    """Run the whole loop on scripted parts: a simulated student and teacher, real records, checks and decisions."""
    from agent.config import load_config
    from agent.demo import write_demo

    config_path = write_demo(output_dir.with_name(output_dir.name + "-input"))
    _start(load_config(config_path, seed=seed), output_dir, as_json=as_json, quiet=quiet)


def _start(
    config: object,
    folder: Path,
    *,
    dry_run: bool = False,
    finish: bool = False,
    pause_after: tuple[str, ...] = (),
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    from rich.console import Console

    from agent.config import RunConfig
    from agent.progress import Progress
    from agent.report.status import status
    from agent.report.terminal import print_status
    from agent.session import check, start
    from memory.store import RunFolder

    assert isinstance(config, RunConfig)
    warnings.simplefilter("ignore", FutureWarning)  # of libraries about themselves: nothing a user could act on
    if dry_run:
        plan = check(config, folder)
        click.echo(json.dumps(plan, indent=2) if as_json else "\n".join(f"{key}: {plan[key]}" for key in plan))
        return
    progress = Progress(quiet=quiet)
    try:
        with progress.listening():
            start(config, folder, progress, finish=finish, pause_after=pause_after)
    except Paused as pause:
        click.echo(
            f"Paused: {pause}. Look at it, then go on:\n  remedial review {folder}\n  remedial resume {folder}",
            err=as_json,
        )
    except BudgetError as error:
        click.echo(
            f"Stopped: {error}. Everything is kept, and the test stays sealed. Go on with a higher limit:\n"
            f"  remedial resume {folder} --set {str(error).partition(':')[0]}=...\n"
            f"or end here and open the test:\n  remedial resume {folder} --finish",
            err=True,
        )
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Interrupted; finished work is kept. Go on with: remedial resume {folder}") from error
    found = status(RunFolder(folder))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_status(found, Console())
