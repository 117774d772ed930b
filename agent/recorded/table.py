"""The table of formats of recorded outputs: a format is one reader, listed here with how its first row is known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.recorded.base import Asked, Reader, Recording
from agent.recorded.columns import first_row, read_columns, read_solutions, solution_columns
from agent.recorded.fields import shown
from agent.recorded.lm_eval import is_samples, read_samples
from agent.recorded.run_records import is_record, read_run
from memory.errors import UsageError

ALL = "all"


def _is_solutions(row: Mapping[str, Any]) -> bool:
    return {"question", "ground_truth"} <= row.keys() and bool(solution_columns(row))


#: Name -> (reader, whether a first row is of this format). The first that knows the row reads the file.
FORMATS: Mapping[str, tuple[Reader, Callable[[Mapping[str, Any]], bool]]] = {
    "run": (read_run, is_record),
    "lm-eval": (read_samples, is_samples),
    "gsm8k-solutions": (read_solutions, _is_solutions),
    "jsonl": (read_columns, lambda row: True),
}


def read_recording(path: Path, asked: Asked, fmt: str = "auto") -> Recording:
    """All outputs of a file; ``fmt`` ``auto`` looks at its first row.

    Whoever names a column of outputs describes the file himself: it is then not taken for GSM8K's example solutions.

    Raises:
        DataError: the file is wrong, with line.
        UsageError: the options do not fit the format.
    """
    _, row = first_row(path)
    if fmt == "auto":
        fmt = next(name for name, (_, knows) in FORMATS.items() if knows(row))
        if fmt == "gsm8k-solutions" and asked.outputs:
            fmt = "jsonl"
    return FORMATS[fmt][0](path, asked)


def choose_models(recording: Recording, wanted: Sequence[str], where: Path) -> tuple[str, ...]:
    """The models to diagnose: those that are wanted, all with ``all``, or the only one there is.

    Raises:
        UsageError: an unknown one, or several without a choice; the message names them.
    """
    known = recording.models
    if ALL in wanted:
        return known
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {shown(near[0])}? " if near else ""
            raise UsageError(f"{where}: no model '{name}'. {hint}Models there: {_listed(known)}.")
    if not wanted and len(known) > 1:
        raise UsageError(
            f"{where} holds outputs of {len(known)} models: {_listed(known)}. Say which: --model {shown(known[0])} "
            "(may be repeated), or --model all for each of them."
        )
    return tuple(dict.fromkeys(wanted)) or known


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
