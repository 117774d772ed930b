"""Any record of a run by its id, with what the run knows around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.terminal import safe
from memory.errors import UsageError
from memory.store import RunFolder


def show(run: RunFolder, record_id: str) -> dict[str, Any]:
    """The record whose id is or begins with ``record_id``, and every stored place that mentions it.

    Raises:
        UsageError: no such record, or several.
    """
    records: dict[str, dict[str, Any]] = {}
    if len(record_id) < 3:
        raise UsageError(f"'{record_id}' is too short for an id; give at least its first three characters.")
    for place, record in _all_records(run):
        for found in _with_ids(record):
            if found["id"].startswith(record_id):
                records.setdefault(found["id"], {"place": place, "record": found})
    if not records:
        raise UsageError(f"{run.path} has no record '{record_id}'. Ids are listed by `remedial clusters --json`.")
    if len(records) > 1 and record_id not in records:
        some = ", ".join(sorted(records)[:5])
        raise UsageError(f"'{record_id}' fits {len(records)} records ({some} ...); give more of the id.")
    full = record_id if record_id in records else next(iter(records))
    return {"run": str(run.path), "id": full, **records[full], "mentioned_in": list(_mentions(run, full))}


def _all_records(run: RunFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    for marker in sorted(run.path.glob("*/*.done")):
        stage, step = marker.parent.name, marker.name.removesuffix(".done")
        for line in run.read(stage, step):
            yield f"{stage}/{step}", json.loads(line)


def _with_ids(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary with an ``id`` inside a record; those that hold text come before bare mentions."""
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            yield value
        for item in value.values():
            yield from _with_ids(item)
    elif isinstance(value, list):
        for item in value:
            yield from _with_ids(item)


def _mentions(run: RunFolder, full: str) -> Iterator[dict[str, Any]]:
    """Where the id stands: whole small records (attempts, verdicts, drafts), else the place only."""
    for place, record in _all_records(run):
        for part in _parts(record):
            text = json.dumps(part)
            if f'"{full}"' in text and part.get("id") != full:
                yield (
                    {"place": place, "record": part} if len(text) < 4000 else {"place": place, "record": part.get("id")}
                )


def _parts(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A record split where it holds lists of records, so that a mention is small."""
    lists = [item for key in ("attempts", "drafts", "weaknesses", "allotments") for item in record.get(key) or []]
    if lists:
        yield from lists
    else:
        yield record


def print_record(found: dict[str, Any], console: Console) -> None:
    """The record's fields, then where else it stands."""
    console.print(Text(f"{found['id']} in {found['place']}"), style="bold")
    _print_fields(found["record"], console)
    for mention in found["mentioned_in"]:
        console.print(Text(f"mentioned in {mention['place']}"), style="bold")
        if isinstance(mention["record"], dict):
            _print_fields(mention["record"], console)


def _print_fields(record: dict[str, Any], console: Console) -> None:
    for key, value in record.items():
        if value not in (None, [], {}, "") and key != "schema_version":
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            console.print(Text(f"  {key}: {safe(shown, 1200)}"), soft_wrap=True)
