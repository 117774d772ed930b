"""A first config for a user's own student, teacher and data: every key of the schema, the others commented out.

Owns the text. Keys, defaults, choices and descriptions come from the schema itself, so that none can be out of date.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config import RunConfig

SPLITS = ("probe", "dev", "test", "replay")
WIDTH = 118

#: What each section is for; the defaults stand with the keys.
ABOUT: Mapping[str, str] = {
    "student": "The model to improve: a folder, or a hub id. With engine openai a vLLM server answers (it needs "
    "--enable-lora, --max-lora-rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True); what is trained is still "
    "model_name_or_path.",
    "teacher": "Who writes the practice: a model behind one or more OpenAI-compatible endpoints. The key itself stands "
    "in an environment variable, never here. Without prices no money is reported.",
    "data": "JSONL files, a problem a line. probe feeds diagnosis and drafting, dev decides, test is opened once, "
    "after the loop has stopped; no problem may stand in two of them. replay is validated data whose solutions end in "
    "\\boxed{...}; guard_size of its problems are held out as the guard.",
    "probe": "How the student is asked on the probe split: greedy by default.",
    "diagnose": "How failures are embedded and clustered.",
    "allocate": "How many accepted new examples a round wants, and how they are split over the clusters.",
    "draft": "What is asked of the teacher; overdraft times the wanted number, since some are refused.",
    "verify": "Which checks a draft must pass. agreement (the teacher solves it again), second_family (another model "
    "does), difficulty (the student tries it) and program (a program's answer) ask a model; the others cost nothing.",
    "mix": "Shares of new and replayed examples in training; they sum to 1.",
    "anneal": "LoRA training of a round. With start_from last the rounds' adapters are stacked and their ranks add up: "
    "lora_r x loop.max_rounds must fit the --max-lora-rank of a server.",
    "decide": "When a round's adapter is kept: a paired test on dev, and a guard that may not fall.",
    "loop": "When the loop ends, and what it may spend; null is no limit.",
}
#: Sections that have no default: an example, which passes the schema.
EXAMPLES: Mapping[str, dict[str, Any]] = {
    "teacher.prices": {
        "currency": "USD",
        "as_of": "2026-01-31",
        "prompt_per_million": 0.5,
        "completion_per_million": 1.5,
        "cached_per_million": 0.25,
    },
    "draft.web": {"path": "web.jsonl"},
    "draft.retrieval": {"corpus": {"path": "corpus.jsonl"}, "index": "auto", "solutions": "corpus"},
    "verify.second_family": {"model": "another-model", "base_urls": ["http://127.0.0.1:8002/v1"]},
}


@dataclass(frozen=True)
class Answers:
    """What the user said; paths as they shall stand in the file."""

    student: str
    teacher_model: str
    base_urls: tuple[str, ...]
    api_key_env: str | None
    data: Mapping[str, dict[str, Any]]
    gpu: bool | None = None
    name: str | None = None
    embedder: str | None = None


def describe_file(path: Path, shown: str) -> dict[str, Any]:
    """The data entry of a file: its format and columns, guessed from its first line where there is one.

    Args:
        path: where it is.
        shown: how the config names it.
    """
    row = _first_row(path)
    entry: dict[str, Any] = {"path": shown}
    if isinstance(row.get("answer"), str) and isinstance(row.get("question"), str) and "\n#### " in row["answer"]:
        return {**entry, "format": "gsm8k"}
    columns = {role: next((name for name in names if name in row), None) for role, names in _COLUMNS.items()}
    if columns["statement"] and columns["answer"] and columns != _DEFAULT_COLUMNS:
        entry["columns"] = columns
    return entry


_COLUMNS = {
    "statement": ("question", "problem", "statement", "prompt", "input"),
    "answer": ("answer", "target", "final_answer", "expected_answer", "label"),
    "solution": ("solution", "rationale", "worked", "response", "output"),
}
_DEFAULT_COLUMNS = {role: names[0] for role, names in _COLUMNS.items()}


def _first_row(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8-sig") as handle:
            row = json.loads(handle.readline(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}  # validate says what is wrong with it
    return row if isinstance(row, dict) else {}


def relative(path: Path, config: Path) -> str:
    """A path as a config names it: from the config's own folder, or in full where that is somewhere else."""
    found = Path(os.path.relpath(path.resolve(), config.resolve().parent))
    return found.as_posix() if found.parts[:2] != ("..", "..") else path.resolve().as_posix()


