import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.answers import extract
from eval.grading import Grader
from memory.records import Finish, Outcome, Problem, Split

HOSTILE = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "hostile.jsonl").read_text(encoding="utf-8").splitlines()
]
SLACK = 2.5  # a busy machine, and the worker's start


def problem(answer: str) -> Problem:
    return Problem.make("How many?", answer, source="test", split=Split.PROBE)


def children_of(pid: int) -> list[int]:
    """Processes below ``pid``, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == pid:
                found += [int(entry.name), *children_of(int(entry.name))]
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_gone(pids: list[int], seconds: float = 10) -> list[int]:
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(timeout_s=10) as found:
        yield found


def test_outcomes_are_closed_and_ordered() -> None:
    three = problem("3")
    texts = [
        ("so \\boxed{3}", Finish.STOP, Outcome.CORRECT, "3"),
        ("so \\boxed{4}", Finish.STOP, Outcome.WRONG, "4"),
        ("\\boxed{3, maybe 7}", Finish.STOP, Outcome.WRONG, "3, maybe 7"),
        ("no idea", Finish.STOP, Outcome.UNPARSED, None),
        ("", Finish.STOP, Outcome.UNPARSED, None),
        ("and then 3", Finish.LENGTH, Outcome.TRUNCATED, None),
        ("the answer is 3. Then", Finish.LENGTH, Outcome.TRUNCATED, None),
        ("\\boxed{3", Finish.LENGTH, Outcome.TRUNCATED, None),
        ("\\boxed{3} and on", Finish.LENGTH, Outcome.CORRECT, "3"),
        ("#### 3\nQuestion:", Finish.LENGTH, Outcome.CORRECT, "3"),
        ("#### 3", Finish.LENGTH, Outcome.TRUNCATED, None),
        ("\\boxed{3}", Finish.ERROR, Outcome.ERRORED, None),
    ]
    with Grader() as grader:
        grades = grader.grade([(three, text, finish) for text, finish, _, _ in texts])
        assert [(grade.outcome, grade.extracted) for grade in grades] == [(o, e) for _, _, o, e in texts]
        assert grader._worker is None, "numbers need no worker"


def test_the_last_number_is_a_setting_with_another_version() -> None:
    item = (problem("3"), "I get 3", Finish.STOP)
    with Grader() as strict, Grader(allow_last_number=True) as lenient:
        assert strict.grade([item])[0].outcome is Outcome.UNPARSED
        assert lenient.grade([item])[0].outcome is Outcome.CORRECT
        assert strict.version != lenient.version


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("\\pm 3", "3, -3", True),
        ("\\frac{\\log 8}{\\log 2}", "3", True),
        ("\\log_2 8", "3", True),
        ("\\frac{x^2-1}{x-1}", "x+1", True),
        ("\\frac{x^2-1}{x-1}", "x+2", False),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", True),
        ("\\frac{\\log 9}{\\log 2}", "3", False),
    ],
)
def test_the_undecided_tail_goes_to_math_verify(answer: str, gold: str, right: bool, grader: Grader) -> None:
    before = grader.stats["math_verify"]
    assert grader.equal(answer, gold) is right
    assert grader.stats["math_verify"] == before + 1


@pytest.mark.real
def test_hostile_answers_come_back_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 30 of them; none raises, none is right, none runs code, and the worker lives on."""
    assert len(HOSTILE) >= 30
    monkeypatch.chdir(tmp_path)
    limit = 1.0
    with Grader(timeout_s=limit) as grader:
        assert grader.equal("\\log_2 8", "3"), "the worker has started"
        for case in HOSTILE:
            started = time.monotonic()
            (grade,) = grader.grade([(problem(case["gold"]), f"\\boxed{{{case['answer']}}}", Finish.STOP)])
            took = time.monotonic() - started
            assert took < limit + SLACK, (case["answer"][:60], took)
            assert (grade.outcome is Outcome.CORRECT) == case.get("equal", False), case["answer"][:60]
            started = time.monotonic()
            grader.equal(case["answer"], case["gold"])
            assert time.monotonic() - started < limit + SLACK, case["answer"][:60]
        assert grader.stats["timeout"] > 0, "some do need killing"
        assert grader.equal("\\log_3 9", "2"), "the worker still answers"
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_close_leaves_no_process() -> None:
    grader = Grader(timeout_s=0.5)
    grader.equal("\\log_2 8", "3")
    grader.equal("\\prod_{i=1}^{10^9} i", "3")
    assert grader._worker is not None
    worker = grader._worker.process.pid
    pids = [worker, *children_of(worker)]
    assert alive(worker)
    grader.close()
    assert wait_gone(pids) == []
    assert grader.equal("\\log_5 25", "2"), "usable again"
    grader.close()


@pytest.mark.real
def test_a_killed_parent_takes_the_worker_along() -> None:
    script = (
        "from eval.grading import Grader; g = Grader(timeout_s=60); g.equal('\\\\log_2 8', '3');"
        "print(g._worker.process.pid, flush=True); g.equal('\\\\prod_{i=1}^{10^9} i', '3')"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.5)  # it is now comparing
        pids = [worker, *children_of(worker)]
        assert len(pids) == 2
        parent.kill()
        parent.wait()
    assert wait_gone(pids, 15) == []


@pytest.mark.real
def test_a_killed_worker_is_replaced() -> None:
    with Grader(timeout_s=10) as grader:
        assert grader.equal("\\log_2 8", "3")
        assert grader._worker is not None
        os.kill(grader._worker.process.pid, signal.SIGKILL)
        grader._worker.process.wait()
        assert grader.equal("\\log_2 16", "4") is False, "lost with the worker"
        assert grader.stats["lost"] == 1
        assert grader.equal("\\log_2 32", "5")


def test_no_text_is_executed_in_the_worker() -> None:
    """sympify reads numeric literals only, and parse_expr cannot evaluate."""
    script = """
from eval import math_worker as worker
worker.load()
import sympy
for text in ("__import__('os').getpid()", "x", "1+1", "sin(1)"):
    try:
        sympy.sympify(text)
    except ValueError:
        continue
    raise SystemExit(f"{text} was read")
from sympy.parsing.sympy_parser import parse_expr
try:
    parse_expr("1+1")
except ValueError:
    pass
else:
    raise SystemExit("evaluated")
assert sympy.sympify("12") == 12 and sympy.Number("1.5") == 1.5
assert worker.math_equal("\\\\frac{x^2-1}{x-1}", "x+1") is True
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_recorded_gsm8k_solutions(shared: Path) -> None:
    """The grader agrees with the recorded flags of all four models on at least 99 %; see docs/grading.md."""
    path = shared / "data" / "gsm8k" / "example_model_solutions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    models = [key for key, entry in rows[0].items() if isinstance(entry, dict)]
    assert len(models) == 4
    with Grader() as grader:
        for model in models:
            items = [(problem(extract(row["ground_truth"]) or ""), row[model]["solution"], Finish.STOP) for row in rows]
            right = [grade.outcome is Outcome.CORRECT for grade in grader.grade(items)]
            agree = sum(ours == row[model]["is_correct"] for ours, row in zip(right, rows, strict=True))
            assert agree / len(rows) >= 0.99, model
