"""Measuring one student on one benchmark: prompts, samples, grades, and the report, paired with the incumbent's.

Knows nothing of rounds or decisions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eval.benchmarks.base import Benchmark
from eval.engines.base import Engine, Progress, Sampling
from eval.engines.chat import to_messages
from eval.stats import bootstrap, mcnemar, paired_difference, wilson
from memory.errors import DataError, EngineError
from memory.ids import derive_seed, sha256_text
from memory.records import Attempt, Measurement, Outcome, Report


def measure(
    benchmark: Benchmark,
    engine: Engine,
    sampling: Sampling,
    incumbent: Measurement | None = None,
    progress: Progress | None = None,
    system_prompt: str | None = None,
) -> Measurement:
    """Ask the engine every problem, grade the samples, and report.

    Accuracy is the mean over problems of the share of correct samples, with Wilson's interval over problems
    (see `eval.stats.wilson`). With an incumbent, the paired difference on the same problems: for one sample each,
    Newcombe's interval and McNemar's exact two-sided p-value; for more, pass rates are compared, with a bootstrap
    over problems and a sign test.

    Args:
        benchmark: problems and their grader.
        engine: the student.
        sampling: ``n`` samples for each problem.
        incumbent: an earlier measurement on the same benchmark.
        progress: told how many problems are finished.
        system_prompt: put before every problem.

    Raises:
        EngineError: the engine cannot generate, or returned too few samples.
        DataError: the incumbent was measured on other problems.
    """
    problems = benchmark.problems()
    prompts = [to_messages(problem.statement, system_prompt) for problem in problems]
    samples = engine.generate(prompts, sampling, progress)
    if len(samples) != len(problems) or any(len(row) != sampling.n for row in samples):
        raise EngineError(f"the engine did not return {sampling.n} samples for each of {len(problems)} problems")
    items = [(problem, sample) for problem, row in zip(problems, samples, strict=True) for sample in row]
    grades = benchmark.grade([(problem, sample.text, sample.finish) for problem, sample in items])
    student = student_id(engine)
    attempts = tuple(
        Attempt.make(
            problem_id=problem.id,
            student=student,
            sample_index=index % sampling.n,
            seed=sampling.seed,
            text=sample.text,
            n_tokens=sample.n_tokens,
            finish=sample.finish,
            outcome=grade.outcome,
            extracted=grade.extracted,
        )
        for index, ((problem, sample), grade) in enumerate(zip(items, grades, strict=True))
    )
    return Measurement(report=make_report(benchmark, student, attempts, incumbent), attempts=attempts)


def student_id(engine: Engine) -> str:
    """A short name for an engine's weights and settings."""
    return f"s-{sha256_text(engine.fingerprint)[:16]}"


def make_report(
    benchmark: Benchmark, student: str, attempts: Sequence[Attempt], incumbent: Measurement | None = None
) -> Report:
    """The report of attempts at one benchmark, with every outcome counted.

    Raises:
        DataError: there are no attempts, or the incumbent's are at other problems.
    """
    rates = pass_rates(attempts)
    if not rates:
        raise DataError(f"benchmark {benchmark.name} has no problems; give it at least one.")
    found = Counter(attempt.outcome.value for attempt in attempts)
    total = sum(rates.values())
    low, high = wilson(min(total, len(rates)), len(rates))
    report = Report(
        student=student,
        benchmark=benchmark.name,
        benchmark_fingerprint=benchmark.fingerprint,
        n=len(rates),
        counts={outcome.value: found[outcome.value] for outcome in Outcome},
        accuracy=total / len(rates),
        low=low,
        high=high,
    )
    if incumbent is None:
        return report
    return report.model_copy(update={"incumbent": incumbent.report.student, **_paired(rates, incumbent)._asdict()})


def pass_rates(attempts: Sequence[Attempt]) -> dict[str, float]:
    """The share of correct attempts at each problem, by problem id, sorted."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for attempt in attempts:
        outcomes[attempt.problem_id].append(attempt.outcome is Outcome.CORRECT)
    return {problem_id: sum(words) / len(words) for problem_id, words in sorted(outcomes.items())}


class _Paired(NamedTuple):
    """The fields of a report that compare it with an incumbent."""

    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    gained: int
    lost: int


def _paired(rates: Mapping[str, float], incumbent: Measurement) -> _Paired:
    before = pass_rates(incumbent.attempts)
    if before.keys() != rates.keys():
        raise DataError(
            f"{incumbent.report.benchmark}: the incumbent was measured on other problems "
            f"({len(before)} of them, {len(before.keys() & rates.keys())} in common with the {len(rates)} now). "
            "Measure it again on this file."
        )
    new, old = [rates[key] for key in rates], [before[key] for key in rates]
    gained = sum(x > y for x, y in zip(new, old, strict=True))
    lost = sum(x < y for x, y in zip(new, old, strict=True))
    p_value = mcnemar(gained, lost)
    if set(new) | set(old) <= {0.0, 1.0}:
        difference, low, high = paired_difference([int(x) for x in new], [int(y) for y in old])
    else:
        changes = [x - y for x, y in zip(new, old, strict=True)]
        difference = sum(changes) / len(changes)
        low, high = bootstrap(changes, seed=derive_seed("paired", sorted(rates)))
    return _Paired(difference, low, high, p_value, gained, lost)