def render(answers: Answers) -> str:
    """The config's text."""
    from training.anneal import AnnealConfig

    chosen = _chosen(answers)
    lines = [
        "# A run of Remedial. Paths are relative to this file. A line that begins with # and a key, without a blank",
        "# between them, shows that key's default: take the # away (and its section's, where that has one) to change",
        "# it. Any key can also be set from the command line: --set loop.max_rounds=2. A typo is an error that names",
        "# the key it meant.",
        "",
    ]
    plain = [name for name in RunConfig.model_fields if name not in ABOUT]
    lines += _fields(RunConfig, chosen, "", 0, only=plain)
    for name, about in ABOUT.items():
        model = AnnealConfig if name == "anneal" else _model_of(RunConfig.model_fields[name])
        assert model is not None
        lines += ["", *_wrapped(about)]
        inner = list(_fields(model, chosen.get(name, {}), name, 1))
        lines.append(f"{name}:" if any(not line.lstrip().startswith("#") for line in inner) else f"#{name}:")
        lines += inner
    return "\n".join(lines) + "\n"


def _chosen(answers: Answers) -> dict[str, Any]:
    device = {None: {}, True: {"device": "cuda", "dtype": "bfloat16"}, False: {"device": "cpu", "dtype": "float32"}}
    teacher = {"kind": "llm", "model": answers.teacher_model, "base_urls": list(answers.base_urls)}
    return {
        **({"name": answers.name} if answers.name else {}),
        "student": {"model_name_or_path": answers.student, **device[answers.gpu]},
        "teacher": {**teacher, **({"api_key_env": answers.api_key_env} if answers.api_key_env else {})},
        "data": dict(answers.data),
        "diagnose": {"model_name_or_path": answers.embedder} if answers.embedder else {},
        "verify": {"verifiers": ["algebra", "duplicate", "contamination", "agreement"]},
        "anneal": {"dtype": "bfloat16"} if answers.gpu else {},
    }


def _fields(
    model: type[BaseModel], chosen: Mapping[str, Any], where: str, depth: int, only: Sequence[str] | None = None
) -> Iterator[str]:
    """The lines of one model: chosen keys first, then the others behind a #."""
    names = [name for name in (only or model.model_fields) if name in model.model_fields]
    for name in [*(name for name in chosen if name in names), *(name for name in names if name not in chosen)]:
        field = model.model_fields[name]
        yield from _field(name, field, chosen.get(name), name in chosen, f"{where}.{name}".lstrip("."), depth)


def _field(name: str, field: FieldInfo, value: Any, active: bool, where: str, depth: int) -> Iterator[str]:
    pad, inner = "  " * depth, _model_of(field)
    example = EXAMPLES.get(where)
    if active:
        yield _line(f"{pad}{name}: {_flow(value)}", _note(field))
    elif example is not None:
        yield _line(f"{pad}#{name}:", "for example")
        yield from (f"{pad}#  {key}: {_flow(item)}" for key, item in example.items())
    elif inner is not None and not field.is_required():
        yield _line(f"{pad}#{name}:", _note(field))
        for line in _fields(inner, {}, where, 0):
            yield f"{pad}#  {line.lstrip().removeprefix('#')}"
    elif not field.is_required():
        yield _line(f"{pad}#{name}: {_flow(field.get_default(call_default_factory=True))}", _note(field))


def _note(field: FieldInfo) -> str:
    choices = [str(item) for item in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
    parts = [f"one of: {', '.join(choices)}" if choices else "", field.description or ""]
    return "; ".join(part for part in parts if part)


def _line(text: str, note: str) -> str:
    return f"{text}  # {note}" if note else text


def _flow(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _wrapped(text: str) -> list[str]:
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]
