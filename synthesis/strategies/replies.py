r"""Reads the problems of a teacher's reply, each with exactly one ``\boxed{}``, in its end, that holds its answer.

Owns a problem's form and the reasons for refusing it; the JSON around is `synthesis.strategies.envelope`'s. What a
teacher wrote is hostile: time and memory are bounded by the limits below, and nothing here raises on any text. Knows
nothing of weaknesses or of whether answers are right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval.answers import answer_type
from memory.records import TeacherReply
from synthesis.marks import find_mark
from synthesis.strategies.envelope import Fault, fault, read_envelope

MAX_STATEMENT = 4_000  # characters
MAX_SOLUTION = 12_000
MAX_ANSWER = 300

_BOX = re.compile(r"\\boxed\s*(?=\{)")
_WORDS = re.compile(r"[^\W_]")
_NEXT_SENTENCE = re.compile(r"[.!?]\s{1,9}[^\W\d_a-z]")


@dataclass(frozen=True)
class Item:
    """One problem as written."""

    statement: str
    solution: str
    answer: str


def read_reply(reply: TeacherReply, wanted: int) -> list[Item | Fault]:
    """Problems and faults in the order written; at most ``wanted`` problems are read.

    Reasons: those of `synthesis.strategies.envelope`, ``chat_mark``, ``no_box``, ``many_boxes``, ``not_final``,
    ``box_differs``, ``untyped``, ``repeated``.
    """
    envelope = read_envelope(reply)
    if isinstance(envelope, Fault):
        return [envelope]
    rows = envelope.problems
    found = _unrepeated([read_item(row) for row in rows[:wanted]])
    if len(rows) > wanted:
        found.append(fault("too_long", f"{len(rows)} problems where {wanted} were asked for; the rest is left out"))
    return found


def read_item(row: Any) -> Item | Fault:
    """One problem, or why it is none."""
    item = read_row(row, needed=("statement", "solution", "answer"))
    return item if isinstance(item, Fault) else _box_fault(item) or item


def read_row(row: Any, needed: Sequence[str] = ("statement", "solution")) -> Item | Fault:
    """Texts that can be trained on and of which the ``needed`` ones are not empty, whatever they say."""
    if not isinstance(row, dict):
        return fault("wrong_schema", f"a problem is not an object but {type(row).__name__}")
    texts = []
    for key, limit in (("statement", MAX_STATEMENT), ("solution", MAX_SOLUTION), ("answer", MAX_ANSWER)):
        text = row.get(key)
        if not isinstance(text, str):
            return fault("wrong_schema", f"{key} is missing" if text is None else f"{key} is a {type(text).__name__}")
        if not text.strip() and key in needed:
            return fault("empty", f"{key} is empty")
        if len(text) > limit:
            return fault("too_long", f"{key} has {len(text)} characters; at most {limit}")
        bad = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r"), None)
        if bad is not None:
            return fault("wrong_schema", f"{key} holds the control character U+{ord(bad):04X}")
        mark = find_mark(text)
        if mark is not None:
            return fault("chat_mark", f"{key} holds {mark!r}, which a chat template may take for the end of a message")
        texts.append(text.strip())
    return Item(*texts)


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


def is_final(solution: str) -> bool:
    """Whether the last box stands in the last sentence: no words on later lines, no sentence begun behind it."""
    starts = [match.end() + 1 for match in _BOX.finditer(solution)]
    if not starts:
        return False
    line, _, later = solution[_closing(solution, starts[-1]) + 1 :].partition("\n")
    return not _WORDS.search(later) and not _NEXT_SENTENCE.search(line)


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
        return fault("no_box", item.solution)
    if len(found) > 1:
        return fault("many_boxes", f"{len(found)} boxes")
    if not is_final(item.solution):
        return fault("not_final", f"text after the box: {item.solution[-80:]!r}")
    if found[0].split() != item.answer.split():
        return fault("box_differs", f"boxed {found[0][:60]!r}, answer {item.answer[:60]!r}")
    if answer_type(item.answer) is None:
        return fault("untyped", f"the answer {item.answer[:80]!r} is no number, expression, set, tuple or choice")
    return None


def _unrepeated(found: list[Item | Fault]) -> list[Item | Fault]:
    """Exact repetitions become faults: two drafts of one request would share an identity."""
    seen: set[tuple[str, str]] = set()
    result: list[Item | Fault] = []
    for item in found:
        if isinstance(item, Item):
            key = (" ".join(item.statement.lower().split()), item.answer)
            if key in seen:
                item = fault("repeated", item.statement)
            else:
                seen.add(key)
        result.append(item)
    return result
