from collections.abc import Sequence

import pytest

from eval.benchmarks.jsonl import ProblemSet
from eval.engines.base import Messages, Progress, Sample, Sampling
from eval.grading import Grader
from eval.measure import make_report, measure, pass_rates, student_id
from eval.stats import mcnemar, paired_difference, wilson
from memory.errors import DataError, EngineError
from memory.records import Finish, Outcome, Problem, Split

PROBLEMS = [Problem.make(f"What is {n} + 1?", str(n + 1), source="t", split=Split.DEV) for n in range(40)]


class Adder:
    """Adds right below ``limit`` (sample ``i``: below ``limit - i * step``); ``cut`` answers never end."""

    def __init__(self, limit: int, step: int = 0, cut: int = 0, short: bool = False) -> None:
        self.limit, self.step, self.cut, self.short = limit, step, cut, short
        self.asked: list[Messages] = []

    @property
    def fingerprint(self) -> str:
        return f"adder-{self.limit}-{self.step}"

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        self.asked += prompts
        rows = []
        for messages in prompts:
            n = int(messages[-1]["content"].split()[2])
            row = []
            for index in range(sampling.n):
                right = n < self.limit - index * self.step
                text = f"\\boxed{{{n + 1 if right else n}}}"
                row.append(Sample("on and on", 9, Finish.LENGTH) if n < self.cut else Sample(text, 5, Finish.STOP))
            rows.append(row)
            if progress:
                progress(1)
        return rows[:-1] if self.short else rows

    def close(self) -> None:
        pass


def benchmark(problems: Sequence[Problem] = PROBLEMS) -> ProblemSet:
    return ProblemSet("adding", problems, Grader())


def test_a_measurement_counts_every_outcome() -> None:
    seen: list[int] = []
    found = measure(benchmark(), Adder(30, cut=5), Sampling(), progress=seen.append)
    report = found.report
    assert report.counts == {"correct": 25, "wrong": 10, "unparsed": 0, "truncated": 5, "errored": 0}
    assert sum(report.counts.values()) == report.n == sum(seen) == 40
    assert report.accuracy == 25 / 40
    assert (report.low, report.high) == wilson(25, 40)
    assert report.difference is None
    assert [attempt.problem_id for attempt in found.attempts] == sorted(problem.id for problem in PROBLEMS)
    assert found.attempts[0].student == report.student == student_id(Adder(30))


def test_the_order_of_the_file_changes_nothing() -> None:
    one = measure(benchmark(), Adder(30), Sampling())
    two = measure(benchmark(PROBLEMS[::-1]), Adder(30), Sampling())
    assert one == two


def test_paired_with_the_incumbent() -> None:
    before = measure(benchmark(), Adder(20), Sampling())
    after = measure(benchmark(), Adder(30, cut=2), Sampling(), incumbent=before)
    assert after.report.incumbent == before.report.student
    assert (after.report.gained, after.report.lost) == (10, 2)
    assert after.report.difference == pytest.approx(8 / 40)
    new = [2 <= n < 30 for n in range(40)]
    old = [n < 20 for n in range(40)]
    expected = paired_difference([int(x) for x in new], [int(x) for x in old])
    assert (after.report.difference_low, after.report.difference_high) == pytest.approx(expected[1:])
    assert after.report.p_value == mcnemar(10, 2)


def test_several_samples_average_over_problems() -> None:
    sampling = Sampling(n=2, temperature=1.0)
    before = measure(benchmark(), Adder(20, step=10), sampling)
    assert before.report.n == 40
    assert before.report.counts["correct"] == 30
    assert before.report.accuracy == pytest.approx(15 / 40)
    assert sorted(set(pass_rates(before.attempts).values())) == [0.0, 0.5, 1.0]
    assert len({attempt.id for attempt in before.attempts}) == 80
    after = measure(benchmark(), Adder(30, step=10), sampling, incumbent=before)
    assert after.report.difference == pytest.approx(10 / 40)
    assert (after.report.gained, after.report.lost) == (20, 0)
    assert after.report.difference_low is not None
    assert 0.1 < after.report.difference_low < 0.25
    again = measure(benchmark(), Adder(30, step=10), sampling, incumbent=before)
    assert again == after


def test_other_problems_cannot_be_paired() -> None:
    before = measure(benchmark(PROBLEMS[:39]), Adder(20), Sampling())
    with pytest.raises(DataError, match=r"other problems \(39 of them, 39 in common with the 40 now\)"):
        measure(benchmark(), Adder(20), Sampling(), incumbent=before)


def test_a_missing_row_is_the_engines_fault() -> None:
    with pytest.raises(EngineError, match="1 samples for each of 40"):
        measure(benchmark(), Adder(20, short=True), Sampling())


def test_no_problems_are_no_benchmark() -> None:
    with pytest.raises(DataError, match="has no problems"):
        measure(benchmark([]), Adder(20), Sampling())


def test_the_system_prompt_comes_first() -> None:
    engine = Adder(40)
    measure(benchmark(PROBLEMS[:1]), engine, Sampling(), system_prompt="Add.")
    assert engine.asked == [[{"role": "system", "content": "Add."}, {"role": "user", "content": "What is 0 + 1?"}]]


def test_a_report_can_be_made_again_from_attempts() -> None:
    found = measure(benchmark(), Adder(30), Sampling())
    assert make_report(benchmark(), found.report.student, found.attempts[::-1]) == found.report
    assert all(attempt.outcome in Outcome for attempt in found.attempts)
