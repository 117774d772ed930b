"""One round, read as the algorithm: nine verbs in order, repeated drafts where too few were accepted.

probe -> diagnose -> allocate -> draft -> verify -> mix -> anneal -> measure -> decide
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from agent.decide import decide, keep_always
from agent.parts import LoopState, Parts
from agent.review.revise import Steering, by_hand, vetoed
from agent.step import StepRunner, Verb
from agent.verbs import ALLOCATE, ANNEAL, DIAGNOSE, DRAFT, GUARD, LOSSES, MEASURE, MIX, PROBE, VERIFY, Failed, Loss
from eval.engines.base import Engine, Sampling
from memory.ids import derive_seed
from memory.records import (
    Accepted,
    Attempt,
    Cost,
    Decision,
    Diagnosis,
    Draft,
    DraftBatch,
    Measurement,
    Mixture,
    Outcome,
    Problem,
    RoundRecord,
    StopReason,
    Verdict,
)
from synthesis.strategies.base import Aim, Strategy, View
from synthesis.teachers.base import Teacher
from synthesis.teachers.corpus import given_before
from training.base import Example, Trainer
from training.mixing import replay_needed

RECORD = Verb("round", RoundRecord, lambda context, record: [record], fault="round.record")


def run_round(state: LoopState, parts: Parts, step: StepRunner, index: int) -> tuple[RoundRecord, LoopState]:
    """Run round ``index`` and return its record and the state for the next one."""
    config = parts.config
    engine = parts.student(state.student)
    aimed = aim(state, parts, step, index, engine)
    if aimed.diagnosis is not None and not aimed.diagnosis.weaknesses:
        return _nothing_failed(state, parts, step, index, aimed.diagnosis)
    harvest = gather(state, parts, step, aimed, index, engine)
    new = (*state.pool, *harvest.trained) if parts.trains_from_base else harvest.trained
    (mixture,) = step(MIX, new, parts.replay, config.mix.new, config.mix.replay, _weighed(parts, state))
    start = parts.base if parts.trains_from_base else state.student
    (adapter,) = step(ANNEAL, parts.trainer, start, examples_of(mixture, (*new, *parts.replay)))
    engine.close()
    dev: Measurement | None = None
    guards: tuple[Measurement, ...] = ()
    if config.decide.keep == "always":
        decision = keep_always(index, config.loop)
    else:
        candidate = parts.student(adapter)
        (dev,) = step(MEASURE, candidate, [parts.benchmarks["dev"]], greedy(parts), [state.dev] if state.dev else [])
        guards = step(GUARD, candidate, parts.guards, greedy(parts), state.base_guards) if parts.guards else ()
        candidate.close()
        decision = decide(
            dev.report,
            [guard.report for guard in guards],
            round_index=index,
            history=state.history,
            config=config.decide,
            loop=config.loop,
        )
    record = RoundRecord(
        index=index,
        student=adapter if decision.keep else state.student,
        candidate=adapter,
        decision=decision,
        dev=dev.report if dev else None,
        guards=tuple(guard.report for guard in guards),
        drafted=harvest.drafted,
        accepted=len(harvest.accepted),
        refused=harvest.refused,
        cost=harvest.cost,
        train_tokens=int(adapter.train.get("n_tokens", 0)),
        config_hash=config.hash,
    )
    (record,) = step(RECORD, record)
    return record, LoopState(
        student=record.student,
        dev=dev if decision.keep else state.dev,
        base_guards=state.base_guards,
        pool=(*state.pool, *harvest.trained) if decision.keep else state.pool,
        seen=(*state.seen, *harvest.known),
        diagnosis=aimed.diagnosis,
        history=[*state.history, record],
    )


@dataclass(frozen=True)
class Aimed:
    """What a round's budget goes to, and the diagnosis it rests on; None where the strategy asks for nothing.

    ``diagnosis`` is as it was found, for the next round to be matched with; ``aims`` and ``steering`` are as reviewed.
    """

    diagnosis: Diagnosis | None
    aims: tuple[Aim, ...]
    steering: Steering = field(default_factory=Steering)


def aim(state: LoopState, parts: Parts, step: StepRunner, index: int, engine: Engine) -> Aimed:
    """Probe, diagnose, and let the strategy choose what to show."""
    config, probe = parts.config, parts.benchmarks["probe"]
    strategy = parts.strategies[config.draft.strategy]
    if strategy.writer == "nobody":
        return Aimed(None, ())
    problems = probe.problems()
    attempts = step(PROBE, engine, probe, probe_sampling(parts, step.seed, index))
    (diagnosis,) = step(DIAGNOSE, problems, attempts, parts.embedder, config.diagnose, index, state.diagnosis)
    if not diagnosis.weaknesses:
        return Aimed(diagnosis, ())
    reviewed, steering = parts.gate.diagnosis(step.run, index, diagnosis)
    losses: Sequence[Loss] = ()
    if strategy.needs_losses:
        losses = step(LOSSES, parts.trainer, state.student, state.student.sha256, problems)
    failed = failed_pairs(problems, attempts)
    view = View(
        problems=tuple(problems),
        clusters=tuple(
            Aim(weakness, tuple(failed[name] for name in weakness.problem_ids)) for weakness in reviewed.weaknesses
        ),
        losses={item.problem_id: item.loss for item in losses},
        dropped=frozenset(failed_in(diagnosis)) - failed_in(reviewed),
    )
    return Aimed(diagnosis, tuple(strategy.aims(view, derive_seed(step.seed, step.stage, "aims"))), steering)


def _weighed(parts: Parts, state: LoopState) -> tuple[Trainer, int] | None:
    """Where replay is counted out by tokens: by whom, and as how many problems of the average length."""
    config = parts.config
    if config.mix.replay_by == "examples":
        return None
    n_new = config.allocate.new_examples + (len(state.pool) if parts.trains_from_base else 0)
    return parts.trainer, n_new + replay_needed(n_new, config.mix.new)


@dataclass(frozen=True)
class Harvest:
    """What drafting and verifying brought in over all waves. ``trained`` are the accepted ones the plan asked for.

    ``known`` are those that may not be written again: accepted now, or vetoed by a person.
    """

    drafted: int
    accepted: tuple[Problem, ...]
    known: tuple[Problem, ...]
    trained: tuple[Problem, ...]
    refused: dict[str, int]
    cost: Cost


NOTHING = Harvest(drafted=0, accepted=(), known=(), trained=(), refused={}, cost=Cost())


def gather(
    state: LoopState,
    parts: Parts,
    step: StepRunner,
    aimed: Aimed,
    index: int,
    student: Engine,
) -> Harvest:
    """Split the budget over the aims; draft and verify until each has its part or the top-ups are used up.

    What a person then vetoes is not asked for again: the round goes on with the spare ones there are.
    """
    config, verify, aims, steering = parts.config.draft, parts.config.verify, aimed.aims, aimed.steering
    strategy = parts.strategies[config.strategy]
    if not aims:
        return NOTHING
    # Only where there are some: the inputs of a round that nobody reviewed are what they always were.
    weights = (steering.weights,) if steering.weights else ()
    notes = (steering.notes,) if steering.notes else ()
    (plan,) = step(ALLOCATE, aims, parts.config.allocate, strategy.name, index, *weights)
    quota = {allotment.weakness_id: allotment.n for allotment in plan.allotments if allotment.n > 0}
    batches: list[DraftBatch] = []
    verdicts: list[Verdict] = []
    accepted: list[Draft] = []
    for wave in range(config.top_ups + 1):
        have = Counter(draft.weakness_id for draft in accepted)
        missing = {weakness: n - have[weakness] for weakness, n in quota.items() if n > have[weakness]}
        if not missing:
            break
        wanted = {weakness: math.ceil(n * config.overdraft - 1e-9) for weakness, n in missing.items()}
        new_batches = step(DRAFT, wanted, aims, strategy, _writer(strategy, parts, state, batches), *notes, wave=wave)
        drafts = [draft for batch in new_batches for draft in batch.drafts]
        if strategy.writer == "teacher":  # a corpus that runs dry is no broken teacher
            parts.limits.check_replies(new_batches)
        verifiers = parts.verifiers((*state.seen, *(draft.problem for draft in accepted)), student)
        require, independent = verify.require, verify.min_independent
        if strategy.checks is not None:
            verifiers = [verifier for verifier in verifiers if verifier.name in strategy.checks]
            require, independent = (), 0
        new_verdicts = step(VERIFY, drafts, verifiers, require, independent, wave=wave)
        yes = {verdict.draft_id for verdict in new_verdicts if verdict.accepted is Accepted.YES}
        accepted += [draft for draft in drafts if draft.id in yes]
        batches += new_batches
        verdicts += new_verdicts
    known, reviewed = accepted, parts.gate.verdicts(step.run, index, verdicts)
    if reviewed != verdicts:
        verdicts = reviewed
        accepted, known = after_review([draft for batch in batches for draft in batch.drafts], verdicts)
    first = {verdict.draft_id for verdict in verdicts if by_hand(verdict)}
    refused = Counter(verdict.reason for verdict in verdicts if verdict.accepted is not Accepted.YES)
    refused.update(f"reply:{refusal.reason}" for batch in batches for refusal in batch.refusals)
    return Harvest(
        drafted=sum(len(batch.drafts) + len(batch.refusals) for batch in batches),
        accepted=tuple(draft.problem for draft in accepted),
        known=tuple(draft.problem for draft in known),
        trained=within_quota(accepted, quota, first),
        refused=dict(sorted(refused.items())),
        cost=Cost(
            prompt_tokens=sum(batch.cost.prompt_tokens for batch in batches),
            completion_tokens=sum(batch.cost.completion_tokens for batch in batches),
        ),
    )


def after_review(drafts: Sequence[Draft], verdicts: Sequence[Verdict]) -> tuple[list[Draft], list[Draft]]:
    """The accepted drafts after a review, and those that may not be written again: vetoed ones are among them."""
    pairs = list(zip(drafts, verdicts, strict=True))
    accepted = [draft for draft, verdict in pairs if verdict.accepted is Accepted.YES]
    return accepted, [draft for draft, verdict in pairs if verdict.accepted is Accepted.YES or vetoed(verdict)]


def within_quota(
    accepted: Sequence[Draft], quota: Mapping[str, int], first: Set[str] = frozenset()
) -> tuple[Problem, ...]:
    """What is trained: as many of each cluster as planned, by id; those a person chose (``first``) before others."""
    trained: list[Problem] = []
    taken: Counter[str] = Counter()
    for draft in sorted(accepted, key=lambda item: (item.id not in first, item.id)):
        if taken[draft.weakness_id] < quota[draft.weakness_id]:
            taken[draft.weakness_id] += 1
            trained.append(draft.problem)
    return tuple(trained)


def _writer(strategy: Strategy, parts: Parts, state: LoopState, batches: Sequence[DraftBatch]) -> Teacher:
    """Who answers the next wave. A corpus is told what was given before: that alone makes it reach deeper."""
    if strategy.writer == "corpus":
        assert parts.corpus is not None  # wiring makes whom the strategy asks
        return parts.corpus.beyond(given_before(state.seen, batches))
    if strategy.writer == "web":
        assert parts.web is not None
        return parts.web
    return parts.teacher


def failed_in(diagnosis: Diagnosis) -> set[str]:
    """The failed problems in the clusters of a diagnosis."""
    return {name for weakness in diagnosis.weaknesses for name in weakness.problem_ids}


def failed_pairs(problems: Sequence[Problem], attempts: Sequence[Attempt]) -> Failed:
    """Each failed problem with its first failing attempt."""
    by_id = {problem.id: problem for problem in problems}
    pairs: dict[str, tuple[Problem, Attempt]] = {}
    for attempt in sorted(attempts, key=lambda item: (item.problem_id, item.sample_index)):
        if attempt.outcome is not Outcome.CORRECT and attempt.problem_id not in pairs:
            pairs[attempt.problem_id] = (by_id[attempt.problem_id], attempt)
    return pairs


def examples_of(mixture: Mixture, problems: Sequence[Problem]) -> list[Example]:
    """The mixture as training examples, in its order; completions are the worked solutions."""
    by_id = {problem.id: problem for problem in problems}
    chosen = [by_id[item.problem_id] for item in mixture.items]
    return [Example(problem.id, problem.statement, problem.solution or "") for problem in chosen]


def greedy(parts: Parts) -> Sampling:
    """How dev, guard and test are measured: greedy, one sample."""
    return Sampling(max_new_tokens=parts.config.student.max_new_tokens)


def probe_sampling(parts: Parts, seed: int, index: int) -> Sampling:
    """How the probe split is asked; the seed matters only where the temperature is above 0."""
    probe = parts.config.probe
    seed = (seed + index) if probe.temperature > 0 else 0
    return Sampling(probe.num_samples, probe.temperature, probe.top_p, parts.config.student.max_new_tokens, seed)


def _nothing_failed(
    state: LoopState, parts: Parts, step: StepRunner, index: int, diagnosis: Diagnosis
) -> tuple[RoundRecord, LoopState]:
    decision = Decision(
        keep=False,
        stop=StopReason.NO_FAILURES,
        reason="every probe problem was solved",
        alpha=parts.config.decide.alpha,
    )
    (record,) = step(
        RECORD,
        RoundRecord(
            index=index, student=state.student, candidate=None, decision=decision, dev=None,
            config_hash=parts.config.hash,
        ),
    )  # fmt: skip
    state.diagnosis = diagnosis
    state.history = [*state.history, record]
    return record, state
