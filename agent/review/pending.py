"""What a paused run waits for: the clusters or drafts to look at, with what is needed to judge them.

Read from the run folder alone; loads no model. Owns what is shown, not what may be decided (`agent.review.check`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.allocate import allocate
from agent.config import RunConfig, load_config
from agent.report.reading import read_records
from agent.review.overrule import copies_measured, objection
from agent.review.revise import revise_diagnosis
from agent.review.state import decided, stage_of, waiting, waves
from agent.triage import wrong_answers
from memory.ids import derive_seed
from memory.records import (
    Accepted,
    Attempt,
    Check,
    Diagnosis,
    DraftBatch,
    Problem,
    Record,
    Trend,
    Verdict,
    Weakness,
)
from memory.reviews import ClusterDecision, Decisions, Point
from memory.store import CONFIG, RunFolder
from synthesis.strategies.base import Aim, View
from synthesis.strategies.table import make_strategy

EXAMPLES = 3


class Example(Record):
    """A failed problem with its gold answer and the answer read from the student's first failing attempt."""

    id: str
    statement: str
    answer: str
    student: str | None


class ClusterView(Record):
    """A cluster to decide about; rates are in [0, 1].

    ``planned`` is what it would get of the round's budget as things stand; None where the strategy does not spend by
    cluster.
    """

    id: str
    label: str
    keyphrases: tuple[str, ...]
    n: int
    failures: int
    failure_rate: float
    low: float
    high: float
    stability: float | None
    trend: Trend
    parent: str | None
    parent_failures: int | None
    note: str | None
    planned: int | None
    examples: tuple[Example, ...]


class DraftView(Record):
    """A draft to decide about. ``objection`` says why a refused one can't be accepted by hand; None where it can.

    ``withheld``: it copies a measured problem, perhaps of the sealed test; statement, solution, answer and evidence are
    empty, so that whoever writes notes to a teacher does not read it here.
    """

    id: str
    weakness_id: str
    cluster: str
    strategy: str
    teacher: str
    statement: str
    solution: str | None
    answer: str
    accepted: bool
    reason: str
    checks: tuple[Check, ...]
    objection: str | None
    withheld: bool


class Pending(Record):
    """A review that is to be made.

    ``clusters`` are there after diagnose, ``drafts`` after verify: accepted ones first. ``decisions`` changes nothing:
    what `agent.review.submit.submit` is given when all is approved.
    """

    run: str
    round: int
    point: Point
    state: str
    budget: int
    clusters: tuple[ClusterView, ...] = ()
    drafts: tuple[DraftView, ...] = ()
    decisions: Decisions


def pending(run: RunFolder) -> Pending | None:
    """The review the run waits for, None where it waits for none.

    Raises:
        StoreError: the run folder is damaged.
    """
    found = waiting(run)
    if found is None:
        return None
    index, point, state = found
    config = load_config(run.path / CONFIG)
    clusters = _clusters(run, index, config) if point is Point.DIAGNOSE else ()
    return Pending(
        run=str(run.path),
        round=index,
        point=point,
        state=state,
        budget=config.allocate.new_examples,
        clusters=clusters,
        drafts=_drafts(run, index) if point is Point.VERIFY else (),
        decisions=Decisions(
            round=index, point=point, state=state, clusters=tuple(ClusterDecision(id=item.id) for item in clusters)
        ),
    )


def _clusters(run: RunFolder, index: int, config: RunConfig) -> tuple[ClusterView, ...]:
    stage = stage_of(index)
    (diagnosis,) = read_records(run, stage, "diagnose", Diagnosis)
    problems = {problem.id: problem for problem in read_records(run, "base", "data", Problem)}
    wrong = wrong_answers(read_records(run, stage, "probe", Attempt))
    planned = planned_budget(diagnosis.weaknesses, config)
    shared = set(ClusterView.model_fields) & set(Weakness.model_fields)
    return tuple(
        ClusterView(
            **{name: getattr(item, name) for name in shared},
            planned=planned.get(item.id) if planned is not None else None,
            examples=tuple(
                Example(
                    id=name,
                    statement=problems[name].statement,
                    answer=problems[name].answer,
                    student=wrong.get(name),
                )
                for name in item.problem_ids[:EXAMPLES]
                if name in problems
            ),
        )
        for item in diagnosis.weaknesses
    )


def planned_budget(
    weaknesses: Sequence[Weakness], config: RunConfig, weights: Mapping[str, float] | None = None
) -> dict[str, int] | None:
    """What each cluster would get, by its id; None where the strategy does not spend its budget on clusters."""
    strategy = make_strategy(config.draft.strategy)
    if strategy.needs_losses or strategy.writer == "nobody":
        return None
    view = View(problems=(), clusters=tuple(Aim(weakness, ()) for weakness in weaknesses))
    aims = strategy.aims(view, derive_seed("planned"))
    if {aim.weakness.id for aim in aims} != {weakness.id for weakness in weaknesses}:
        return None
    plan = allocate(
        weaknesses,
        method=config.allocate.method,
        budget=config.allocate.new_examples,
        strategy=strategy.name,
        round_index=0,
        min_per_cluster=config.allocate.min_per_cluster,
        weights=weights or {},
    )
    return {allotment.weakness_id: allotment.n for allotment in plan.allotments}


def _drafts(run: RunFolder, index: int) -> tuple[DraftView, ...]:
    stage = stage_of(index)
    (diagnosis,) = read_records(run, stage, "diagnose", Diagnosis)
    review = decided(run, index, Point.DIAGNOSE)
    revised, _ = revise_diagnosis(diagnosis, review.decisions if review is not None else None)
    labels = {weakness.id: weakness.label for weakness in revised.weaknesses}
    verdicts: dict[str, Verdict] = {}
    for step in waves(run, stage, "verify"):
        for verdict in read_records(run, stage, step, Verdict):
            known = verdicts.get(verdict.draft_id)  # a draft that was written twice is refused the second time
            if known is None or known.accepted is not Accepted.YES:
                verdicts[verdict.draft_id] = verdict
    found: dict[str, DraftView] = {}
    for step in waves(run, stage, "draft"):
        for batch in read_records(run, stage, step, DraftBatch):
            for draft in batch.drafts:
                own = verdicts.get(draft.id)
                if own is None:
                    continue
                accepted = own.accepted is Accepted.YES
                hidden = not accepted and copies_measured(own)
                found[draft.id] = DraftView(
                    id=draft.id,
                    weakness_id=draft.weakness_id,
                    cluster=labels.get(draft.weakness_id, ""),
                    strategy=draft.strategy,
                    teacher=draft.teacher,
                    statement="" if hidden else draft.problem.statement,
                    solution=None if hidden else draft.problem.solution,
                    answer="" if hidden else draft.problem.answer,
                    accepted=accepted,
                    reason=own.reason,
                    checks=tuple(check.model_copy(update={"evidence": ""}) for check in own.checks)
                    if hidden
                    else own.checks,
                    objection=None if accepted else objection(own),
                    withheld=hidden,
                )
    order = {weakness.id: at for at, weakness in enumerate(revised.weaknesses)}
    return tuple(
        sorted(
            found.values(),
            key=lambda item: (not item.accepted, item.objection is not None, order.get(item.weakness_id, -1), item.id),
        )
    )
