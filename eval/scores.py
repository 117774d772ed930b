"""A table of item x arm x seed: read, checked, complete. Knows no statistics.

The file is a CSV with a heading that names ``item``, ``arm``, ``seed`` and ``correct`` in any order (other columns are
left alone); ``correct`` is 0 or 1. Every arm must hold every item for each of its seeds: a missing cell is an error,
since leaving it out or taking it as wrong would both change what is compared. Light: numpy and the standard library.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from memory.errors import DataError

COLUMNS = ("item", "arm", "seed", "correct")
#: How right and wrong are written, as spreadsheets and pandas do it.
WORDS = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0}
SHOWN = 3

Cells = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class Scores:
    """``tables[arm]`` is (items, seeds of the arm), zeros and ones; ``seeds[arm]`` names its columns."""

    items: tuple[str, ...]
    seeds: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, np.ndarray]


def read_scores(path: Path) -> Scores:
    """The complete table in ``path``; arms and items in the order of the file.

    Raises:
        DataError: naming file and line, or the missing cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            cells = _cells(path, file)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    items = tuple(dict.fromkeys(item for runs in cells.values() for run in runs.values() for item in run))
    _refuse_missing(path, cells, items)
    tables = {
        arm: np.array([[run[item] for run in runs.values()] for item in items], dtype=np.float64)
        for arm, runs in cells.items()
    }
    return Scores(items, {arm: tuple(runs) for arm, runs in cells.items()}, tables)


def _cells(path: Path, file: Iterable[str]) -> Cells:
    """``[arm][seed][item]`` of every row."""
    reader = csv.reader(file, strict=True)
    cells: Cells = {}
    try:
        heading = [name.strip().lower() for name in next(reader, [])]
        places = _places(path, heading)
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(heading):
                raise DataError(f"{where}: {len(row)} fields where the heading has {len(heading)}")
            item, arm, seed, correct = (row[place].strip() for place in places)
            if not (item and arm and seed):
                raise DataError(f"{where}: item, arm and seed must not be empty")
            if correct.lower() not in WORDS:
                raise DataError(f"{where}: correct is 0 or 1, not {correct[:40]!r}")
            run = cells.setdefault(arm, {}).setdefault(seed, {})
            if item in run:
                several = "; of several budgets keep the rows of one" if "budget" in heading else ""
                raise DataError(f"{where}: a second row for item {item!r}, arm {arm!r}, seed {seed!r}{several}")
            run[item] = WORDS[correct.lower()]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
    if not cells:
        raise DataError(f"{path}: no rows below the heading")
    return cells


def _places(path: Path, heading: list[str]) -> list[int]:
    for name in COLUMNS:
        if heading.count(name) != 1:
            raise DataError(
                f"{path}, line 1: the heading must name {', '.join(COLUMNS)}, each once; "
                f"{name!r} stands there {heading.count(name)} times"
            )
    return [heading.index(name) for name in COLUMNS]


def _refuse_missing(path: Path, cells: Cells, items: tuple[str, ...]) -> None:
    expected = len(items) * sum(len(runs) for runs in cells.values())
    missing = expected - sum(len(run) for runs in cells.values() for run in runs.values())
    if not missing:
        return
    first = islice(
        (
            f"item {item!r}, arm {arm!r}, seed {seed!r}"
            for arm, runs in cells.items()
            for seed, run in runs.items()
            if len(run) < len(items)
            for item in items
            if item not in run
        ),
        SHOWN,
    )
    raise DataError(
        f"{path}: {missing:,} of {expected:,} cells are missing, the first: {'; '.join(first)}. Every arm needs every "
        "item for each of its seeds: add the rows, or take the item (or the run) out of the file everywhere"
    )
