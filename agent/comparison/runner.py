"""Runs the units of a comparison, one after the other or in worker processes, and goes on where it was stopped.

A comparison's folder holds ``comparison.json`` (what was planned, with the hashes of config and data), ``config.yaml``,
``shared/seed-N/``, ``units/<arm>-<budget>-seed-N/`` and the results. A finished unit is never run again.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import yaml

from agent.comparison.design import Design, Unit, unit_config
from agent.comparison.units import is_done, run_shared, run_unit, unit_folder
from agent.config import RunConfig
from agent.data import RunData, load_data
from agent.models import CACHE
from agent.preflight import before_spending
from agent.progress import Progress
from agent.wiring import check_parts, check_strategy
from memory.errors import Interrupted, RemedialError, UsageError
from memory.lifetime import end_with_parent
from memory.store import CONFIG, MANIFEST, RunFolder, write_atomic

PLAN = "comparison.json"


def check_comparison(config: RunConfig, design: Design, folder: Path) -> RunData:
    """Everything that can be checked before a model is loaded; the data.

    Raises:
        UsageError: see `agent.session.check`; every arm's config is checked, the largest budget's too.
    """
    largest = config.allocate.model_copy(update={"new_examples": max(design.all_budgets)})
    data = load_data(config.model_copy(update={"allocate": largest}))
    for arm in design.arms:
        check_strategy(_with_arm(config, arm), data)
    check_parts(_with_arm(config, design.arms[0]), data)
    before_spending(config, folder)
    return data


def _with_arm(config: RunConfig, arm: str) -> RunConfig:
    return config.model_copy(update={"draft": config.draft.model_copy(update={"strategy": arm})})


def run_comparison(
    config: RunConfig,
    design: Design,
    folder: Path,
    progress: Progress,
    *,
    workers: int = 1,
    data: RunData | None = None,
    command: str = "",
) -> None:
    """Run all units that are not finished.

    Args:
        config: the checked config; what differs between units is set by the design.
        design: what is compared.
        folder: the comparison's folder; created, or gone on with.
        progress: where progress goes.
        workers: processes that run units side by side; each holds a student, so memory and devices must carry them.
        data: as `check_comparison` gave it.
        command: what repeats it, to be written down.

    Raises:
        Interrupted: Ctrl-C; finished units, and finished steps of others, are kept.
        UsageError: ``folder`` holds another comparison.
    """
    found = data or check_comparison(config, design, folder)
    with RunFolder(folder) as held:
        _open(held, config, design, found, progress, command)
        config = _sharing_cache(config, folder)
        for seed in design.seeds:
            run_shared(config, design, found, folder, seed, _Named(progress, f"shared seed {seed}"))
        todo = [unit for unit in design.units if not is_done(folder, unit)]
        done = len(design.units) - len(todo)
        if done:
            progress.line(f"{done} of {len(design.units)} units are finished and kept.")
        if workers <= 1 or len(todo) <= 1:
            for at, unit in enumerate(todo):
                progress.checkpoint()
                progress.line(f"unit {done + at + 1} of {len(design.units)}: {unit.name}")
                run_unit(config, design, found, folder, unit, _Named(progress, unit.name))
        else:
            _in_workers(config, design, folder, todo, progress, workers)


def read_plan(folder: Path) -> tuple[RunConfig, Design, str]:
    """The config, the design and the command of a comparison's folder.

    Raises:
        UsageError: there is none at ``folder``.
    """
    from agent.config import load_config

    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"No comparison at {folder}. `remedial compare -c CONFIG -o {folder}` starts one.") from error
    return load_config(folder / CONFIG), Design.from_dict(plan["design"]), str(plan["command"])


def _open(held: RunFolder, config: RunConfig, design: Design, data: RunData, progress: Progress, command: str) -> None:
    """Write the plan. Arms, seeds and budgets may be added to an old one; its units must be of this config and data."""
    path = held.path / PLAN
    plan = {"design": design.as_dict(), "command": command}
    if path.exists():
        _refuse_others(held.path, config, design, data)
        if json.loads(path.read_text(encoding="utf-8"))["design"] != plan["design"]:
            progress.line(f"The design of {held.path} has changed; finished units that it still has are kept.")
    elif (held.path / MANIFEST).exists():
        raise UsageError(f"{held.path} holds a run, not a comparison. Choose another --output-dir.")
    write_atomic(held.path / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    write_atomic(path, json.dumps(plan, indent=1, sort_keys=True) + "\n")


def _refuse_others(folder: Path, config: RunConfig, design: Design, data: RunData) -> None:
    """Every unit there is must be one of this comparison's.

    Raises:
        UsageError: naming the first that has another config or other data.
    """
    for unit in design.units:
        path = unit_folder(folder, unit) / MANIFEST
        if not path.is_file():
            continue
        manifest = json.loads(path.read_text(encoding="utf-8"))
        own = unit_config(config, design, unit)
        same_config = manifest["config_hash"] == own.hash
        fingerprints = data.fingerprints(own)
        if not same_config or any(fingerprints[part] != manifest["data"].get(part) for part in fingerprints):
            raise UsageError(
                f"{folder} holds a comparison with another {'data' if same_config else 'config'} (unit {unit.name}). "
                f"Go on with that one by `remedial resume {folder}`, or start this one elsewhere with --output-dir."
            )


def _sharing_cache(config: RunConfig, folder: Path) -> RunConfig:
    """Units share one request cache, so that what two of them ask is paid for once."""
    return config if config.cache else config.model_copy(update={"cache": str((folder / CACHE).resolve())})


class _Named(Progress):
    """A unit's progress inside the comparison's: its lines carry its name, Ctrl-C is the comparison's."""

    def __init__(self, owner: Progress, name: str) -> None:
        super().__init__(quiet=owner.quiet, out=owner.out)
        self._owner, self._name = owner, name
        self.bar = owner.bar

    def checkpoint(self) -> None:
        self._owner.checkpoint()

    def line(self, text: str) -> None:
        self._owner.line(f"{self._name}: {text}")


