"""``compare``: arms of an experiment against each other, run here or read from a file of scores."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.options import config_option, json_option, set_option
from memory.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from agent.comparison.design import Design
    from agent.config import RunConfig


@click.command("compare")
@config_option
@click.option("--arms", metavar="A,B,...", help="Strategies to run, or arms of --scores. The first meets each other.")
@click.option("--preset", metavar="NAME", help="better-data: validated data against web-like text (draft.web).")
@click.option("--seeds", default="3", show_default=True, metavar="N | A,B,...", help="So many seeds, or these.")
@click.option("--budgets", metavar="N,N,...", help="Learning curves at these numbers of new examples.")
@click.option("--curve-arms", metavar="A,B,...", help="Run only these at the further budgets. [default: all]")
@click.option("--curve-seeds", type=click.IntRange(min=1), help="... with so many of the seeds. [default: all]")
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="Rounds of every unit.")
@click.option("--baseline", metavar="ARM", help="Compare each arm with this one instead.")
@click.option(
    "--alpha",
    type=click.FloatRange(min=0, max=0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Error rate of all verdicts together, and of each interval.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Units run side by side.")
@click.option("-o", "--output-dir", type=click.Path(path_type=Path), help="Folder. [default: runs/<name>-compare]")
@set_option
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many problems of each of probe, dev and test.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan and what it could find, run nothing.")
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE.csv", help="Results of elsewhere instead.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write the page here.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def compare_command(scores: Path | None, as_json: bool, **options: Any) -> None:
    """Compare arms over items and seeds: means, paired differences with intervals, verdicts.

    With -c the arms are run, each from the same student, teacher, data and checks, at equal budget; run again, the
    same command goes on where it was stopped. With --scores, results of elsewhere (columns item, arm, seed, correct)
    are compared.
    """
    if scores is not None:
        _from_scores(scores, as_json, options)
        return
    config, design, folder, command = _planned(options)
    run_design(
        config,
        design,
        folder,
        command=command,
        workers=options["workers"],
        dry_run=options["dry_run"],
        html=options["html"],
        as_json=as_json,
        quiet=options["quiet"],
    )


def run_design(
    config: RunConfig,
    design: Design,
    folder: Path,
    *,
    command: str,
    workers: int = 1,
    dry_run: bool = False,
    html: Path | None = None,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Check, say what can be found, run what is unfinished, write and print the result.

    Raises:
        Interrupted: Ctrl-C, with the command that goes on.
        UsageError: bad input, before anything is spent.
    """
    from agent.comparison.design import expected_effect, in_words
    from agent.comparison.results import assemble, write_result
    from agent.comparison.runner import check_comparison, run_comparison
    from agent.progress import Progress

    data = check_comparison(config, design, folder)
    expected = expected_effect(design, len(data.test))
    planned = {
        "arms": list(design.arms),
        "seeds": list(design.seeds),
        "budgets": list(design.all_budgets),
        "units": len(design.units),
        "rounds": design.rounds,
        "detectable": expected,
    }
    if dry_run:
        words = [f"{name}: {value}" for name, value in planned.items() if name != "detectable"]
        click.echo(
            json.dumps(planned, indent=2) if as_json else "\n".join([*words, in_words(expected, len(design.pairs))])
        )
        return
    progress = Progress(quiet=quiet)
    progress.line(f"{len(design.units)} units. {in_words(expected, len(design.pairs))}")
    try:
        with progress.listening():
            run_comparison(config, design, folder, progress, workers=workers, data=data, command=command)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Interrupted; finished units are kept. Go on with: remedial resume {folder}") from error
    found = assemble(folder, config, design, command)
    write_result(folder, design, found)
    _show(found, as_json, html)


def _from_scores(scores: Path, as_json: bool, options: dict[str, Any]) -> None:
    from agent.comparison.design import parse_names
    from agent.comparison.tables import Choice, compare_scores

    if options["config_path"] is not None:
        raise UsageError("give -c CONFIG (arms that are run here) or --scores FILE (results of elsewhere), not both")
    chosen = None if options["arms"] is None else parse_names(options["arms"], "--arms")
    _show(compare_scores(scores, Choice(chosen, options["baseline"], options["alpha"])), as_json, options["html"])


def _planned(options: dict[str, Any]) -> tuple[RunConfig, Design, Path, str]:
    """Config, design, folder and the command that repeats it."""
    from agent.comparison.design import PRESETS, Design, parse_names, parse_numbers, parse_seeds
    from agent.config import load_config

    path, preset = options["config_path"], options["preset"]
    if preset is not None and (preset not in PRESETS or options["arms"] is not None):
        raise UsageError(
            f"--preset {preset} with --arms: a preset names the arms itself; give one of the two."
            if preset in PRESETS
            else f"no preset {preset!r}; there is {', '.join(PRESETS)}."
        )
    if path is None or (options["arms"] is None and preset is None):
        raise UsageError(
            "Say what to compare: remedial compare -c CONFIG.yaml --arms targeted,random,replay --seeds 5, or results "
            "of elsewhere: remedial compare --scores FILE.csv (columns item, arm, seed, correct)."
        )
    limit = options["limit"]
    limits = [] if limit is None else [f"data.{split}.limit={limit}" for split in ("probe", "dev", "test")]
    config = load_config(path, [*options["overrides"], *limits])
    arms = parse_names(options["arms"], "--arms") if preset is None else PRESETS[preset]
    budgets = () if options["budgets"] is None else tuple(sorted(set(parse_numbers(options["budgets"], "--budgets"))))
    several = options["curve_arms"]
    curve_arms = () if not budgets else arms if several is None else parse_names(several, "--curve-arms")
    budget = config.allocate.new_examples
    design = Design(
        arms=arms,
        seeds=parse_seeds(options["seeds"], config.seed),
        budget=budget if not budgets or budget in budgets else budgets[-1],
        budgets=budgets,
        curve_arms=curve_arms,
        curve_seeds=options["curve_seeds"],
        rounds=options["rounds"],
        baseline=options["baseline"],
        alpha=options["alpha"],
    )
    folder = options["output_dir"] or Path("runs") / f"{config.name or path.stem}-compare"
    return config, design, folder, _command(options, design, folder)


def _command(options: dict[str, Any], design: Design, folder: Path) -> str:
    words = ["remedial", "compare", "-c", str(options["config_path"]), "--arms", ",".join(design.arms)]
    words += ["--seeds", ",".join(map(str, design.seeds)) + ("," if len(design.seeds) == 1 else "")]
    if design.budgets:
        words += ["--budgets", ",".join(map(str, design.budgets)), "--curve-arms", ",".join(design.curve_arms)]
    words += [] if design.curve_seeds is None else ["--curve-seeds", str(design.curve_seeds)]
    words += ["--rounds", str(design.rounds), "--alpha", f"{design.alpha:g}", "-o", str(folder)]
    words += [] if design.baseline is None else ["--baseline", design.baseline]
    words += [] if options["limit"] is None else ["--limit", str(options["limit"])]
    for item in options["overrides"]:
        words += ["--set", item]
    return shlex.join(words)


def _show(found: dict[str, Any], as_json: bool, html: Path | None) -> None:
    if html is not None:
        from agent.report.comparison_page import write_page

        write_page(found, html)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    from agent.report.comparison import print_comparison

    print_comparison(found, Console())
