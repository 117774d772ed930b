"""YAML as text: writing strings that can't break out, and reading a file into nodes with lines, suspiciously.

Knows nothing of reviews. Reading takes maps, lists and plain values only: no tags, anchors, aliases or second
documents, so that nothing is constructed and nothing can grow.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from memory.errors import UsageError

MAX_BYTES, MAX_DEPTH = 64 * 2**20, 8
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset(("", "~", "null", "Null", "NULL"))


@dataclass(frozen=True)
class Text:
    """A scalar as it is written, without a type: ``value`` is None for YAML's null."""

    value: str | None
    line: int


@dataclass(frozen=True)
class Many:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Keys:
    """A map, with the line of each key."""

    items: Mapping[str, Node]
    lines: Mapping[str, int]
    line: int


Node = Text | Many | Keys


def quoted(text: str) -> str:
    r"""A double-quoted scalar on one line that reads back as ``text``, whatever it holds.

    >>> quoted('a "b"' + chr(10))
    '"a \\"b\\"\\n"'
    """
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    if unicodedata.category(char) not in _ESCAPED:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"


def comment(text: str, limit: int) -> str:
    """Text for the rest of a comment line: one line, at most ``limit`` characters, no control characters."""
    words = " ".join(text[: 4 * limit].split())
    shown = "".join("\ufffd" if unicodedata.category(char) in _ESCAPED else char for char in words[:limit])
    cut = len(words) > limit or len(text) > 4 * limit
    return shown + (f"... ({len(text):,} characters)" if cut else "")


def read_nodes(path: Path) -> Keys:
    """The map a file holds.

    Raises:
        UsageError: not there, too large, not UTF-8, not YAML, or more than maps, lists and values; with the line.
    """
    if not path.is_file():
        raise UsageError(f"No file {path}. `remedial review RUN` writes one.")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES // 2**20} MiB; a review is never so large.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text ({error}).") from error
    try:
        _refuse_more(path, text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
        raise UsageError(f"{where}: not valid YAML ({what}).") from error
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path} must hold keys and values; `remedial review RUN` writes an example.")
    found = _node(path, root)
    assert isinstance(found, Keys)
    return found


def _refuse_more(path: Path, text: str) -> None:
    """Look at the events before anything is built from them: this takes no more memory than the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(f"{path}, line {line}: aliases (*{event.anchor}) are not taken here; write the text out.")
        if anchor := getattr(event, "anchor", None):
            raise UsageError(f"{path}, line {line}: anchors (&{anchor}) are not taken here; take it out.")
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            raise UsageError(f"{path}, line {line}: tags ({tag[:60]!r}) are not taken here; put text into quotes.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UsageError(f"{path}, line {line}: lists and maps stand {depth} deep; a review needs three.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise UsageError(f"{path}, line {line}: a second document begins here; a review is one.")


def _node(path: Path, node: yaml.Node) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return Many(tuple(_node(path, item) for item in node.value), line)
    if isinstance(node, yaml.MappingNode):
        items: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{path}, line {at}: a key must be a word.")
            if key.value in items:
                raise UsageError(f"{path}, line {at}: key '{key.value[:60]}' is given twice; keep one.")
            items[key.value], lines[key.value] = _node(path, value), at
        return Keys(items, lines, line)
    plain = getattr(node, "style", None) in (None, "")
    return Text(None if plain and node.value in _NULL else str(node.value), line)
