"""The JSON around a teacher's problems: found, read, or refused with a reason.

Owns the envelope's form, ``{"misconception": str, "problems": [...]}``, and what is forgiven around it. What a teacher
wrote is hostile: time is linear in its length and nothing here raises on any text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory.records import Finish, TeacherReply

MAX_REPLY = 1_000_000  # characters
MAX_MISCONCEPTION = 300
EVIDENCE = 160
_MOST_TRIED = 8  # objects tried in a text that is not JSON as a whole

# Teachers often forget to double the backslash of LaTeX in JSON, where \b, \f, \n, \r and \t mean something else.
_LATEX = r"boxed|[dt]?frac|times|cdot|div|sqrt|text|left|right|leq?|geq?|neq?|pi|quad|approx|implies"
_SINGLE = re.compile(rf"(?<!\\)((?:\\\\)*)\\(?=(?:{_LATEX})(?![a-zA-Z]))")
_OPENS = re.compile(r'\{\s*"(?:misconception|problems)"')
_END_OF_THOUGHT = "</think>"
_ESCAPE = re.compile(r"\\(.)")
_CONTROLS = {char: f"\\u{ord(value):04x}" for char, value in zip("bfnrt", "\b\f\n\r\t", strict=True)}
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Fault:
    """Why a reply, or one problem of it, cannot be used."""

    reason: str
    evidence: str


@dataclass(frozen=True)
class Envelope:
    """A readable reply: at least one row, each anything JSON can hold, and the misconception if there is one."""

    problems: list[Any]
    misconception: str | None = None


def read_envelope(reply: TeacherReply) -> Envelope | Fault:
    """The envelope, or why it cannot be read.

    Forgiven: a code fence, text before and after the object, reasoning that ends in ``</think>``, raw control
    characters in strings, LaTeX with single backslashes. Reasons: ``teacher_error``, ``truncated``, ``too_long``,
    ``not_json``, ``wrong_schema``, ``empty``.
    """
    if reply.error is not None:
        return fault("teacher_error", reply.error)
    if len(reply.text) > MAX_REPLY:
        return fault("too_long", f"a reply of {len(reply.text)} characters; {MAX_REPLY} are read")
    cut = reply.finish is not Finish.STOP
    if not reply.text.strip():
        return fault("truncated" if cut else "empty", "the reply has no text")
    text = _SINGLE.sub(r"\1\\\\", reply.text)
    try:
        found: Any = json.loads(_unfenced(_after_thought(text)), strict=False)
    except (ValueError, RecursionError) as error:
        # Reasoning may speak of "</think>" inside the object, so the whole text is searched too.
        found = next((item for part in (_after_thought(text), text) for item in _objects(part)), None)
        if found is None:
            where = f"{type(error).__name__}: {error} in {reply.text[:80]!r}"
            return fault("truncated" if cut else "not_json", where)
    rows = found.get("problems") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        return fault("wrong_schema", 'the reply is not {"problems": [...]}')
    if not rows:
        return fault("empty", "the list of problems is empty")
    return Envelope(rows, _sentence(found.get("misconception")))


def write_envelope(rows: Sequence[Mapping[str, str]]) -> str:
    r"""The text of a reply with these problems, of which `read_envelope` makes exactly these again.

    Control characters stand as ``\u000a``, not ``\n``: before an ``e`` that would be read as a forgotten ``\\ne``.
    """
    text = json.dumps({"problems": list(rows)}, ensure_ascii=False)
    return _ESCAPE.sub(lambda match: _CONTROLS.get(match.group(1), match.group()), text)


def misconception_of(reply: TeacherReply) -> str | None:
    """The teacher's sentence about what the student gets wrong; None where there is none."""
    envelope = read_envelope(reply)
    return envelope.misconception if isinstance(envelope, Envelope) else None


def fault(reason: str, evidence: str) -> Fault:
    """A fault whose evidence is short and can be stored as UTF-8 (lone surrogates cannot)."""
    return Fault(reason, evidence[:EVIDENCE].encode("utf-8", "backslashreplace").decode("utf-8"))


def _sentence(value: Any) -> str | None:
    """One line of at most 300 characters without control, format and surrogate characters."""
    if not isinstance(value, str):
        return None
    spaced = " ".join(value[: 10 * MAX_MISCONCEPTION].split())
    kept = "".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return kept[:MAX_MISCONCEPTION].strip() or None


def _after_thought(text: str) -> str:
    return text.rpartition(_END_OF_THOUGHT)[2]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects that begin like an envelope, the last first: a model may repeat the form before it fills it."""
    starts = [match.start() for match in _OPENS.finditer(text)]
    for start in reversed(starts[-_MOST_TRIED:]):
        try:
            found, _ = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("problems"), list):
            yield found


def _unfenced(text: str) -> str:
    """The text without a code fence around it. No regular expression: one with blanks would take quadratic time."""
    text = text.strip()
    if not text.startswith("```"):
        return text
    return text.partition("\n")[2].removesuffix("```")
