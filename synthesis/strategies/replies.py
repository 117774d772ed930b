r"""Reads a teacher's reply: a JSON envelope of problems, each with exactly one ``\boxed{}`` that holds its answer.

Owns the reply's form and the reasons for refusing it. What a teacher wrote is hostile: time and memory are bounded
by the limits below, and nothing here raises on any text. Knows nothing of weaknesses or of whether answers are right.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from memory.records import Finish, TeacherReply

MAX_REPLY = 1_000_000  # characters
MAX_STATEMENT = 4_000
MAX_SOLUTION = 12_000
MAX_ANSWER = 300
EVIDENCE = 160

# Teachers often forget to double the backslash of LaTeX in JSON, where \b, \f, \n, \r and \t mean something else.
_LATEX = r"boxed|[dt]?frac|times|cdot|div|sqrt|text|left|right|leq?|geq?|neq?|pi|quad|approx|implies"
_SINGLE = re.compile(rf"(?<!\\)((?:\\\\)*)\\(?=(?:{_LATEX})(?![a-zA-Z]))")
_BOX = re.compile(r"\\boxed\s*(?=\{)")


@dataclass(frozen=True)
class Item:
    """One problem as written."""

    statement: str
    solution: str
    answer: str


@dataclass(frozen=True)
class Fault:
    """Why a reply, or one problem of it, cannot be used."""

    reason: str
    evidence: str


def read_reply(reply: TeacherReply, wanted: int) -> list[Item | Fault]:
    """Problems and faults in the order written; at most ``wanted`` problems are read.

    Reasons: ``teacher_error``, ``truncated``, ``too_long``, ``not_json``, ``wrong_schema``, ``empty``, ``no_box``,
    ``many_boxes``, ``box_differs``, ``repeated``.
    """
    if reply.error is not None:
        return [_fault("teacher_error", reply.error)]
    if len(reply.text) > MAX_REPLY:
        return [_fault("too_long", f"a reply of {len(reply.text)} characters; {MAX_REPLY} are read")]
    cut = reply.finish is not Finish.STOP
    if not reply.text.strip():
        return [_fault("truncated" if cut else "empty", "the reply has no text")]
    try:
        envelope: Any = json.loads(_SINGLE.sub(r"\1\\\\", _unfenced(reply.text)), strict=False)
    except (ValueError, RecursionError) as error:
        return [_fault("truncated" if cut else "not_json", f"{type(error).__name__}: {error} in {reply.text[:80]!r}")]
    rows = envelope.get("problems") if isinstance(envelope, dict) else None
    if not isinstance(rows, list):
        return [_fault("wrong_schema", 'the reply is not {"problems": [...]}')]
    if not rows:
        return [_fault("empty", "the list of problems is empty")]
    found = _unrepeated([read_item(row) for row in rows[:wanted]])
    if len(rows) > wanted:
        found.append(_fault("too_long", f"{len(rows)} problems where {wanted} were asked for; the rest is left out"))
    return found


def read_item(row: Any) -> Item | Fault:
    """One problem, or why it is none."""
    if not isinstance(row, dict):
        return _fault("wrong_schema", f"a problem is not an object but {type(row).__name__}")
    texts = []
    for key, limit in (("statement", MAX_STATEMENT), ("solution", MAX_SOLUTION), ("answer", MAX_ANSWER)):
        text = row.get(key)
        if not isinstance(text, str):
            return _fault("wrong_schema", f"{key} is missing" if text is None else f"{key} is a {type(text).__name__}")
        if not text.strip():
            return _fault("empty", f"{key} is empty")
        if len(text) > limit:
            return _fault("too_long", f"{key} has {len(text)} characters; at most {limit}")
        bad = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r"), None)
        if bad is not None:
            return _fault("wrong_schema", f"{key} holds the control character U+{ord(bad):04X}")
        texts.append(text.strip())
    item = Item(*texts)
    return _box_fault(item) or item


def boxes(text: str) -> list[str]:
    r"""The content of every ``\boxed{...}``, outermost braces matched; one that is never closed counts as ''."""
    found = []
    end = 0
    for match in _BOX.finditer(text):
        if match.start() < end:  # a box within a box is content
            continue
        start = match.end() + 1
        end = _closing(text, start)
        found.append(text[start:end].strip() if end < len(text) else "")
    return found


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the one before ``start``; the text's length where there is none."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def _box_fault(item: Item) -> Fault | None:
    found = boxes(item.solution)
    if not found:
        return _fault("no_box", item.solution)
    if len(found) > 1:
        return _fault("many_boxes", f"{len(found)} boxes")
    if found[0].split() != item.answer.split():
        return _fault("box_differs", f"boxed {found[0][:60]!r}, answer {item.answer[:60]!r}")
    return None


def _unrepeated(found: list[Item | Fault]) -> list[Item | Fault]:
    """Exact repetitions become faults: two drafts of one request would share an identity."""
    seen: set[tuple[str, str]] = set()
    result: list[Item | Fault] = []
    for item in found:
        if isinstance(item, Item):
            key = (" ".join(item.statement.lower().split()), item.answer)
            if key in seen:
                item = _fault("repeated", item.statement)
            else:
                seen.add(key)
        result.append(item)
    return result


def _unfenced(text: str) -> str:
    """The text without a code fence around it. No regular expression: one with blanks would take quadratic time."""
    text = text.strip()
    if not text.startswith("```"):
        return text
    return text.partition("\n")[2].removesuffix("```")


def _fault(reason: str, evidence: str) -> Fault:
    # Lone surrogates cannot be stored as UTF-8, and evidence is stored.
    return Fault(reason, evidence[:EVIDENCE].encode("utf-8", "backslashreplace").decode("utf-8"))
