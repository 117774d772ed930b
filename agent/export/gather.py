"""What made the final student of a run: its adapter, and the mixtures it was trained on, as text.

Owns which rounds count and where the texts come from: new problems from the run's drafts, replay from the file of
``data.replay``. Refuses what is measured: no problem of probe, dev, guard or test leaves in training data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config import RunConfig, load_config
from agent.data import read_split
from agent.report.facts import RoundFacts, round_facts
from agent.report.reading import read_records, rounds_of
from agent.report.status import status
from memory.errors import DataError, SplitError, StoreError, UsageError
from memory.ids import normalise_text
from memory.records import Adapter, Measurement, Origin, Problem, RoundRecord, Split, refuse_sealed
from memory.store import CONFIG, MANIFEST, RunFolder

#: Keys of a row that say where it came from, in every format.
PROVENANCE = ("id", "origin", "round", "source", "answer", "weight")


@dataclass(frozen=True)
class Row:
    """One training example, in training order; ``round`` is that of the mixture it stood in."""

    problem: Problem
    origin: Origin
    round: int
    weight: float

    def provenance(self) -> dict[str, Any]:
        """The columns of `PROVENANCE`."""
        problem = self.problem
        return {
            "id": problem.id,
            "origin": self.origin.value,
            "round": self.round,
            "source": clean(problem.source),
            "answer": clean(problem.answer),
            "weight": self.weight,
        }


@dataclass(frozen=True)
class Training:
    """All that an export of training data says."""

    run: RunFolder
    name: str
    config: RunConfig
    manifest: dict[str, Any]
    status: dict[str, Any]
    adapter: Adapter
    rounds: tuple[RoundFacts, ...]  # those whose mixtures the final student was trained on
    rows: tuple[Row, ...]

    @property
    def base_name(self) -> str:
        """The base as cards name it: the folders above it on some machine are nobody's business."""
        name = str(self.manifest["base_model_name_or_path"])
        return Path(name).name if Path(name).is_absolute() else name

    @property
    def adapter_folder(self) -> Path:
        """The adapter's folder in the run."""
        assert self.adapter.path is not None  # `gather` refuses the bare base
        return self.run.path / self.adapter.path

    @property
    def counts(self) -> dict[str, int]:
        """Rows by origin."""
        return dict(sorted(Counter(row.origin.value for row in self.rows).items()))


def clean(text: str) -> str:
    """Text that every reader of UTF-8 takes: lone surrogates become U+FFFD, everything else stays."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def gather(run: RunFolder) -> Training:
    """Read what made the final student.

    Raises:
        UsageError: no round was kept, so that there is neither an adapter nor data that made one.
        DataError: the file of the replay has changed since, or is gone.
        SplitError: a problem that is measured stands in a mixture.
        StoreError: a file of the run was changed.
    """
    student, kept = _student(run)
    if student is None or student.path is None:
        raise UsageError(
            f"{run.path}: no round was kept, so the final student is the base: there is no adapter and no training "
            f"data that made it. What was found can be exported: remedial export atlas {run.path} -o DIR"
        )
    config = load_config(run.path / CONFIG)
    # From the base, every round trains on all that was kept before; else each kept round adds its own mixture.
    made = kept[-1:] if config.anneal.get("start_from", "last") == "base" else kept
    rounds = tuple(round_facts(run, index) for index in made)
    run.read(f"round-{kept[-1]:02d}", "anneal")  # checks the adapter's files against their hashes
    rows = _rows(rounds, _texts(run, rounds, config))
    _refuse_measured(run, rows)
    return Training(
        run=run,
        name=config.name or run.path.resolve().name,
        config=config,
        manifest=_manifest(run),
        status=status(run),
        adapter=student,
        rounds=rounds,
        rows=rows,
    )


def _manifest(run: RunFolder) -> dict[str, Any]:
    path = run.path / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); restore it from a copy.") from error
    return found


def _student(run: RunFolder) -> tuple[Adapter | None, list[int]]:
    """The student after the last finished round, and the rounds that were kept."""
    records = [item for stage in rounds_of(run) for item in read_records(run, stage, "round", RoundRecord)]
    kept = [record.index for record in records if record.decision.keep and record.candidate is not None]
    return (records[-1].student if records else None), kept


def _texts(run: RunFolder, rounds: Sequence[RoundFacts], config: RunConfig) -> dict[tuple[str, Origin], Problem]:
    """Problems by id and origin: drafts of every round up to the last one, and the replay."""
    found: dict[tuple[str, Origin], Problem] = {}
    for index in range(rounds[-1].index + 1):
        facts = next((item for item in rounds if item.index == index), None) or round_facts(run, index)
        for batch in facts.batches:
            for draft in batch.drafts:
                found.setdefault((draft.problem.id, Origin.NEW), draft.problem)
    for problem in read_split(config, Split.REPLAY):
        found.setdefault((problem.id, Origin.REPLAY), problem)
    missing = [
        item.problem_id
        for facts in rounds
        for item in (facts.mixture.items if facts.mixture else ())
        if (item.problem_id, item.origin) not in found
    ]
    if missing:
        raise DataError(
            f"data.replay: {config.data.replay.path} lacks {len(set(missing))} problems that {run.path} was trained on "
            f"(first {missing[0]}): the file has changed since. Put back the one the run was made with."
        )
    return found


def _rows(rounds: Sequence[RoundFacts], texts: dict[tuple[str, Origin], Problem]) -> tuple[Row, ...]:
    rows = []
    for facts in rounds:
        if facts.mixture is None:
            raise StoreError(f"{facts.stage} was kept, but its mixture is missing; restore {facts.stage}/mix.jsonl.")
        for item in facts.mixture.items:
            rows.append(Row(texts[item.problem_id, item.origin], item.origin, facts.index, item.weight))
    return tuple(rows)


def _refuse_measured(run: RunFolder, rows: Sequence[Row]) -> None:
    """No problem that is measured, by id or by text, may leave in training data, whatever file it came from."""
    refuse_sealed([row.problem for row in rows], "an export")
    measured: set[str] = set()
    for stage, step in (("base", "measure"), ("base", "guard"), ("final", "test")):
        for found in read_records(run, stage, step, Measurement):
            measured.update(attempt.problem_id for attempt in found.attempts)
    stored = read_records(run, "base", "data", Problem)
    measured.update(problem.id for problem in stored)
    texts = {normalise_text(problem.statement) for problem in stored}
    for row in rows:
        if row.problem.id in measured or normalise_text(row.problem.statement) in texts:
            raise SplitError(
                f"problem {row.problem.id} of round {row.round}'s mixture is measured by {run.path}; it may not leave "
                "in an export. The run's files or its replay were changed."
            )
