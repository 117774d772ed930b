"""The nine verbs as stored steps: thin functions that call the real work and say how its result is kept.

Owns the translation between parts and records. Effects belong to `agent.step`, the order to `agent.round`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.allocate import allocate
from agent.config import AllocateConfig, DiagnoseConfig
from agent.diagnose import diagnose
from agent.step import StepContext, Verb
from eval.benchmarks.base import Benchmark
from eval.engines.base import Engine, Sampling
from eval.measure import measure
from memory.embedding import Embedder
from memory.ids import derive_seed, short_id
from memory.records import (
    Adapter,
    Allocation,
    Attempt,
    Diagnosis,
    Draft,
    DraftBatch,
    Measurement,
    Mixture,
    Problem,
    Record,
    Verdict,
    refuse_labels,
    refuse_sealed,
)
from memory.store import hash_tree
from synthesis.strategies.base import Aim, Strategy
from synthesis.strategies.envelope import misconception_of
from synthesis.teachers.base import Teacher
from synthesis.verification.base import Verifier
from synthesis.verification.earning import Earned, earn_place_asking
from synthesis.verification.policy import judge
from training.base import Example, Trainer
from training.mixing import mix, mix_to_tokens

#: A failed problem with one wrong attempt of the student, by problem id.
Failed = Mapping[str, tuple[Problem, Attempt]]


class Loss(Record):
    """The student's mean loss on a problem's gold solution, nats per token."""

    problem_id: str
    loss: float


def _measure(
    context: StepContext,
    engine: Engine,
    benchmarks: Sequence[Benchmark],
    sampling: Sampling,
    compared_with: Sequence[Measurement],
) -> list[Measurement]:
    """Measure one student on each benchmark, paired with the measurement of the same name where there is one."""
    earlier = {measurement.report.benchmark: measurement for measurement in compared_with}
    context.progress.start(sum(len(benchmark.problems()) for benchmark in benchmarks), "problems")
    return [
        measure(benchmark, engine, sampling, incumbent=earlier.get(benchmark.name), progress=context.progress.advance)
        for benchmark in benchmarks
    ]


def _earn(context: StepContext, verifiers: Sequence[Verifier], gold: Sequence[Problem]) -> list[Earned]:
    """Verifiers that ask a model are tried on gold answers before any draft is."""
    context.progress.start(len(gold), "gold answers")
    return earn_place_asking(verifiers, gold)


def _probe(context: StepContext, engine: Engine, benchmark: Benchmark, sampling: Sampling) -> Sequence[Attempt]:
    """All attempts at the probe problems."""
    return _measure(context, engine, [benchmark], sampling, ())[0].attempts


def _losses(
    context: StepContext, trainer: Trainer, student: Adapter, weights: str | None, problems: Sequence[Problem]
) -> list[Loss]:
    """The student's loss on each gold solution, or on the answer where there is none; ``weights`` are its hash."""
    refuse_sealed(problems, "the choice of what is shown to a teacher")
    context.progress.start(len(problems), "problems")
    examples = [Example(problem.id, problem.statement, problem.solution or problem.answer) for problem in problems]
    adapter = context.run_dir / student.path if student.path else None
    found = trainer.losses(adapter, examples, context.progress.advance)
    return [Loss(problem_id=problem.id, loss=loss) for problem, loss in zip(problems, found, strict=True)]


def _diagnose(
    context: StepContext,
    problems: Sequence[Problem],
    attempts: Sequence[Attempt],
    embedder: Embedder,
    config: DiagnoseConfig,
    round_index: int,
    previous: Diagnosis | None,
) -> list[Diagnosis]:
    """Cluster the failures."""
    refuse_labels(problems, "diagnosis")
    found = diagnose(
        problems,
        attempts,
        embedder,
        config=config,
        round_index=round_index,
        previous=previous,
        seed=context.seed,
    )
    return [found]


def _allocate(
    context: StepContext,
    aims: Sequence[Aim],
    config: AllocateConfig,
    strategy: str,
    round_index: int,
    weights: Mapping[str, float] | None = None,
) -> list[Allocation]:
    """Split the round's budget."""
    return [
        allocate(
            [aim.weakness for aim in aims],
            method=config.method,
            budget=config.new_examples,
            strategy=strategy,
            round_index=round_index,
            min_per_cluster=config.min_per_cluster,
            weights=weights,
        )
    ]


