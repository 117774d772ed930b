"""The work of a comparison: what all units of a seed share, and one unit. Each is a run folder of its own.

Owns which steps are shared. Units know nothing of one another; order and workers are `agent.comparison.runner`'s.
"""

from __future__ import annotations

from pathlib import Path

from agent.comparison.design import Design, Unit, shared_config, unit_config
from agent.config import RunConfig
from agent.data import RunData
from agent.loop import FINAL, measure_base, run_loop, stage_name
from agent.parts import Parts
from agent.progress import Progress
from agent.round import aim, greedy
from agent.session import go
from agent.step import StepContext, StepRunner, Verb
from agent.verbs import TEST
from eval.benchmarks.base import Benchmark
from memory.embedding import Embedder
from memory.masking import mask_corpus
from memory.records import Problem, Record
from memory.store import RunFolder

SHARED, UNITS = "shared", "units"
EMBEDDINGS = Path("cache") / "embeddings.sqlite"


class Neighbour(Record):
    """The probe problem that a test problem resembles most; ``similarity`` is their cosine."""

    problem_id: str
    probe_id: str
    similarity: float


def shared_folder(folder: Path, seed: int) -> Path:
    """Where the steps lie that all units of a seed share."""
    return folder / SHARED / f"seed-{seed}"


def unit_folder(folder: Path, unit: Unit) -> Path:
    """The run folder of a unit."""
    return folder / UNITS / unit.name


def is_done(folder: Path, unit: Unit) -> bool:
    """Whether the unit's test has been measured."""
    return RunFolder(unit_folder(folder, unit)).marker(FINAL, "test-1") is not None


def run_shared(config: RunConfig, design: Design, data: RunData, folder: Path, seed: int, progress: Progress) -> None:
    """Probe, losses where an arm wants them, diagnosis, the base on the test; for the first seed the neighbours too.

    What does not depend on the seed is taken over from the first seed's folder.
    """
    first = design.seeds[0]
    donors = () if seed == first else (RunFolder(shared_folder(folder, first)),)

    def work(run: RunFolder, parts: Parts) -> None:
        state = measure_base(run, parts, progress)
        step = StepRunner(run, stage_name(0), parts.config.seed, progress, parts.within, parts.donors)
        engine = parts.student(parts.base)
        aim(state, parts, step, 0, engine)
        final = StepRunner(run, FINAL, parts.config.seed, progress, parts.within, parts.donors)
        final(TEST, engine, [parts.benchmarks["test"]], greedy(parts), ())
        engine.close()
        if seed == first:
            final(NEIGHBOURS, parts.benchmarks["test"], parts.benchmarks["probe"], parts.embedder, config.diagnose.mask)

    go(
        shared_config(config, design, seed), data, shared_folder(folder, seed), progress, work,
        embeddings=folder / EMBEDDINGS, donors=donors,
    )  # fmt: skip


def run_unit(config: RunConfig, design: Design, data: RunData, folder: Path, unit: Unit, progress: Progress) -> None:
    """Run, or go on with, one unit: its rounds, then its student on the test."""
    go(
        unit_config(config, design, unit), data, unit_folder(folder, unit), progress,
        lambda run, parts: run_loop(run, parts, progress),
        embeddings=folder / EMBEDDINGS, donors=[RunFolder(shared_folder(folder, unit.seed))],
    )  # fmt: skip


def _neighbours(
    context: StepContext, test: Benchmark, probe: Benchmark, embedder: Embedder, masked: bool
) -> list[Neighbour]:
    """The nearest probe problem of each test problem, both embedded as in diagnosis."""
    import numpy as np

    asked, known = sorted(test.problems(), key=_by_id), sorted(probe.problems(), key=_by_id)
    texts = [problem.statement for problem in (*asked, *known)]
    vectors = embedder.encode(mask_corpus(texts) if masked else texts)  # (test + probe, dim)
    cosines = vectors[: len(asked)] @ vectors[len(asked) :].T  # (test, probe)
    nearest = np.argmax(cosines, axis=1)
    return [
        Neighbour(problem_id=problem.id, probe_id=known[at].id, similarity=round(float(cosines[row, at]), 6))
        for row, (problem, at) in enumerate(zip(asked, nearest.tolist(), strict=True))
    ]


def _by_id(problem: Problem) -> str:
    return problem.id


NEIGHBOURS = Verb("neighbours", Neighbour, _neighbours, seeded=False)
