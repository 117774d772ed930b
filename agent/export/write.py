"""Writes an export: into a new folder beside the target, which is then renamed, so that it is whole or absent."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.export.atlas import FILE, atlas_rows, command, write_parquet
from agent.export.cards import dataset_card, model_card
from agent.export.formats import FORMATS
from agent.export.gather import Training, gather
from memory.errors import UsageError
from memory.store import RunFolder

ATLAS = "atlas"


def export(kind: str, run: RunFolder, folder: Path, licence: str = "unknown") -> dict[str, Any]:
    """Write one kind of export; returns what was written, for people and programs.

    Args:
        kind: ``atlas`` or a name of `FORMATS`.
        run: what is exported.
        folder: the target; it may exist if it is empty.
        licence: for the cards, an identifier as the hub knows them.

    Raises:
        UsageError: the target is not empty, or the run has nothing of this kind.
        DataError, SplitError, StoreError: see `agent.export.gather.gather`.
    """
    check_target(folder)
    if kind == ATLAS:
        rows, words = atlas_rows(run)
        _write(folder, lambda there: write_parquet(rows, there / FILE))
        found: dict[str, Any] = {"rows": len(rows), "places": words, "command": command(folder)}
    else:
        training = gather(run)
        _write(folder, lambda there: _training(training, kind, there, licence))
        found = {"rows": len(training.rows), "counts": training.counts, "adapter": training.adapter.id,
                 "rounds": [facts.index for facts in training.rounds]}  # fmt: skip
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {"run": str(run.path), "kind": kind, "folder": str(folder), **found, "files": files}


def check_target(folder: Path) -> None:
    """Refuse to write over anything.

    Raises:
        UsageError: ``folder`` is a file, or a folder that holds something.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "is not empty" if folder.is_dir() else "is not a folder"
        raise UsageError(f"{folder} {what}; an export is never written over anything. Choose another -o DIR.")


def _training(found: Training, kind: str, there: Path, licence: str) -> None:
    make, data_file = FORMATS[kind]
    data_root = there / "dataset" if kind == "hf" else there
    for name, content in make(found).items():
        _text(data_root / name, content)
    _text(data_root / "README.md", dataset_card(found, data_file, licence))
    shutil.copytree(found.adapter_folder, there / "adapter")
    _text(there / "adapter" / "README.md", model_card(found, licence))


def _write(folder: Path, fill: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        there = Path(scratch) / "export"
        there.mkdir()
        fill(there)
        if folder.is_dir():
            folder.rmdir()
        there.rename(folder)


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")
