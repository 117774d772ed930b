"""The table of file formats: a format is one reader, listed here. Loading grades nothing and imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from eval.benchmarks.gsm8k import read_gsm8k
from eval.benchmarks.jsonl import read_jsonl
from memory.errors import ConfigError
from memory.records import Problem, Split


class Reader(Protocol):
    """Reads a file into problems, sorted by id."""

    def __call__(
        self, path: Path, *, columns: Mapping[str, str | None] | None = None, split: Split, limit: int | None = None
    ) -> tuple[Problem, ...]:
        """Read ``path``; raises `DataError` with file and line."""


FORMATS: Mapping[str, Reader] = {"jsonl": read_jsonl, "gsm8k": read_gsm8k}


def read_problems(
    path: Path,
    fmt: str = "jsonl",
    *,
    columns: Mapping[str, str | None] | None = None,
    split: Split,
    limit: int | None = None,
) -> tuple[Problem, ...]:
    """Problems of a file, sorted by id; see `eval.benchmarks.jsonl.read_jsonl`.

    Raises:
        ConfigError: there is no such format.
        DataError: the file is wrong.
    """
    reader = FORMATS.get(fmt)
    if reader is None:
        raise ConfigError(f"no file format '{fmt}'; known: {', '.join(sorted(FORMATS))}.")
    return reader(path, columns=columns, split=split, limit=limit)
