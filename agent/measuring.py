"""One measurement outside a run: a model, perhaps an adapter, a problem file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agent.progress import Progress
from agent.report.status import accuracy
from eval.benchmarks.jsonl import ProblemSet
from eval.benchmarks.table import read_problems
from eval.engines.base import Sampling
from eval.grading import Grader
from eval.measure import measure
from memory.errors import ConfigError, DataError
from memory.ids import canonical_json
from memory.records import Split
from memory.store import write_atomic

KEYS = ("statement", "answer", "solution")


def evaluate(model: str, data_path: Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure and return a JSON-able report in points.

    Args:
        model: model folder or hub id.
        data_path: problem file.
        options: the command's options (format, adapter, columns, limit, sampling, engine settings, output).
        progress: where progress goes.

    Raises:
        UsageError: a missing file or column, a malformed line, a folder that is no adapter.
    """
    from agent.wiring import check_model_folder
    from eval.engines.hf import TransformersEngine

    columns = parse_columns(options["columns"])
    file_format = options["file_format"]
    if file_format == "auto":
        file_format = detect_format(data_path)
    problems = read_problems(data_path, file_format, columns=columns, split=Split.TEST, limit=options["limit"])
    check_model_folder(model)
    adapter = options["adapter"]
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise ConfigError(f"--adapter: {adapter} holds no adapter_config.json, so it is not a peft folder.")
    engine = TransformersEngine(
        model, adapter, batch_tokens=options["batch_tokens"], dtype=options["dtype"], device=options["device"]
    )
    sampling = Sampling(
        n=options["num_samples"],
        temperature=options["temperature"],
        max_new_tokens=options["max_new_tokens"],
        seed=options["seed"],
    )
    grader = Grader()
    try:
        with progress.step("eval", data_path.name) as step:
            step.start(len(problems), "problems")
            found = measure(ProblemSet(data_path.stem, problems, grader), engine, sampling, progress=step.advance)
    finally:
        grader.close()
        engine.close()
    if options["output"] is not None:
        lines = [canonical_json(attempt.model_dump(mode="json")) + "\n" for attempt in found.attempts]
        write_atomic(options["output"], "".join(lines))
    report = {key: value for key, value in accuracy(found.report).items() if value is not None}
    return {"benchmark": str(data_path), "model": model, "adapter": str(adapter) if adapter else None, **report}


def parse_columns(text: str) -> dict[str, str | None]:
    """``statement=problem,answer=target`` as a mapping, with the defaults for what is not named.

    Raises:
        ConfigError: not of that form, or an unknown key.
    """
    columns: dict[str, str | None] = {"statement": "question", "answer": "answer", "solution": None}
    for part in filter(None, (item.strip() for item in text.split(","))):
        key, sign, column = part.partition("=")
        if not sign or key not in KEYS:
            raise ConfigError(f"--columns {text}: write KEY=COLUMN with KEY one of {', '.join(KEYS)}.")
        columns[key] = column
    return columns


def detect_format(path: Path) -> Literal["jsonl", "gsm8k"]:
    """GSM8K's own format if the first row's answer ends in ``#### N``, else JSONL.

    Raises:
        DataError: no such file.
    """
    if not path.is_file():
        raise DataError(f"No problem file at {path}.")
    with path.open(encoding="utf-8", errors="replace") as handle:
        first = handle.readline()
    try:
        answer = json.loads(first).get("answer")
    except (ValueError, AttributeError):
        return "jsonl"
    last = answer.strip().splitlines()[-1] if isinstance(answer, str) and answer.strip() else ""
    return "gsm8k" if last.startswith("####") else "jsonl"
