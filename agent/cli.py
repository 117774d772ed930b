"""The command line. Light: click only; every command imports what it needs when it is called.

Owns exit codes (0 done, 1 the run failed, 2 wrong usage or config, 130 interrupted) and the check that the
sibling packages, which have common names, are Remedial's own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import click

#: Command name -> (module that defines it, short help). Modules are imported on use only.
COMMANDS = {
    "init": ("agent.commands.init", "Write a commented config for your student, teacher and data."),
    "validate": ("agent.commands.checks", "Check a config: files, prompts, lengths, endpoints. No weights, no tokens."),
    "doctor": ("agent.commands.checks", "Packages, GPU, disk, and one tiny real call to each endpoint."),
    "preview": ("agent.commands.preview", "One cluster, three problems, the first prompt, the tokens of a round."),
    "run": ("agent.commands.run", "Start an improvement loop, or go on with it."),
    "resume": ("agent.commands.run", "Go on with an interrupted run."),
    "review": ("agent.commands.review", "Look at what a paused run waits for; keep, change or refuse it."),
    "demo": ("agent.commands.run", "Run three rounds on scripted parts, in seconds: no model, no download."),
    "status": ("agent.commands.view", "Rounds, decisions and the sealed test of a run."),
    "report": ("agent.commands.view", "The whole story of a run, printed and as one page that opens offline."),
    "view": ("agent.commands.view", "Serve that page on this machine, and review in it."),
    "clusters": ("agent.commands.clusters", "Failure clusters of a round, with their trend; `clusters show ID`: one."),
    "diff": ("agent.commands.clusters", "What changed between two rounds: problems and clusters."),
    "diagnose": ("agent.commands.diagnose", "Cluster the failures of any model's recorded outputs; no student."),
    "show": ("agent.commands.view", "Any record of a run by its id: problem, attempt, cluster, draft, adapter."),
    "export": ("agent.commands.export", "Training data, adapter and cards for other tools; failures as a map."),
    "cache": ("agent.commands.cache", "What the request cache holds of each model; prune it."),
    "eval": ("agent.commands.measure", "Measure a model, with or without an adapter, on a problem file."),
    "compare": (
        "agent.commands.compare",
        "Arms against each other at equal budget, with error bars; or a file of scores.",
    ),
    "pretrain": ("agent.commands.measure", "Train a small base student from scratch on a validated mix."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when called, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in table order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when one is unknown."""
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"No command '{args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Short helps from the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: remedial demo (seconds), then remedial run -c examples/quickstart/config.yaml (minutes). "
    "With your own model: remedial init.",
)
@click.version_option(package_name="remedial")
def cli() -> None:
    """Find what a language model gets wrong, write verified practice for exactly that, anneal on it, repeat."""


def check_siblings() -> None:
    """Refuse to start where ``eval``, ``memory``, ... would be somebody else's packages.

    Raises:
        click.ClickException: naming the package and where the other one lies.
    """
    home = Path(__file__).resolve().parent.parent
    for name in ("synthesis", "training", "eval", "memory"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise click.ClickException(
                f"the package '{name}' that Python finds ({origin or 'nowhere'}) is not Remedial's own in {home}. "
                "Run from another folder, clear PYTHONPATH, or install Remedial in a virtual environment of its own."
            )


def main() -> None:
    """Entry point of the ``remedial`` command."""
    # A script run by path puts its own folder first; the current folder must not shadow our siblings either.
    try:
        check_siblings()
        cli.main(prog_name="remedial", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("Aborted.", err=True)
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except Exception as error:
        from memory.errors import RemedialError

        if not isinstance(error, RemedialError):
            raise
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
