"""Reading recorded outputs: every format, what is guessed, and what each wrong file is told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.recorded.base import Asked
from agent.recorded.grading import grade, restrict
from agent.recorded.table import FORMATS, choose_models, read_recording
from eval.grading import Grader
from memory.errors import DataError, StoreError, UsageError
from memory.records import Finish

SAMPLES = Path(__file__).parent / "cases" / "samples_quick.jsonl"


def write(path: Path, rows: Sequence[Any]) -> Path:
    """One row a line; a text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def outcomes(path: Path, asked: Asked | None = None) -> dict[str, int]:
    recording = read_recording(path, asked or Asked())
    with Grader() as grader:
        return grade(recording.outputs, grader, bare=recording.bare).outcomes


def row(question: str = "1 + 1?", answer: Any = "2", output: Any = "The answer is 2", **rest: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, "output": output, **rest}


def test_plain_columns_with_dotted_names(tmp_path: Path) -> None:
    rows = [
        {"task": {"q": f"{n} + 1?"}, "gold": n + 1, "reply": {"choices": [{"text": f"\\boxed{{{n + n % 2 + 1}}}"}]}}
        for n in range(6)
    ]
    asked = Asked(problem="task.q", answer="gold", outputs=("reply.choices.0.text",))
    recording = read_recording(write(tmp_path / "a.jsonl", rows), asked)
    assert recording.format == "jsonl"
    assert [output.line for output in recording.outputs] == [1, 2, 3, 4, 5, 6]
    assert outcomes(tmp_path / "a.jsonl", asked) == {
        "correct": 3, "wrong": 3, "unparsed": 0, "truncated": 0, "errored": 0,
    }  # fmt: skip


def test_usual_names_are_guessed_and_said(tmp_path: Path) -> None:
    recording = read_recording(write(tmp_path / "a.jsonl", [row()]), Asked())
    assert recording.notes == ("columns taken by their names: question, answer, output",)
    assert recording.models == ("recorded",)


