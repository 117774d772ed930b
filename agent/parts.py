"""What a round works with: the concrete parts, handed in by `agent.wiring`, and the state between rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from agent.config import RunConfig
from agent.limits import Limits
from agent.review.gate import Gate
from eval.benchmarks.base import Benchmark
from eval.engines.base import Engine
from memory.embedding import Embedder
from memory.records import Adapter, Cost, Diagnosis, Measurement, Problem, RoundRecord
from memory.store import RunFolder
from synthesis.strategies.base import Strategy
from synthesis.teachers.base import Teacher
from synthesis.teachers.corpus import CorpusTeacher
from synthesis.verification.base import Verifier
from training.base import Trainer


@dataclass(frozen=True)
class Parts:
    """The concrete parts of a run. Engines load their weights only when first asked to generate."""

    config: RunConfig
    student: Callable[[Adapter], Engine]
    benchmarks: Mapping[str, Benchmark]  # probe, dev, test, and guard where there is one
    replay: tuple[Problem, ...]
    embedder: Embedder
    teacher: Teacher
    corpus: CorpusTeacher | None  # answers by retrieval, where the strategy asks for that
    web: Teacher | None  # answers with text as it is found, where the config names some
    strategies: Mapping[str, Strategy]
    verifiers: Callable[[Sequence[Problem], Engine], Sequence[Verifier]]  # given what was accepted, and the student
    trainer: Trainer
    base: Adapter  # the bare base: no adapter path
    trains_from_base: bool
    limits: Limits
    within: Callable[[str, str], AbstractContextManager[None]]  # says to which stage and step spending belongs
    donors: tuple[RunFolder, ...] = ()  # runs whose equal steps are taken over
    gate: Gate = field(default_factory=Gate)  # where a person looks before a round goes on

    @property
    def guards(self) -> tuple[Benchmark, ...]:
        """Benchmarks the student must not lose on."""
        return tuple(item for name, item in sorted(self.benchmarks.items()) if name.startswith("guard"))


@dataclass
class LoopState:
    """What one round hands to the next."""

    student: Adapter
    dev: Measurement | None  # None where nothing is decided on it
    base_guards: tuple[Measurement, ...]
    pool: tuple[Problem, ...] = ()  # accepted and trained in rounds that were kept
    seen: tuple[Problem, ...] = ()  # accepted in any round
    diagnosis: Diagnosis | None = None
    history: list[RoundRecord] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """Teacher tokens so far, refused drafts included."""
        return Cost(
            prompt_tokens=sum(record.cost.prompt_tokens for record in self.history),
            completion_tokens=sum(record.cost.completion_tokens for record in self.history),
        )
