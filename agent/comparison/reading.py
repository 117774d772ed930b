"""What the finished units of a comparison hold: right and wrong, item by item, and what each unit used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.comparison.design import Design, Unit
from agent.comparison.units import NEIGHBOURS, Neighbour, is_done, shared_folder, unit_folder
from agent.loop import FINAL
from agent.report.reading import read_records, rounds_of
from agent.report.spending import spending
from eval.scores import Scores
from memory.errors import UsageError
from memory.records import Attempt, Diagnosis, Measurement, Mixture, Outcome, RoundRecord, Weakness
from memory.store import RunFolder


@dataclass(frozen=True)
class Used:
    """What one unit used and made, over its rounds. ``new`` are the accepted problems it trained on.

    ``tokens`` are the teacher's, refused drafts and all checks that ask it included; ``target`` are the training
    tokens that its mixtures were filled up to.
    """

    new: int
    wanted: int
    drafted: int
    accepted: int
    tokens: int
    train_tokens: int
    refused: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Regions:
    """Which test items lie where the base failed: nearest probe problem failed (``targeted``), and in which cluster.

    ``clusters`` are those of the first seed's diagnosis; ``of_item`` gives an index into them, -1 for none.
    """

    targeted: np.ndarray  # (items,) bool
    clusters: tuple[Weakness, ...]
    of_item: np.ndarray  # (items,) int


def unit_right(folder: Path, unit: Unit) -> dict[str, int]:
    """1 or 0 for each test item of a finished unit."""
    (found,) = read_records(RunFolder(unit_folder(folder, unit)), FINAL, "test-1", Measurement)
    return _right(found)


def base_right(folder: Path, design: Design) -> dict[str, int]:
    """1 or 0 for each test item, of the base."""
    (found,) = read_records(RunFolder(shared_folder(folder, design.seeds[0])), FINAL, "test", Measurement)
    return _right(found)


def _right(found: Measurement) -> dict[str, int]:
    return {attempt.problem_id: int(attempt.outcome is Outcome.CORRECT) for attempt in found.attempts}


def finished(folder: Path, design: Design) -> list[Unit]:
    """The units that have been measured.

    Raises:
        UsageError: there is none.
    """
    units = [unit for unit in design.units if is_done(folder, unit)]
    if not units:
        raise UsageError(f"No unit of {folder} is finished yet; `remedial resume {folder}` goes on with it.")
    return units


def scores_at(folder: Path, design: Design, units: list[Unit], budget: int, items: tuple[str, ...]) -> Scores:
    """The table of all finished units of one budget, arms in the design's order."""
    chosen = [unit for unit in units if unit.budget == budget]
    tables, seeds = {}, {}
    for arm in design.arms:
        of_arm = [unit for unit in chosen if unit.arm == arm]
        if not of_arm:
            continue
        columns = [unit_right(folder, unit) for unit in of_arm]
        tables[arm] = np.array([[column[item] for column in columns] for item in items], dtype=np.float64)
        seeds[arm] = tuple(str(unit.seed) for unit in of_arm)
    return Scores(items, seeds, tables)


def used(folder: Path, unit: Unit) -> Used:
    """What a finished unit used."""
    run = RunFolder(unit_folder(folder, unit))
    rounds = [found for stage in rounds_of(run) for found in read_records(run, stage, "round", RoundRecord)]
    mixtures = [found for stage in rounds_of(run) for found in read_records(run, stage, "mix", Mixture)]
    spent = spending(run)
    drafting = sum(record.cost.prompt_tokens + record.cost.completion_tokens for record in rounds)
    paid = None if spent is None else spent["total"]["prompt_tokens"] + spent["total"]["completion_tokens"]
    refused: dict[str, int] = {}
    for record in rounds:
        for reason, n in record.refused.items():
            refused[reason] = refused.get(reason, 0) + n
    return Used(
        new=sum(mixture.counts.get("new", 0) for mixture in mixtures),
        wanted=unit.budget * max(1, len(rounds)) if unit.arm != "replay" else 0,
        drafted=sum(record.drafted for record in rounds),
        accepted=sum(record.accepted for record in rounds),
        tokens=drafting if paid is None else paid,
        train_tokens=sum(record.train_tokens for record in rounds),
        refused=refused,
        seconds=sum(sum(steps.values()) for steps in run.timings().values()),
    )


def regions(folder: Path, design: Design, items: tuple[str, ...]) -> Regions:
    """Where each test item lies among what the base failed and solved on the probe split."""
    run = RunFolder(shared_folder(folder, design.seeds[0]))
    near = {found.problem_id: found.probe_id for found in read_records(run, FINAL, NEIGHBOURS.name, Neighbour)}
    attempts = read_records(run, "round-00", "probe", Attempt)
    failed = {attempt.problem_id for attempt in attempts if attempt.outcome is not Outcome.CORRECT}
    diagnoses = read_records(run, "round-00", "diagnose", Diagnosis)
    clusters = diagnoses[0].weaknesses if diagnoses else ()
    place = {name: at for at, weakness in enumerate(clusters) for name in weakness.problem_ids}
    probes = [near.get(item, "") for item in items]
    return Regions(
        targeted=np.array([name in failed for name in probes], dtype=bool),
        clusters=tuple(clusters),
        of_item=np.array([place.get(name, -1) for name in probes], dtype=np.int64),
    )
