"""The lineage of a record for people: one block a step, in order, the record that was asked for in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.terminal import one_line, safe, short

#: Records of a step that are printed; JSON has all.
LIMIT = 5
Line = Callable[..., None]


def print_record(found: dict[str, Any], console: Console) -> None:
    """The record's fields, then its lineage from `agent.report.show`."""

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    line(f"{found['id']}: {found['kind']}" + (f" in {found['place']}" if found["place"] else ""), "bold")
    if found["note"]:
        line(f"  {found['note']}")
    for key, value in (found["record"] or {}).items():
        if value not in (None, [], {}, "") and not (found["kind"] == "mixture" and key == "items"):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            line(f"  {key}: {_indented(safe(shown, 1200))}")
    line("lineage", "bold")
    for step in found["lineage"]:
        when = f", round {step['round']}" if step["round"] is not None else ""
        line(f"{step['what']}{when}" + (f" ({step['n']})" if step["n"] > 1 else ""), "bold")
        chosen = sorted(step["records"], key=lambda entry: not _is(entry, found["id"]))[:LIMIT]
        for entry in chosen:
            mark = "*" if _is(entry, found["id"]) else " "
            line(f" {mark}{_SENTENCES[step['what']](entry)}")
        if step["n"] > LIMIT:
            line(f"  ... {step['n'] - LIMIT} more: --json has all")


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _is(entry: dict[str, Any], record_id: str) -> bool:
    return bool(record_id == entry.get("id") or record_id == entry.get("draft_id"))


def _problem(entry: dict[str, Any]) -> str:
    return f"{short(entry['id'])} ({entry['split']}): {one_line(entry['statement'], 200)} = {_said(entry['answer'])}"


def _attempt(entry: dict[str, Any]) -> str:
    where = f"{entry['place']}, sample {entry['sample_index']}"
    said = "no answer" if entry["extracted"] is None else f"answer {_said(entry['extracted'])}"
    return f"{short(entry['id'])} at {short(entry['problem_id'])} ({where}): {entry['outcome']}, {said}"


def _cluster(entry: dict[str, Any]) -> str:
    label = one_line(entry["label"], 80)
    return f"{short(entry['id'])} {label}: {entry['failures']} of {entry['n']} failed, {entry['trend']}"


def _draft(entry: dict[str, Any]) -> str:
    problem = entry["problem"]
    by = f"{one_line(entry['strategy'], 40)} by {one_line(entry['teacher'], 60)}"
    text = f"{one_line(problem['statement'], 200)} = {_said(problem['answer'])}"
    return f"{short(entry['id'])} ({by}, for {short(entry['weakness_id'])}): {text}"


def _checks(entry: dict[str, Any]) -> str:
    word = {"yes": "accepted", "no": "refused", "undecided": "undecided"}[entry["accepted"]]
    asked = ", ".join(
        f"{check['verifier']} {check['outcome']}"
        + (f" ({one_line(check['reason'], 60)} {one_line(check['evidence'], 80)})" if check["reason"] else "")
        for check in entry["checks"]
    )
    why = f" for {one_line(entry['reason'], 80)}" if entry["reason"] else ""
    return f"{short(entry['draft_id'])} {word}{why}: {asked or 'no check was asked'}"


def _mixture(entry: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {origin}" for origin, n in sorted(entry["counts"].items()))
    total = sum(entry["counts"].values())
    held = f"; holds {len(entry['items'])} of this lineage" if len(entry["items"]) < total else ""
    positions = entry.get("positions") or []
    at = f", at position {', '.join(map(str, positions))}" if 0 < len(positions) <= 3 else ""
    return f"{entry['id']}: {counts}{held}{at}"


def _adapter(entry: dict[str, Any]) -> str:
    word = {True: "kept", False: "rolled back", None: "not decided yet"}[entry["kept"]]
    final = "; the run's final student" if entry["final"] else ""
    why = f" ({one_line(entry['decision'], 120)})" if entry["decision"] else ""
    return f"{entry['id']} in {entry['path']}: {word}{why}{final}"


def _said(text: str) -> str:
    return one_line(text, 60)


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "problem": _problem, "attempt": _attempt, "cluster": _cluster, "draft": _draft, "checks": _checks,
    "mixture": _mixture, "adapter": _adapter,
}  # fmt: skip
