"""A run from a checked config to a stop: manifest, run folder, loop.

Owns what is written once at the start and compared on every resume.
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import yaml

from agent.config import RunConfig
from agent.corpus import counted
from agent.data import RunData, load_data
from agent.loop import run_loop
from agent.models import Purse, closing, needs_purse
from agent.parts import Parts
from agent.preflight import before_spending
from agent.progress import Progress
from agent.review.desk import apply_waiting, check_waiting
from agent.review.gate import Gate, points_of
from agent.review.submit import default_author
from agent.review.words import changes
from agent.wiring import base_display_name, build_parts, check_parts
from memory import fault
from memory.errors import BudgetError, Paused, StoreError, UsageError
from memory.records import Stop, StopReason
from memory.store import CONFIG, MANIFEST, PAUSED, RunFolder, write_atomic

T = TypeVar("T")

LIBRARIES = ("remedial", "torch", "transformers", "peft", "trl", "faiss-cpu", "sentence-transformers", "math-verify")


def check(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Everything that can be checked before a model is loaded; returns the plan in numbers.

    Raises:
        UsageError: see `agent.data.load_data`, `agent.wiring.check_parts` and `agent.preflight.before_spending`.
    """
    data = load_data(config)
    check_parts(config, data)
    before_spending(config, folder)
    return plan(config, data)


def plan(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What a run would do, in numbers."""
    new = config.allocate.new_examples
    return {
        "student": config.student.model_name_or_path,
        "teacher": config.teacher.kind,
        "probe": len(data.probe),
        "dev": len(data.dev),
        "test (sealed)": len(data.test),
        "guard": len(data.guard),
        "replay": len(data.replay),
        "replay left out": dict(data.dropped),
        **counted(config, data.corpus),
        "new examples a round": new,
        "replay examples a round": round(new * config.mix.replay / config.mix.new) if config.mix.new else None,
        "rounds at most": config.loop.max_rounds,
        "alpha a round": config.decide.alpha / config.loop.max_rounds,
    }


def start(
    config: RunConfig, folder: Path, progress: Progress, *, finish: bool = False, pause_after: Sequence[str] = ()
) -> Stop:
    """Start a run in ``folder``, or go on with the same run there; with ``finish``, end it with the rounds there are.

    Where the run waits for a review and its file was written, that is submitted first.

    Args:
        config: the config.
        folder: the run folder.
        progress: where progress goes.
        finish: start no further round.
        pause_after: where every round shall wait for a review, see `agent.review.gate.Gate`; empty: as before.

    Raises:
        BudgetError: a limit is reached; the run can go on with a higher one.
        Paused: the run waits for a review.
        UsageError: bad input, or ``folder`` holds a run of another config or other data.
        Interrupted: Ctrl-C.
    """
    points_of(pause_after)
    if not finish:
        check_waiting(RunFolder(folder))  # before anything takes long
    data = load_data(config)
    check_parts(config, data)
    before_spending(config, folder)

    def work(run: RunFolder, parts: Parts) -> Stop:
        record = None if finish else apply_waiting(run, default_author())
        if record is not None:
            progress.line(f"Review of round {record.decisions.round}: {'; '.join(changes(record.decisions))}")
        return run_loop(run, replace(parts, gate=Gate.opened(run, pause_after)), progress, finish=finish)

    return go(config, data, folder, progress, work)


def go(
    config: RunConfig,
    data: RunData,
    folder: Path,
    progress: Progress,
    work: Callable[[RunFolder, Parts], T],
    *,
    embeddings: Path | None = None,
    donors: Sequence[RunFolder] = (),
) -> T:
    """Open a run folder (its manifest is written or compared), build the parts and do ``work`` with them.

    What needs checking has been checked.

    Args:
        config: the checked config.
        data: its data.
        folder: the run folder.
        progress: where progress goes.
        work: is given the open folder and the parts.
        embeddings: the embedding cache, where several runs share one.
        donors: runs whose equal steps are taken over.

    Raises:
        BudgetError: a limit is reached.
        Paused: the run waits for a review.
        UsageError: ``folder`` holds a run of another config or other data.
        Interrupted: Ctrl-C.
    """
    with RunFolder(folder) as run:
        manifest = _open(run, config, data, progress)
        base_name = str(manifest["base_model_name_or_path"])
        seconds = sum(_finished_seconds(run))
        purse = Purse.open(config, run.path, str(manifest["run_id"]), seconds) if needs_purse(config) else None
        with closing(purse):
            parts = build_parts(config, data, run.path, base_name, purse, seconds, embeddings=embeddings)
            try:
                return work(run, replace(parts, donors=tuple(donors)))
            except BudgetError as error:
                run.event(PAUSED, reason=StopReason.BUDGET.value, detail=str(error))
                raise
            except Paused as pause:
                run.event(PAUSED, reason="review", detail=str(pause), round=pause.round, point=pause.point)
                raise


def _finished_seconds(run: RunFolder) -> list[float]:
    return [seconds for steps in run.timings().values() for seconds in steps.values()]


def _open(run: RunFolder, config: RunConfig, data: RunData, progress: Progress) -> dict[str, Any]:
    """Write the manifest and config of a new run, or check those of an old one."""
    identity = {"config_hash": config.hash, "data": data.fingerprints(config)}
    path = run.path / MANIFEST
    if path.exists():
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StoreError(f"{path} is damaged ({error}); restore it from a copy.") from error
        for key, value in identity.items():
            if manifest.get(key) != value:
                what = "config" if key == "config_hash" else "data"
                raise UsageError(
                    f"{run.path} holds a run with another {what}. Go on with that one by `remedial resume {run.path}`, "
                    "or start this one elsewhere with --output-dir."
                )
        progress.line(f"Going on with {run.path}: finished steps are kept.")
        return manifest
    leftovers = [item.name for item in run.path.iterdir() if not _is_ours(item.name)]
    if leftovers:
        raise UsageError(f"{run.path} is not empty and holds no run ({leftovers[0]} ...). Choose another --output-dir.")
    write_atomic(run.path / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    manifest = {
        **identity,
        "base_model_name_or_path": base_display_name(config),
        "run_id": f"{run.path.resolve().name}-{uuid.uuid4().hex[:12]}",
        "seed": config.seed,
        "plan": plan(config, data),
        "versions": _versions(),
    }
    write_atomic(path, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    run.event("run.created", **identity)
    fault.point("run.created")
    return manifest


def _is_ours(name: str) -> bool:
    """Files that a run killed at its very start may have left."""
    return name in ("run.lock", "events.jsonl", CONFIG) or name.endswith(".tmp")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
