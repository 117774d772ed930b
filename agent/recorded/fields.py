"""Values out of a JSON row: dotted names, texts, gold answers, verdicts, reasons to stop.

Owns what each kind of value may look like. Whatever else stands there is a `DataError` that names file, line, column
and, where a column is missing, the nearest known one. Texts come out as valid Unicode.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from eval.answers import MAX_ANSWER, extract_marked
from memory.errors import DataError
from memory.records import Finish

MISSING: Final = object()
_MOST_NAMES, _DEPTH = 60, 4
_TRUE = frozenset({"true", "correct", "right", "yes", "pass", "passed", "1", "1.0"})
_FALSE = frozenset({"false", "incorrect", "wrong", "no", "fail", "failed", "0", "0.0"})
_FINISHES = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn", "completed", "finished"), Finish.STOP),
    **dict.fromkeys(("length", "max_tokens", "max_length", "truncated", "incomplete"), Finish.LENGTH),
    **dict.fromkeys(("error", "errored", "failed", "content_filter"), Finish.ERROR),
}


def look_up(row: Mapping[str, Any], name: str) -> Any:
    """The value at ``a.b.0``: keys of objects and places of lists; `MISSING` where there is none.

    A key that holds the dots itself goes before the path.
    """
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
            value = value[int(part[:9])]
        else:
            return MISSING
    return value


def names_of(row: Mapping[str, Any]) -> list[str]:
    """The dotted names there are in a row, at most `_MOST_NAMES`, without the inside of lists."""

    def walk(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[str]:
        for key, inner in value.items():
            if isinstance(inner, Mapping) and inner and depth < _DEPTH:
                yield from walk(inner, f"{prefix}{key}.", depth + 1)
            else:
                yield f"{prefix}{key}"

    found = []
    for name in walk(row, "", 1):
        found.append(shown(name))
        if len(found) == _MOST_NAMES:
            break
    return found


def demand(row: Mapping[str, Any], name: str, option: str, where: str) -> Any:
    """The value at a name.

    Raises:
        DataError: there is none; the message names the nearest known name.
    """
    value = look_up(row, name)
    if value is MISSING:
        known = names_of(row)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"Did you mean {option} {near[0]}? " if near else ""
        there = ", ".join(known) or "none"
        raise DataError(f"{where}: there is no column '{name}' ({option}). {hint}Columns there: {there}.")
    return value


def text_of(value: Any, name: str, option: str, where: str) -> str:
    """A text, or a number as it is written.

    Raises:
        DataError: it is something else.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < MAX_ANSWER else str(value)
    inside = next((f"{name}.{key}" for key in _keys(value)), None)
    cure = f"name the text in it, for example {option} {inside}" if inside else f"name a column of texts with {option}"
    raise DataError(f"{where}: column '{name}' is {kind(value)}, not text; {cure}.")


def statement_of(value: Any, name: str, where: str) -> str:
    """A problem's statement.

    Raises:
        DataError: it is no text, or empty.
    """
    text = text_of(value, name, "--problem", where)
    if not text.strip():
        raise DataError(f"{where}: column '{name}' is empty; every row needs its problem.")
    return text


def gold_of(value: Any, name: str, where: str) -> str:
    r"""The gold answer: marked in a worked text (``#### 72``, ``\boxed{72}``, a last line ``A: 72``), else all of it.

    Raises:
        DataError: no text or number, empty, or worked text in which no answer is marked.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = text_of(value, name, "--answer", where).strip()
    marked = extract_marked(text)
    if marked is not None:
        return marked
    if not text:
        raise DataError(f"{where}: column '{name}' is empty; every row needs its gold answer.")
    if "\n" in text or len(text) > MAX_ANSWER:
        raise DataError(
            f"{where}: column '{name}' holds {len(text)} characters in which no answer is marked. A gold answer is "
            "short, or worked text that ends in '#### x', in a \\boxed{x} or in a line 'A: x'; name another with "
            "--answer."
        )
    return text


def outputs_of(value: Any, name: str, where: str) -> list[str | None]:
    """The samples in a cell: one text, or a list (of lists) of texts; None where the output is null.

    Raises:
        DataError: something else.
    """
    if value is None:
        return [None]
    if not isinstance(value, list):
        return [text_of(value, name, "--output", where)]
    if not value:
        raise DataError(f"{where}: column '{name}' is an empty list; a row needs at least one output.")
    found: list[str | None] = []
    for inner in value:
        if isinstance(inner, list):
            found += [
                None if item is None else text_of(item, f"{name} (inner list)", "--output", where) for item in inner
            ]
        else:
            found.append(None if inner is None else text_of(inner, name, "--output", where))
    return found


def flag_of(value: Any, name: str, where: str) -> bool | None:
    """The file's own verdict: true or false, 1 or 0, or a word for it; None for null.

    Raises:
        DataError: something else.
    """
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int | Decimal) else ""
    if word in _TRUE or (isinstance(value, Decimal) and value == 1):
        return True
    if word in _FALSE or (isinstance(value, Decimal) and value == 0):
        return False
    raise DataError(f"{where}: column '{name}' (--correct) holds {value!r:.60}; a verdict is true or false, or 1 or 0.")


def finish_of(value: Any, name: str, where: str) -> Finish:
    """Why generation stopped; null counts as ``stop``.

    Raises:
        DataError: an unknown word.
    """
    found = Finish.STOP if value is None else _FINISHES.get(str(value).strip().lower())
    if found is None:
        known = ", ".join(sorted(_FINISHES))
        raise DataError(f"{where}: column '{name}' (--finish) holds {value!r:.60}; known: {known}.")
    return found


def shown(text: str, limit: int = 100) -> str:
    """A name out of a file, as it may stand in a message: characters that do not print become U+FFFD."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(char if char.isprintable() else "\ufffd" for char in cut)


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return names.get(type(value), "a number")


def _keys(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [str(key) for key, inner in value.items() if isinstance(inner, str)] or [str(key) for key in value]
    return ["0"] if isinstance(value, list) and value else []