def _draft(
    context: StepContext,
    wanted: Mapping[str, int],
    aims: Sequence[Aim],
    strategy: Strategy,
    teacher: Teacher,
    notes: Mapping[str, str] | None = None,
) -> list[DraftBatch]:
    """Ask the teacher for ``wanted[weakness id]`` problems each, with a reviewer's note; one batch for each request."""
    requests = []
    for aim in aims:
        n = wanted.get(aim.weakness.id, 0)
        if n <= 0:
            continue
        refuse_sealed([problem for problem, _ in aim.shown], "the teacher")
        refuse_labels([problem for problem, _ in aim.shown], "the teacher")
        asked = strategy.requests(aim.weakness, aim.shown, n, derive_seed(context.seed, aim.weakness.id))
        note = (notes or {}).get(aim.weakness.id)
        requests += asked if note is None else [request.noted(note) for request in asked]
    context.progress.start(len(requests), "requests")
    replies = teacher.ask(requests, progress=context.progress.advance)
    batches = []
    for request, reply in zip(requests, replies, strict=True):
        drafts, refusals = strategy.parse(request, reply)
        batches.append(
            DraftBatch(
                drafts=tuple(drafts),
                refusals=tuple(refusals),
                cost=reply.cost,
                misconception=misconception_of(reply),
            )
        )
    return batches


def _verify(
    context: StepContext,
    drafts: Sequence[Draft],
    verifiers: Sequence[Verifier],
    require: Sequence[str] | None,
    min_independent: int,
) -> list[Verdict]:
    """One verdict for each draft."""
    context.progress.start(len(drafts), "drafts")
    verdicts = judge(drafts, verifiers, require=require, min_independent=min_independent)
    context.progress.advance(len(drafts))
    return verdicts


def _mix(
    context: StepContext,
    new: Sequence[Problem],
    replay: Sequence[Problem],
    new_share: float,
    replay_share: float,
    weighed: tuple[Trainer, int] | None,
) -> list[Mixture]:
    """The round's training set: by counts, or ``weighed`` by a trainer's tokens as so many replay problems."""
    if weighed is not None:
        trainer, total = weighed
        problems = [*new, *replay]
        examples = [Example(problem.id, problem.statement, problem.solution or "") for problem in problems]
        lengths = dict(zip((problem.id for problem in problems), trainer.lengths(examples), strict=True))
        return [mix_to_tokens(new, replay, lengths, new_share=new_share, total=total, seed=context.seed)]
    return [mix(new, replay, new_share=new_share, replay_share=replay_share, seed=context.seed)]


def _anneal(context: StepContext, trainer: Trainer, start: Adapter, examples: Sequence[Example]) -> list[Adapter]:
    """Train; the adapter's id is the hash of its files."""
    context.progress.start(len(examples), "examples")
    output = context.folder / "adapter"
    result = trainer.anneal(
        context.run_dir / start.path if start.path else None,
        examples,
        seed=context.seed,
        output_dir=output,
        scratch_dir=context.scratch(),
        progress=context.progress.advance,
    )
    digest = short_id("adapter", hash_tree(output))
    return [
        Adapter(id=digest, path=f"{context.stage}/adapter", sha256=digest, rank=result.rank, train=dict(result.stats))
    ]


MEASURE = Verb("measure", Measurement, _measure, seeded=False)
GUARD = Verb("guard", Measurement, _measure, seeded=False)
TEST = Verb("test", Measurement, _measure, fault="test.opened", seeded=False)
EARN = Verb("earn", Earned, _earn)
PROBE = Verb("probe", Attempt, _probe, seeded=False)
LOSSES = Verb("losses", Loss, _losses, seeded=False)
DIAGNOSE = Verb("diagnose", Diagnosis, _diagnose)
ALLOCATE = Verb("allocate", Allocation, _allocate)
DRAFT = Verb("draft", DraftBatch, _draft)
VERIFY = Verb("verify", Verdict, _verify)
MIX = Verb("mix", Mixture, _mix, fault="mix.commit")
ANNEAL = Verb("anneal", Adapter, _anneal, folders=("adapter",), fault="anneal.exported")