@pytest.mark.parametrize(
    ("gold", "read"),
    [
        ("She has 36 * 2 = <<36*2=72>>72.\n#### 72", "72"),
        ("#### 1,234", "1,234"),
        ("Work.\nA: 18", "18"),
        (r"So it is $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (" 3/4 ", "3/4"),
        (7, "7"),
        (0.25, "0.25"),
        (["9"], "9"),
    ],
)
def test_gold_answers(tmp_path: Path, gold: Any, read: str) -> None:
    path = write(tmp_path / "a.jsonl", [row(answer=gold, output=f"The answer is {read.replace(',', '')}")])
    assert read_recording(path, Asked()).outputs[0].problem.answer == read
    assert outcomes(path)["correct"] == 1


def test_samples_nulls_and_reasons_to_stop(tmp_path: Path) -> None:
    rows = [
        row("a?", 1, ["The answer is 1", "The answer is 3", None]),
        row("a?", 1, "\\boxed{1}", why="length"),
        row("b?", 2, "so far", why="length"),
        row("c?", 3, ""),
        row("d?", 4, "4"),
    ]
    path = write(tmp_path / "a.jsonl", [{"why": "stop", **item} for item in rows])
    asked = Asked(finish="why")
    assert outcomes(path, asked) == {"correct": 3, "wrong": 1, "unparsed": 1, "truncated": 1, "errored": 1}
    recording = read_recording(path, asked)
    assert [output.finish for output in recording.outputs[:5]] == [
        Finish.STOP, Finish.STOP, Finish.ERROR, Finish.LENGTH, Finish.LENGTH,
    ]  # fmt: skip
    with Grader() as grader:
        attempts = grade(recording.outputs, grader, bare=True).attempts
    assert [attempt.sample_index for attempt in attempts] == [0, 1, 2, 3, 0, 0, 0]
    assert len({attempt.id for attempt in attempts}) == len(attempts)


def test_models_as_columns_and_as_a_column(tmp_path: Path) -> None:
    wide = write(tmp_path / "wide.jsonl", [row(**{"small": "2", "large": "3", "small_ok": True, "large_ok": 1})])
    asked = Asked(outputs=("small", "large"), correct=("small_ok", "large_ok"))
    recording = read_recording(wide, asked)
    assert recording.models == ("small", "large")
    with Grader() as grader:
        graded = grade(recording.outputs, grader, bare=True)
    assert graded.compared == 2
    ((output, attempt),) = graded.disagreements
    assert (output.model, output.correct, attempt.outcome.value, attempt.extracted) == ("large", True, "wrong", "3")
    long = write(tmp_path / "long.jsonl", [row(who="m1"), row(who="m2"), row("2 + 2?", "4", who="m1")])
    recording = read_recording(long, Asked(model_column="who"))
    assert recording.models == ("m1", "m2")
    assert choose_models(recording, ["m2"], long) == ("m2",)
    assert choose_models(recording, ["all"], long) == ("m1", "m2")
    with pytest.raises(UsageError, match=r"2 models: m1, m2\. Say which: --model m1"):
        choose_models(recording, [], long)
    with pytest.raises(UsageError, match=r"no model 'm3'\. Models there: m1, m2"):
        choose_models(recording, ["m3"], long)


def test_gsm8k_example_solutions_as_a_format_and_as_columns(tmp_path: Path) -> None:
    rows = [
        {
            "question": f"What is {n} + {n}?",
            "ground_truth": f"It is <<{n}+{n}={2 * n}>>{2 * n}.\nA: {2 * n}",
            "6b": {"is_correct": n < 3, "solution": f"Add.\nA: {2 * n if n < 3 else 0}"},
            "175b": {"is_correct": n < 3, "solution": f"A: {2 * n}"},
        }
        for n in range(1, 5)
    ]
    path = write(tmp_path / "a.jsonl", rows)
    recording = read_recording(path, Asked())
    assert (recording.format, recording.models) == ("gsm8k-solutions", ("6b", "175b"))
    with Grader() as grader:
        graded = {
            model: grade([output for output in recording.outputs if output.model == model], grader, bare=True)
            for model in recording.models
        }
    assert graded["6b"].outcomes["correct"] == 2
    assert not graded["6b"].disagreements
    assert [output.line for output, _ in graded["175b"].disagreements] == [3, 4]
    asked = Asked("question", "ground_truth", ("6b.solution",), ("6b.is_correct",))
    again = read_recording(path, asked)
    assert [output.text for output in again.outputs] == [item["6b"]["solution"] for item in rows]
    assert [output.correct for output in again.outputs] == [True, True, False, False]


def test_samples_of_lm_evaluation_harness() -> None:
    """12 documents of a real file of version 0.4.13, the quickstart's student, with two filters each."""
    recording = read_recording(SAMPLES, Asked())
    assert recording.format == "lm-eval"
    assert len(recording.outputs) == len({output.problem.id for output in recording.outputs}) == 12
    assert "strict-match" in recording.notes[0]
    with Grader() as grader:
        graded = grade(recording.outputs, grader, bare=True)
    assert graded.outcomes == {"correct": 1, "wrong": 9, "unparsed": 2, "truncated": 0, "errored": 0}
    assert (graded.compared, graded.disagreements) == (12, [])
    other = read_recording(SAMPLES, Asked(filter="flexible-extract", outputs=("filtered_resps",), answer="doc.answer"))
    assert [output.problem for output in other.outputs] == [output.problem for output in recording.outputs]
    assert all(len(output.text) < 20 for output in other.outputs)
    with pytest.raises(DataError, match=r"no filter 'x'. Filters there: strict-match, flexible-extract"):
        read_recording(SAMPLES, Asked(filter="x"))


def test_samples_with_repeats_have_no_verdict_and_choices_are_refused(tmp_path: Path) -> None:
    (first, *_) = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    path = write(tmp_path / "samples.jsonl", [{**first, "resps": [["\\boxed{1}", "\\boxed{2}"]]}])
    assert [output.correct for output in read_recording(path, Asked()).outputs] == [None, None]
    path = write(tmp_path / "samples.jsonl", [{**first, "resps": [[["-3.5", "False"]], [["-1.5", "True"]]]}])
    with pytest.raises(DataError, match="line 1: 'resps' holds log-likelihoods of choices"):
        read_recording(path, Asked())
    path = write(tmp_path / "samples.jsonl", [{**first, "doc": {"body": "x", "no": 1}}])
    with pytest.raises(DataError, match=r"Say which: --problem doc\.COLUMN\. Columns there: doc\.body, doc\.no"):
        read_recording(path, Asked())


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        ([], {}, "the file is empty"),
        (["", "  "], {}, "the file is empty"),
        (["{"], {}, "line 1: not valid JSON"),
        ([row(), "[1]"], {}, "line 2: a list, not an object"),
        ([row(), "[" * 100_000], {}, "line 2: not valid JSON"),
        ([row()], {"problem": "qestion"}, r"line 1: .*'qestion' \(--problem\)\. Did you mean --problem question\?"),
        ([row(), {"question": "x?", "answer": "1"}], {}, r"line 2: there is no column 'output' \(--output\)"),
        ([{"a": 1, "b": {"c": 2}}], {}, r"--problem COLUMN\. Columns there: a, b\.c"),
        (
            [row(output={"text": "2"})],
            {},
            "is an object, not text; name the text in it, for example --output output.text",
        ),
        ([row(output=[])], {}, "an empty list"),
        ([row(question=" ")], {}, "'question' is empty; every row needs its problem"),
        ([row(answer="")], {}, "'answer' is empty; every row needs its gold answer"),
        ([row(answer="First this.\nThen that.")], {}, "in which no answer is marked"),
        ([row(answer=["1", "2"])], {}, "'answer' is a list"),
        ([row(ok="perhaps")], {"correct": ("ok",)}, "holds 'perhaps'; a verdict is true or false"),
        ([row(why="tired")], {"finish": "why"}, "holds 'tired'; known:"),
        ([{"\x1b[31mred\u202e": 1}], {}, "Columns there: \ufffd\\[31mred\ufffd"),
    ],
)
def test_wrong_files(tmp_path: Path, rows: list[Any], asked: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=message) as caught:
        read_recording(path, Asked(**asked))
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_unpaired_verdicts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_recording(tmp_path / "none.jsonl", Asked())
    with pytest.raises(DataError, match=r"a folder, not a file. Of a run, name"):
        read_recording(tmp_path, Asked())
    path = write(tmp_path / "a.jsonl", [row()])
    with pytest.raises(UsageError, match="1 --output and 2 --correct"):
        read_recording(path, Asked(outputs=("output",), correct=("a", "b")))


