"""``diagnose``: cluster the failures of recorded outputs of any model; no student, no run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from agent.commands.options import json_option
from memory.errors import Interrupted, UsageError


@click.command("diagnose")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["auto", "run", "lm-eval", "gsm8k-solutions", "jsonl"]),
    default="auto",
    show_default=True,
    help="What FILE is; auto looks at its first row.",
)
@click.option("--problem", metavar="COLUMN", help="Column of the problem; dots lead inside: doc.question")
@click.option("--answer", metavar="COLUMN", help="Column of the gold answer, short or worked ('#### 72').")
@click.option("--output", "outputs", multiple=True, metavar="COLUMN", help="Column of outputs; each repeat is a model.")
@click.option("--correct", multiple=True, metavar="COLUMN", help="The file's own verdict, once for each --output.")
@click.option("--finish", metavar="COLUMN", help="Why generation stopped: stop, length or error.")
@click.option("--model-column", metavar="COLUMN", help="Column that names the model of a row.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Whose outputs; may be repeated; all for each.")
@click.option("--filter", "filter_name", metavar="NAME", help="Filter of lm-evaluation-harness. [default: the first]")
@click.option("--problems", type=click.Path(path_type=Path), help="Problem file, for attempts outside a run folder.")
@click.option("--last-number", is_flag=True, help="An output that marks no answer is taken by its last number.")
@click.option("--embedder", metavar="MODEL", help="Folder, hub id, package:NAME or hashing. [default: MiniLM]")
@click.option("--cache", type=click.Path(path_type=Path), help="Embeddings. [default: runs/cache/embeddings.sqlite]")
@click.option("--k", metavar="K", default="auto", show_default=True, help="Number of clusters.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the clustering.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many problems.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def diagnose_command(file: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Cluster the failures in FILE: recorded outputs of any model, no student needed.

    FILE is JSONL: a run's own records (round-00/probe.jsonl), samples_*.jsonl of lm-evaluation-harness, GSM8K's example
    solutions, or any file with columns for problem, gold answer and output.
    """
    if file is None:
        raise UsageError(
            "Say which file: remedial diagnose OUTPUTS.jsonl --problem question --answer gold --output model_output"
        )
    from agent.progress import Progress
    from agent.recorded.base import Asked
    from agent.recorded.diagnosing import DEFAULT_CACHE, DEFAULT_EMBEDDER, diagnose_file

    asked = Asked(
        problem=options["problem"],
        answer=options["answer"],
        outputs=options["outputs"],
        correct=options["correct"],
        finish=options["finish"],
        model_column=options["model_column"],
        filter=options["filter_name"],
        problems=options["problems"],
    )
    progress = Progress(quiet=quiet)
    try:
        with progress.listening():
            found = diagnose_file(
                file,
                asked,
                fmt=options["fmt"],
                models=options["models"],
                embedder=options["embedder"] or DEFAULT_EMBEDDER,
                cache=options["cache"] or DEFAULT_CACHE,
                k=_number_of_clusters(options["k"]),
                seed=options["seed"],
                limit=options["limit"],
                last_number=options["last_number"],
                progress=progress,
            )
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted("Interrupted; nothing was written.") from error
    if as_json:
        text = json.dumps(found[0] if len(found) == 1 else {"models": found}, indent=2, ensure_ascii=False)
        click.echo(text.encode("utf-8", "replace").decode("utf-8"))  # half surrogates cannot be written
        return
    from rich.console import Console

    from agent.report.recorded import print_diagnosis

    console = Console()
    for at, one in enumerate(found):
        if at:
            console.print()
        print_diagnosis(one, console)


def _number_of_clusters(text: str) -> Any:
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 10_000):
        raise UsageError(f"--k {text}: give auto, or a number of clusters from 1 to 10000.")
    return int(text)