# ---- workers


class _Stoppable(Progress):
    """Progress of a worker: it stops where the comparison's process says so."""

    def __init__(self, stop: Event, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._stop = stop

    def checkpoint(self) -> None:
        if self._stop.is_set():
            raise Interrupted("interrupted")


_worker: dict[str, Any] = {}


def _start_worker(stop: Event, config: RunConfig, design: Design, folder: Path, quiet: bool) -> None:
    """Once in each worker: the data, and no life beyond the comparison's own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    data = load_data(config)
    _worker.update(config=config, design=design, folder=folder, data=data, progress=_Stoppable(stop, quiet=quiet))


def _work(unit: Unit) -> str:
    progress: Progress = _worker["progress"]
    progress.checkpoint()
    named = _Named(progress, unit.name)
    run_unit(_worker["config"], _worker["design"], _worker["data"], _worker["folder"], unit, named)
    return unit.name


def _in_workers(
    config: RunConfig, design: Design, folder: Path, todo: list[Unit], progress: Progress, workers: int
) -> None:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    arguments = (stop, config, design, folder, progress.quiet or not sys.stderr.isatty())
    faults: list[BaseException] = []
    with ProcessPoolExecutor(workers, context, _start_worker, arguments) as pool:
        waiting: set[Future[str]] = {pool.submit(_work, unit) for unit in todo}
        total = len(todo)
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            if progress.interrupted and not stop.is_set():
                stop.set()
            for future in done:
                fault = future.exception()
                if fault is None:
                    progress.line(f"{future.result()}: finished, {len(waiting)} of {total} left")
                else:
                    faults.append(fault)
            if faults:
                stop.set()
    _raise(faults)


def _raise(faults: list[BaseException]) -> None:
    """The first fault that is not the stop which it caused."""
    for fault in sorted(faults, key=lambda item: isinstance(item, Interrupted)):
        if isinstance(fault, RemedialError):
            raise fault
        raise RuntimeError("a worker of the comparison failed") from fault
