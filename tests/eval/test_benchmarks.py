import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.gsm8k import to_solution
from eval.benchmarks.jsonl import ProblemSet
from eval.benchmarks.table import FORMATS, read_problems
from eval.expressions import check_equations
from eval.grading import Grader
from memory.errors import ConfigError, DataError
from memory.records import Finish, Outcome, Split

ROWS: list[dict[str, Any]] = [
    {"question": f"What is {n} + 1?", "answer": str(n + 1), "solution": f"{n}+1={n + 1}. \\boxed{{{n + 1}}}"}
    for n in range(20)
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_problems_are_the_same_in_whatever_order(tmp_path: Path) -> None:
    first = read_problems(write(tmp_path / "a.jsonl", ROWS), split=Split.PROBE, limit=7)
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    (tmp_path / "b").mkdir()
    second = read_problems(write(tmp_path / "b" / "a.jsonl", shuffled + shuffled[:5]), split=Split.PROBE, limit=7)
    assert first == second
    assert len(first) == 7
    assert [problem.id for problem in first] == sorted(problem.id for problem in first)
    assert {problem.source for problem in first} == {"a.jsonl"}
    whole = read_problems(tmp_path / "a.jsonl", split=Split.PROBE)
    assert whole[:7] == first


def test_columns_numbers_and_missing_solutions(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{"p": "1+1?", "t": 2}, {"p": "1/4?", "t": 0.250}, {"p": "0?", "t": -3}])
    columns = {"statement": "p", "answer": "t", "solution": None}
    problems = read_problems(path, columns=columns, split=Split.TEST)
    assert {(problem.statement, problem.answer) for problem in problems} == {
        ("1+1?", "2"),
        ("1/4?", "0.25"),
        ("0?", "-3"),
    }
    assert all(problem.solution is None for problem in problems)


def test_a_byte_order_mark_and_blank_lines_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode() + b"\r\n\r\n  \n" + json.dumps(ROWS[1]).encode())
    assert len(read_problems(path, split=Split.DEV)) == 2


def line(row: Any) -> str:
    return json.dumps(row)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (line(ROWS[0]) + "\n{broken", ["line 2", "not valid JSON"]),
        ('{"question": "a", "answer": NaN}', ["line 1", "NaN"]),
        ("[" * 100000, ["line 1", "not valid JSON"]),
        ("[1]", ["line 1", "a list", "not an object"]),
        ("3", ["line 1", "a number"]),
        (line({"problem": "a", "target": "1"}), ["line 1", "'question'", "'problem', 'target'", "columns.statement"]),
        (line({"question": "a"}), ["line 1", "'answer'", "columns.answer"]),
        (line({"question": " ", "answer": "1"}), ["line 1", "'question' is empty"]),
        (line({"question": 3, "answer": "1"}), ["line 1", "'question' is a number", "must be text"]),
        (line({"question": "a", "answer": None}), ["line 1", "'answer' is null"]),
        (line({"question": "a", "answer": True}), ["line 1", "true or false"]),
        (line({"question": "a", "answer": ""}), ["line 1", "'answer' is empty"]),
        (line({"question": "a", "answer": "1", "solution": ["x"]}), ["line 1", "'solution' is a list"]),
        ('{"question": "a\\ud800", "answer": "1"}', ["line 1", "surrogate"]),
        (
            line({"question": "A b", "answer": "1"}) + "\n\n" + line({"question": "a  B", "answer": "2"}),
            ["line 3", "line 1"],
        ),
        ("", ["no problems"]),
        ("\n \n", ["no problems"]),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, content: str, words: list[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_problems(path, split=Split.PROBE)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(line(ROWS[0]).encode() + b"\n\xff\xfe{}\n")
    with pytest.raises(DataError, match=r"line 2: not UTF-8"):
        read_problems(path, split=Split.PROBE)


def test_no_file_and_no_format(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_problems(tmp_path / "none.jsonl", split=Split.PROBE)
    with pytest.raises(DataError, match="is a folder"):
        read_problems(tmp_path, split=Split.PROBE)
    with pytest.raises(ConfigError, match="'csv'; known: gsm8k, jsonl"):
        read_problems(tmp_path / "x.csv", "csv", split=Split.PROBE)
    assert set(FORMATS) == {"jsonl", "gsm8k"}


def test_one_answer_written_twice_is_one_problem(tmp_path: Path) -> None:
    rows = [{"question": "half?", "answer": "1/2"}, {"question": "half?", "answer": "0.5"}]
    (one,) = read_problems(write(tmp_path / "x.jsonl", rows), split=Split.PROBE)
    (two,) = read_problems(write(tmp_path / "x.jsonl", rows[::-1]), split=Split.PROBE)
    assert one == two


def test_gsm8k(tmp_path: Path) -> None:
    worked = "He has 1,000*2=$<<1000*2=2000>>2,000.\nThen half: 2000/2=<<2000/2=1000.0>>1,000\n#### 1,000"
    (problem,) = read_problems(
        write(tmp_path / "g.jsonl", [{"question": "?", "answer": worked}]), "gsm8k", split=Split.DEV
    )
    assert problem.answer == "1000"
    assert problem.solution == "He has 1,000*2=$2,000.\nThen half: 2000/2=1,000\n\\boxed{1000}"
    assert to_solution("", "3") == "\\boxed{3}"


@pytest.mark.parametrize("row", [{"question": "a", "answer": "3"}, {"question": "a", "answer": 3}, {"q": "a"}])
def test_gsm8k_says_which_line_is_not_gsm8k(tmp_path: Path, row: dict[str, Any]) -> None:
    good = {"question": "x", "answer": "#### 3"}
    with pytest.raises(DataError, match=r"line 2: .*format: jsonl"):
        read_problems(write(tmp_path / "g.jsonl", [good, row]), "gsm8k", split=Split.DEV)


def test_real_gsm8k(shared: Path) -> None:
    """Every problem is read, and its own solution is graded correct."""
    problems = read_problems(shared / "data" / "gsm8k" / "test.jsonl", "gsm8k", split=Split.TEST)
    assert len(problems) == 1319
    with Grader() as grader:
        benchmark = ProblemSet("gsm8k", problems, grader)
        grades = benchmark.grade([(problem, problem.solution or "", Finish.STOP) for problem in problems])
    assert {grade.outcome for grade in grades} == {Outcome.CORRECT}
    assert not any("<<" in (problem.solution or "") for problem in problems)
    assert sum(check.verdict is True for p in problems for check in check_equations(p.solution or "")) > 4000


def test_a_fingerprint_follows_ids_and_grader_not_order(tmp_path: Path) -> None:
    problems = read_problems(write(tmp_path / "a.jsonl", ROWS), split=Split.PROBE)
    grader = Grader()
    one, two = ProblemSet("a", problems, grader), ProblemSet("b", problems[::-1], grader)
    assert one.fingerprint == two.fingerprint
    assert one.problems() == two.problems()
    assert one.fingerprint != ProblemSet("a", problems[1:], grader).fingerprint
    assert one.fingerprint != ProblemSet("a", problems, Grader(allow_last_number=True)).fingerprint


def test_reading_and_exact_grading_import_nothing_heavy() -> None:
    script = (
        "import sys; from eval.benchmarks.table import read_problems; from eval.grading import Grader;"
        "from eval.measure import measure; from eval.expressions import check_equations;"
        "print([m for m in ('torch', 'transformers', 'sympy', 'math_verify', 'scipy', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
