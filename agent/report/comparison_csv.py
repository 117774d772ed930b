"""A comparison's cells as CSV: item x arm x seed, as `remedial compare --scores` reads them.

Cells hold exactly what they stand for, so that the file can be joined with others: item, arm and seed are names of
the user's own data and of the tool. Only ``cluster`` is text from a model; nothing reads it back, so a label that a
spreadsheet would run as a formula (it begins with = + - @) gets an apostrophe in front, as OWASP advises.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from agent.report.comparison_words import name
from eval.scores import COLUMNS
from memory.errors import DataError
from memory.store import write_atomic

FURTHER = ("budget", "targeted", "cluster")
FORMULA = ("=", "+", "-", "@")
LABEL = 200


class ScoreRow(NamedTuple):
    """One cell. ``targeted``: the item's nearest probe problem failed. A further column no row has is not written."""

    item: str
    arm: str
    seed: int
    correct: bool
    budget: int | None = None
    targeted: bool | None = None
    cluster: str | None = None


def write_scores(rows: Iterable[ScoreRow], path: Path) -> None:
    """Write ``rows`` in their order; whole or not at all.

    With one budget the file can be given to `remedial compare --scores`; with several, take out the rows of one first.

    Raises:
        DataError: no rows, an empty or padded name, or one cell twice.
    """
    kept = list(rows)
    if not kept:
        raise DataError(f"{path}: no rows to write; is any unit of the comparison finished?")
    seen = set()
    for row in kept:
        for column, value in (("item", row.item), ("arm", row.arm)):
            if not value or value != value.strip():
                raise DataError(f"{path}: {column} {value[:40]!r} is empty or begins or ends with a space; rename it")
        key = (row.item, row.arm, row.seed, row.budget)
        if key in seen:
            where = "" if row.budget is None else f", budget {row.budget}"
            raise DataError(f"{path}: two rows for item {row.item!r}, arm {row.arm!r}, seed {row.seed}{where}")
        seen.add(key)
    further = [column for column in FURTHER if any(getattr(row, column) is not None for row in kept)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *further])
    for row in kept:
        cells = [_cell(column, getattr(row, column)) for column in further]
        writer.writerow([row.item, row.arm, row.seed, int(row.correct), *cells])
    write_atomic(path, stream.getvalue())


def _cell(column: str, value: bool | int | str | None) -> str:
    if value is None:
        return ""
    if column != "cluster":
        return str(int(value))
    label = name(value, LABEL)
    return f"'{label}" if label.startswith(FORMULA) else label