def test_hostile_texts_are_graded_and_nothing_is_raised(tmp_path: Path) -> None:
    cases = Path(__file__).parent.parent / "eval" / "cases" / "hostile.jsonl"
    texts = [str(next(iter(json.loads(line).values()))) for line in cases.read_text(encoding="utf-8").splitlines()[:8]]
    texts += ["\ud800 \\boxed{2}", "{" * 200_000, "9" * 1_000_000, "\x1b]0;x\x07 <script>alert(1)</script>", "2\u202e"]
    path = write(tmp_path / "a.jsonl", [row(f"{n}?", "2", text) for n, text in enumerate(texts)])
    recording = read_recording(path, Asked())
    with Grader(timeout_s=0.5) as grader:
        graded = grade(recording.outputs, grader, bare=True)
    assert sum(graded.outcomes.values()) == len(texts)
    for attempt in graded.attempts:
        attempt.text.encode("utf-8")
    assert graded.attempts[8].outcome.value == "correct"


def test_own_records_need_their_problems(unbroken: dict[str, Any], tmp_path: Path) -> None:
    run = Path(unbroken["run"])
    recording = read_recording(run / "round-00" / "probe.jsonl", Asked())
    assert (recording.format, recording.bare, len(recording.models)) == ("run", False, 1)
    with Grader() as grader:
        graded = grade(recording.outputs, grader, bare=False)
    assert (graded.compared, graded.disagreements) == (len(recording.outputs), [])
    measured = read_recording(run / "base" / "measure.jsonl", Asked())
    assert len(measured.outputs) == 300
    with pytest.raises(DataError, match=r"line 1: problem p-\w+ is not among the .* --problems FILE"):
        read_recording(run / "final" / "test.jsonl", Asked())
    copy = tmp_path / "attempts.jsonl"
    copy.write_bytes((run / "round-00" / "probe.jsonl").read_bytes())
    with pytest.raises(DataError, match=r"lies in no run folder. Name the file of the problems: --problems FILE"):
        read_recording(copy, Asked())
    problems = {output.problem.id: output.problem for output in recording.outputs}.values()
    table = write(tmp_path / "p.jsonl", [{"q": problem.statement, "a": problem.answer} for problem in problems])
    found = read_recording(copy, Asked(problem="q", answer="a", problems=table))
    assert [output.problem.id for output in found.outputs] == [output.problem.id for output in recording.outputs]
    with pytest.raises(UsageError, match="--output, --correct, --finish and --model-column do not apply"):
        read_recording(copy, Asked(outputs=("text",)))
    with copy.open("a", encoding="utf-8") as handle:
        handle.write('{"problem_id": 3}\n')
    with pytest.raises(DataError, match=rf"attempts.jsonl, line {len(found.outputs) + 1}: no attempt or measurement"):
        read_recording(copy, Asked(problem="q", answer="a", problems=table))


def test_a_changed_artifact_of_a_run_is_refused(unbroken: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(unbroken["run"], run)
    path = run / "round-00" / "probe.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"outcome":"wrong"', b'"outcome":"correct"', 1))
    with pytest.raises(StoreError, match="is not what was written"):
        read_recording(path, Asked())


def test_a_limit_keeps_the_same_problems_in_any_order(tmp_path: Path) -> None:
    rows = [row(f"{n} + 1?", n + 1, "1") for n in range(20)]
    one = read_recording(write(tmp_path / "a.jsonl", rows), Asked()).outputs
    two = read_recording(write(tmp_path / "b.jsonl", rows[::-1]), Asked()).outputs
    kept = [{output.problem.id for output in restrict(outputs, 5)} for outputs in (one, two)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 5


def test_every_format_can_be_named(tmp_path: Path) -> None:
    from agent.commands.diagnose import diagnose_command

    (option,) = [param for param in diagnose_command.params if param.name == "fmt"]
    assert set(option.type.to_info_dict()["choices"]) == {"auto", *FORMATS}
    path = write(tmp_path / "a.jsonl", [row(doc={}, resps=[])])
    assert read_recording(path, Asked(), "jsonl").format == "jsonl"
