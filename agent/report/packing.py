"""Many long texts inside one small HTML file: chunks of JSON, gzipped and base64, unpacked by the page when needed.

Owns the size of a page. Where all texts would be too much, the longest are cut, and the page is told at what length.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Bytes that all chunks may take in a page; with its index and program it stays below 25 MB.
BUDGET = 18_000_000
#: Lengths at which texts are cut, in characters, until the chunks fit.
CAPS = (2_000_000, 200_000, 20_000, 6_000, 3_000, 1_500, 700, 300, 100)
#: How deep the values that we pack are at most.
_DEPTH = 12


@dataclass(frozen=True)
class Packed:
    """Chunks by name, as base64 of gzipped JSON; ``cap``: the length at which texts are cut, None where none was."""

    chunks: Mapping[str, str]
    cap: int | None


def pack(parts: Mapping[str, Any], budget: int = BUDGET, caps: Sequence[int] = CAPS) -> Packed:
    """Pack JSON-able values; a string that is cut becomes ``{"cut": beginning, "of": its whole length}``."""
    found: dict[str, str] = {}
    longest = max((_longest(part) for part in parts.values()), default=0)
    for cap in caps:
        found = {name: _chunk(_cut(part, cap)) for name, part in parts.items()}
        if sum(map(len, found.values())) <= budget:
            return Packed(found, cap if longest > cap else None)
    return Packed(found, caps[-1])


def _chunk(value: Any) -> str:
    """Base64 of gzipped ASCII JSON, the same for the same value."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _cut(value: Any, cap: int, depth: int = 0) -> Any:
    assert depth < _DEPTH
    if isinstance(value, str):
        return value if len(value) <= cap else {"cut": value[:cap], "of": len(value)}
    if isinstance(value, Mapping):
        return {key: _cut(item, cap, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item, cap, depth + 1) for item in value]
    return value


def _longest(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return max(map(_longest, items), default=0)
