"""``eval`` and ``pretrain``: measure any model on any problem file, and train a small base student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from memory.errors import Interrupted, UsageError


@click.command("eval")
@click.option("-m", "--model-name-or-path", "model", help="Model folder or hub id.")
@click.option("-d", "--data", "data_path", type=click.Path(path_type=Path), help="Problem file.")
@click.option(
    "--format", "file_format", type=click.Choice(["auto", "jsonl", "gsm8k"]), default="auto", show_default=True
)
@click.option("--adapter", type=click.Path(path_type=Path), help="peft folder on top of the model.")
@click.option("--columns", metavar="KEY=COLUMN,...", default="", help="e.g. statement=problem,answer=target")
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many problems.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--num-samples", type=click.IntRange(min=1), default=1, show_default=True, help="Samples a problem.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--batch-tokens", type=click.IntRange(min=64), default=32768, show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write every attempt to this JSONL file.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout, nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def eval_command(model: str | None, data_path: Path | None, **options: Any) -> None:
    """Measure a model, with or without an adapter, on a problem file (JSONL or GSM8K's own format)."""
    if model is None or data_path is None:
        raise UsageError("Say what to measure: remedial eval -m MODEL_FOLDER -d PROBLEMS.jsonl")
    from agent.measuring import evaluate
    from agent.progress import Progress
    from agent.report.terminal import interval

    progress = Progress(quiet=options["quiet"])
    try:
        with progress.listening():
            found = evaluate(model, data_path, options, progress)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted("Interrupted; nothing was written.") from error
    if options["as_json"]:
        click.echo(json.dumps(found, indent=2))
        return
    counts = ", ".join(f"{name} {n}" for name, n in found["counts"].items())
    click.echo(f"{found['benchmark']}: n = {found['n']}, accuracy {interval(found)} %; {counts}")


@click.command("pretrain")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="YAML recipe.")
@click.option("-o", "--output-dir", type=click.Path(path_type=Path), help="Model folder to write.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one key; may be repeated.")
@click.option("--seed", type=int, help="Seed of initialisation and order.")
@click.option("--overwrite", is_flag=True, help="Replace an existing model folder.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout, nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def pretrain_command(
    config_path: Path | None,
    output_dir: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a small base student from scratch on a validated mix, and write it as a model folder."""
    if config_path is None or output_dir is None:
        raise UsageError("Say what to train: remedial pretrain -c examples/quickstart/pretrain.yaml -o models/student")
    from agent.progress import Progress
    from training.pretrain import StepLog, load_pretrain_config, pretrain

    config = load_pretrain_config(config_path, overrides, seed)
    progress = Progress(quiet=quiet)
    try:
        with progress.listening(), progress.step("pretrain", "train") as bar:
            seen = 0

            def report(entry: StepLog) -> None:
                nonlocal seen
                if seen == 0:
                    bar.start(entry.steps, "steps")
                bar.advance(entry.step - seen)
                seen = entry.step

            found = pretrain(config, output_dir=output_dir, progress=report, overwrite=overwrite)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Interrupted; {output_dir} was not written.") from error
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(
            f"{output_dir}: {found['parameters']:,} parameters, {found['tokens']:,} tokens "
            f"in {found['seconds']:.0f} s, loss {found['loss']:.4f}"
        )
