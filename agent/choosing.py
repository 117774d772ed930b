"""The one cluster that a preview shows: out of a run's diagnosis, or a few look-alikes where nothing was measured.

Owns the choice and the counting of a round's requests. Asks nobody and loads no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.allocate import allocate
from agent.config import RunConfig
from agent.data import RunData
from agent.report.reading import read_records, rounds_of
from agent.round import failed_pairs
from agent.wiring import strategy_settings
from memory.embedding import HashingEmbedder
from memory.errors import UsageError
from memory.ids import short_id
from memory.masking import mask_corpus
from memory.phrases import keyphrases, labels
from memory.records import Attempt, Diagnosis, Finish, Outcome, Problem, TeacherRequest, Weakness
from memory.store import MANIFEST, RunFolder
from synthesis.strategies.base import Failure, Strategy
from synthesis.strategies.table import make_strategy

_GROUP = 4  # problems that stand for a cluster where nothing was diagnosed yet


@dataclass(frozen=True)
class Chosen:
    """The cluster that is shown.

    Attributes:
        weakness: the cluster.
        failed: its failed problems with an attempt.
        as_if: whether nothing is known of the student yet, so that the problems only stand for failed ones.
        source: where it comes from, in words.
        round_requests: teacher requests of a round's first wave, counted from the run's own diagnosis or, as if, from
            the config.
        round_problems: problems asked for in them.
    """

    weakness: Weakness
    failed: Sequence[Failure]
    as_if: bool
    source: str
    round_requests: int
    round_problems: int


def diagnosed(config: RunConfig, folder: Path, round_index: int | None) -> Chosen | None:
    """The largest cluster of a run's diagnosis, by default of the latest; None where there is none yet.

    Raises:
        UsageError: the round has no diagnosis, or found no failure.
    """
    run = RunFolder(folder) if (folder / MANIFEST).is_file() else None
    known = [] if run is None else [stage for stage in rounds_of(run) if run.marker(stage, "diagnose") is not None]
    if round_index is not None and f"round-{round_index:02d}" not in known:
        rounds = ", ".join(str(int(stage.removeprefix("round-"))) for stage in known) or "none yet"
        raise UsageError(f"{folder}: round {round_index} has no diagnosis. Diagnosed rounds: {rounds}.")
    if run is None or not known:
        return None
    stage = known[-1] if round_index is None else f"round-{round_index:02d}"
    (diagnosis,) = read_records(run, stage, "diagnose", Diagnosis)
    if not diagnosis.weaknesses:
        raise UsageError(
            f"{folder}: in {stage} the student solved every probe problem, so there is nothing to ask for."
        )
    problems = [item for item in read_records(run, "base", "data", Problem) if item.split == "probe"]
    failed = failed_pairs(problems, read_records(run, stage, "probe", Attempt))
    pairs = {item.id: [failed[name] for name in item.problem_ids] for item in diagnosis.weaknesses}
    requests, wanted = _count(config, diagnosis, pairs)
    weakness = max(diagnosis.weaknesses, key=lambda item: (item.failures, item.id))
    source = f"the largest of {len(diagnosis.weaknesses)} clusters that {folder} found in {stage}"
    return Chosen(weakness, pairs[weakness.id], False, source, requests, wanted)


def _count(config: RunConfig, diagnosis: Diagnosis, pairs: Mapping[str, Sequence[Failure]]) -> tuple[int, int]:
    """Requests and problems of a round's first wave, as the strategy itself would make them."""
    strategy = make_strategy(config.draft.strategy, **strategy_settings(config))
    plan = allocate(
        diagnosis.weaknesses,
        method=config.allocate.method,
        budget=config.allocate.new_examples,
        strategy=strategy.name,
        round_index=diagnosis.round,
        min_per_cluster=config.allocate.min_per_cluster,
    )
    by_id = {item.id: item for item in diagnosis.weaknesses}
    requests = wanted = 0
    for allotment in plan.allotments:
        n, name = _overdrafted(config, allotment.n), allotment.weakness_id
        wanted += n
        requests += len(strategy.requests(by_id[name], pairs[name], n, 0)) if n else 0
    return requests, wanted


def _overdrafted(config: RunConfig, n: int) -> int:
    return math.ceil(n * config.draft.overdraft - 1e-9)


def as_if(config: RunConfig, data: RunData) -> Chosen:
    """A probe problem and its nearest ones, as if the student had failed them: nobody has been asked."""
    vectors = HashingEmbedder().encode(mask_corpus([item.statement for item in data.probe]))  # (problems, dim)
    nearest = np.argsort(-(vectors @ vectors[0]), kind="stable")[:_GROUP]
    group = [data.probe[int(at)] for at in nearest]
    names = tuple(sorted(item.id for item in group))
    others = [item.statement for item in data.probe if item.id not in names]
    phrases = keyphrases([[item.statement for item in group], *([others] if others else [])])
    weakness = Weakness(
        id=short_id("w", ["preview", names]),
        round=0,
        label=labels(phrases)[0],
        keyphrases=phrases[0],
        problem_ids=names,
        n=len(group),
        failures=len(group),
        failure_rate=1.0,
        low=0.0,
        high=1.0,
    )
    failed = [(item, _no_attempt(item)) for item in group]
    wanted = _overdrafted(config, config.allocate.new_examples)
    source = (
        f"nothing was measured: {len(group)} probe problems that look alike, as if the student had failed them "
        "(in a run the teacher also sees the student's wrong answers)"
    )
    return Chosen(weakness, failed, True, source, math.ceil(wanted / config.draft.problems_per_request), wanted)


def _no_attempt(problem: Problem) -> Attempt:
    made = {"text": "", "n_tokens": 0, "finish": Finish.STOP, "outcome": Outcome.WRONG}
    return Attempt.make(problem_id=problem.id, student="nobody", sample_index=0, seed=0, **made)


def one_request(strategy: Strategy, chosen: Chosen, seed: int, problems: int) -> TeacherRequest:
    """The strategy's one request for so many problems; fewer failures are shown where all of them need several."""
    requests: list[TeacherRequest] = []
    for shown in range(min(len(chosen.failed), 2 * _GROUP), 0, -1):
        requests = strategy.requests(chosen.weakness, chosen.failed[:shown], problems, seed)
        if len(requests) == 1:
            break
    return requests[0]
