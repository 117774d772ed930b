"""Identity by content: canonical JSON, hashes, fingerprints and derived seeds.

Knows nothing of files or of what the records mean.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def canonical_json(value: Any) -> str:
    """One JSON text per value: sorted keys, no blanks, NaN refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of the UTF-8 text; lone surrogates are kept, not refused."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def short_id(prefix: str, value: Any) -> str:
    """``prefix-`` and 16 hex digits of the content hash of a JSON-able value."""
    return f"{prefix}-{sha256_text(canonical_json(value))[:16]}"


def normalise_text(text: str) -> str:
    """NFKC, lower case, runs of white space folded: what makes two statements the same."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def statement_key(statement: str) -> str:
    """A name for a statement, whatever its answer is written like."""
    return short_id("s", normalise_text(statement))


def fingerprint(value: Any) -> str:
    """Hash of anything a step may take as input.

    Records and dataclasses by content, parts (engines, embedders, ...) by their ``fingerprint``
    attribute, containers recursively, sets in sorted order.

    Raises:
        TypeError: for an object that offers neither.
    """
    return sha256_text(canonical_json(_plain(value)))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    own = getattr(value, "fingerprint", None)
    if isinstance(own, str):
        return {"fingerprint": own}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(canonical_json(_plain(item)) for item in value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no fingerprint; give it a str attribute of that name")


def derive_seed(*parts: Any) -> int:
    """A 31-bit seed from any JSON-able parts; the same parts always give the same seed."""
    return int(sha256_text(canonical_json(list(parts)))[:8], 16) & 0x7FFF_FFFF
