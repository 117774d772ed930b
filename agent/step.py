"""``step``: the only place with effects. Resume, seeds, hashes, timing and events live here.

A verb is a function of a context and its inputs that returns records. The runner derives the step's seed,
returns the stored result when the same inputs have one, else runs the verb, writes its artifact and then its
marker. It does not know what the verbs do.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from agent.progress import Progress, StepProgress
from memory import fault
from memory.errors import StoreError
from memory.ids import canonical_json, derive_seed, fingerprint
from memory.records import Record
from memory.store import RunFolder

R = TypeVar("R", bound=Record)
Within = Callable[[str, str], AbstractContextManager[None]]


@dataclass(frozen=True)
class StepContext:
    """What a verb may use besides its inputs: a derived seed, folders to write into, and progress."""

    stage: str
    seed: int
    run_dir: Path
    folder: Path
    scratch: Callable[[], Path]
    progress: StepProgress


@dataclass(frozen=True)
class Verb(Generic[R]):
    """A named step: ``compute(context, *inputs)`` gives records of type ``out``, stored one a line.

    ``folders`` are extra outputs (an adapter) below the stage's folder, hashed with the artifact;
    ``fault`` names a commit point reached after computing and before storing. A verb that is not ``seeded`` does not
    look at the step's seed: its inputs alone say what comes out.
    """

    name: str
    out: type[R]
    compute: Callable[..., Sequence[R]]
    folders: tuple[str, ...] = ()
    fault: str | None = None
    seeded: bool = True


class StepRunner:
    """Runs verbs inside one stage of a run folder."""

    def __init__(
        self,
        run: RunFolder,
        stage: str,
        seed: int,
        progress: Progress,
        within: Within = lambda *_: nullcontext(),
        donors: Sequence[RunFolder] = (),
    ) -> None:
        """``within(stage, step)`` surrounds every step that is computed, so that spending is booked to it.

        ``donors`` are runs whose finished steps of the same stage, name, inputs and (where it matters) seed are
        taken over instead of being computed again.
        """
        self.run, self.stage, self.seed, self.progress, self.within = run, stage, seed, progress, within
        self.donors = tuple(donors)

    def __call__(self, verb: Verb[R], *inputs: Any, wave: int = 0) -> tuple[R, ...]:
        """The verb's records: stored ones where the same inputs have some, else computed and stored.

        ``wave`` tells repetitions of a verb within one stage apart (``draft``, ``draft-1``, ...).

        Raises:
            StoreError: a finished step has other inputs than now, or its files were changed.
        """
        name = f"{verb.name}-{wave}" if wave else verb.name
        inputs_hash = fingerprint(list(inputs))
        marker = self.run.marker(self.stage, name)
        if marker is not None:
            return self._stored(verb, name, marker, inputs_hash)
        self.progress.checkpoint()
        fault.point("step.begin")
        seed = derive_seed(self.seed, self.stage, name)
        if self._adopted(verb, name, inputs_hash, seed):
            return tuple(verb.out.model_validate_json(line) for line in self.run.read(self.stage, name))
        folder = self.run.begin(self.stage, name)
        for part in verb.folders:
            shutil.rmtree(folder / part, ignore_errors=True)  # left by a killed attempt
        self.run.event("step.begin", stage=self.stage, step=name)
        started = time.monotonic()
        with self.progress.step(self.stage, name) as progress:
            context = StepContext(
                self.stage, seed, self.run.path, folder, lambda: self.run.scratch(self.stage, name), progress
            )
            with self.within(self.stage, name):
                records = tuple(verb.compute(context, *inputs))
        seconds = round(time.monotonic() - started, 3)
        if verb.fault:
            fault.point(verb.fault)
        lines = (canonical_json(record.model_dump(mode="json")) for record in records)
        extra = [folder / part for part in verb.folders if (folder / part).exists()]
        facts = {"seconds": seconds, "records": len(records)}
        self.run.commit(self.stage, name, inputs=inputs_hash, seed=seed, lines=lines, folders=extra, facts=facts)
        self.run.clear_scratch(self.stage, name)
        self.run.event("step.done", stage=self.stage, step=name, **facts)
        self.progress.done(self.stage, name, seconds, len(records))
        return records

    def stored(self, verb: Verb[R]) -> R | None:
        """The single record of a finished step, whatever its inputs were; None where it is unfinished."""
        if self.run.marker(self.stage, verb.name) is None:
            return None
        (line,) = self.run.read(self.stage, verb.name)
        return verb.out.model_validate_json(line)

    def _adopted(self, verb: Verb[R], name: str, inputs_hash: str, seed: int) -> bool:
        """Take over a donor's finished step; its marker keeps the seconds it took there under ``adopted``."""
        if verb.folders:
            return False
        for donor in self.donors:
            marker = donor.marker(self.stage, name)
            if marker is None or marker["inputs"] != inputs_hash or (verb.seeded and marker["seed"] != seed):
                continue
            lines = donor.read(self.stage, name)
            self.run.begin(self.stage, name)
            facts = {"seconds": 0.0, "records": len(lines), "adopted": marker.get("seconds", 0.0)}
            self.run.commit(self.stage, name, inputs=inputs_hash, seed=seed, lines=lines, facts=facts)
            self.run.event("step.adopted", stage=self.stage, step=name, donor=str(donor.path))
            return True
        return False

    def _stored(self, verb: Verb[R], name: str, marker: dict[str, Any], inputs_hash: str) -> tuple[R, ...]:
        if marker.get("inputs") != inputs_hash:
            raise StoreError(
                f"{self.run.done_path(self.stage, name)} was made from other inputs (model, data or settings changed "
                "since). Finished work is never overwritten: start a new run with another --output-dir."
            )
        return tuple(verb.out.model_validate_json(line) for line in self.run.read(self.stage, name))
