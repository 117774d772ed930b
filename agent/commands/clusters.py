"""``clusters``, ``clusters show`` and ``diff``: they read a run folder and load no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.commands.options import emit, json_option

run_option = click.option(
    "--run", type=click.Path(path_type=Path), help="Run folder. [default: the latest under runs/]"
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Entries of each list; JSON has all."
)


@click.command("show")
@click.argument("cluster_id", metavar="ID")
@run_option
@click.option("--round", "round_index", type=click.IntRange(min=0), help="Look in this round only.")
@limit_option
@json_option
def cluster_show_command(cluster_id: str, run: Path | None, round_index: int | None, limit: int, as_json: bool) -> None:
    """One cluster in full: ID as `remedial clusters` prints it, or a unique beginning of it.

    Failed problems with gold and student answers side by side, what was written for it, what was refused and why, and
    how many of its problems the next round's probe solves.
    """
    from rich.console import Console

    from agent.report.cluster_detail import cluster_detail, print_cluster
    from agent.report.status import find_run, open_run

    found = cluster_detail(open_run(find_run(run)), cluster_id, round_index)
    if as_json:
        emit(found)
    else:
        print_cluster(found, Console(), limit)


class ClustersCommand(click.Command):
    """``clusters [RUN]``, and ``clusters show ID``; a run folder named show is reached as ./show."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of `cluster_show_command` where the first word is ``show``."""
        if args[:1] == ["show"]:
            return cluster_show_command.make_context(f"{info_name} show", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Both forms."""
        return [*super().collect_usage_pieces(ctx), "|", "show ID"]


@click.command("clusters", cls=ClustersCommand)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--round", "round_index", type=click.IntRange(min=0), help="Round number. [default: the latest]")
@json_option
def clusters_command(run: Path | None, round_index: int | None, as_json: bool) -> None:
    """Failure clusters of a round: name, size, failure rate with interval, trend, share of the budget, examples.

    `remedial clusters show ID` shows one of them in full (see `remedial clusters show --help`).
    """
    from rich.console import Console

    from agent.report.clusters import clusters, print_clusters
    from agent.report.status import find_run, open_run

    found = clusters(open_run(find_run(run)), round_index)
    if as_json:
        emit(found)
    else:
        print_clusters(found, Console())


@click.command("diff")
@click.argument("first", metavar="R1", type=click.IntRange(min=0))
@click.argument("second", metavar="R2", type=click.IntRange(min=0))
@run_option
@limit_option
@json_option
def diff_command(first: int, second: int, run: Path | None, limit: int, as_json: bool) -> None:
    """What changed between rounds R1 and R2 of a run: problems newly failing, solved and still failing, clusters."""
    from rich.console import Console

    from agent.report.diff import diff, print_diff
    from agent.report.status import find_run, open_run

    found = diff(open_run(find_run(run)), first, second)
    if as_json:
        emit(found)
    else:
        print_diff(found, Console(), limit)
