"""The algebra verifier: true and false steps, boxes, derived answers, equations solved, hostile texts survived."""

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.records import Check, CheckOutcome, Draft, Problem, Split
from synthesis.verification.algebra import MAX_EVIDENCE, Algebra, solves_statement
from synthesis.verification.earning import raise_box, raise_step
from synthesis.world.skills import LEVELS, SKILLS


def draft(statement: str, solution: str | None, answer: str) -> Draft:
    problem = Problem.make(statement, answer, solution=solution, source="t", split=Split.SYNTHETIC)
    return Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)


def word(solution: str | None, answer: str, statement: str = "A story.") -> Check:
    (check,) = Algebra().check([draft(statement, solution, answer)])
    assert check.verifier == "algebra"
    return check


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("22*9=180+18=198. \\boxed{198}", "198"),
        ("48=36*1+12. 36=12*3. \\boxed{12}", "12"),
        ("1*3=3. 3*4=12. \\boxed{3/12}", "1/4"),
        ("1*2=2. 3*5=15. 3*2=6. \\boxed{2/15}", "2/15"),
        ("-8+3=-5. \\boxed{-5}", "-5"),
        ("96-40=56. 7x=56. x=56/7=8. \\boxed{8}", "x = 8"),
        ("She has 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\n9 * 2 = $<<9*2=18>>18.\n#### 18", "18"),
        ("10/4=2.5 \\boxed{\\frac{5}{2}}", "2.5"),
        ("30/120=0.25, so \\boxed{25\\%}", "25%"),
        ("2+2=4", "4 apples"),
        ("22*9=198 $\\boxed{198}$", "198"),
        ("So 22*9 = \\boxed{198}", "198"),
    ],
)
def test_right_solutions_pass(solution: str, answer: str) -> None:
    check = word(solution, answer)
    assert (check.outcome, check.reason) == (CheckOutcome.PASS, "")


@pytest.mark.parametrize(
    ("solution", "answer", "reason", "evidence"),
    [
        ("22*9=180+19=198. \\boxed{198}", "198", "false_equation", "22*9=180+19=198"),
        ("22*9=198. \\boxed{199}", "198", "box_differs", "199 is not 198"),
        ("22*9=198. \\boxed{198}", "199", "box_differs", "198 is not 199"),
        ("22*9=198. \\boxed{199}", "199", "answer_not_derived", "199 after 22*9=198"),
        ("3-10=-7. \\boxed{7}", "7", "answer_not_derived", "7 after 3-10=-7"),
        ("3*4=12. 12+5=17. \\boxed{12}", "12", "answer_not_derived", "12 after 12+5=17"),
    ],
)
def test_wrong_solutions_fail_with_their_place(solution: str, answer: str, reason: str, evidence: str) -> None:
    check = word(solution, answer)
    assert (check.outcome, check.reason, check.evidence) == (CheckOutcome.FAIL, reason, evidence)


@pytest.mark.parametrize(
    ("solution", "answer", "reason"),
    [
        (None, "4", "nothing_decided"),
        ("Clearly \\boxed{4}", "4", "nothing_decided"),
        ("2+2=4. 3 feet = 36 inches. \\boxed{36}", "36", "units_unclear"),
        ("2+2=4. y = 2z + 1. \\boxed{9}", "9", "nothing_decided"),
    ],
)
def test_abstains_where_nothing_is_decided(solution: str | None, answer: str, reason: str) -> None:
    check = word(solution, answer)
    assert (check.outcome, check.reason) == (CheckOutcome.ABSTAIN, reason)


def test_the_answer_is_put_into_the_equation_of_the_statement() -> None:
    good, bad = "40+56=96. \\boxed{8}", "40+56=96. 96/12=8. \\boxed{9}"
    assert word(good, "8", "Find x if 7x + 40 = 96.").outcome is CheckOutcome.PASS
    check = word(bad.replace("9}", "8}"), "8", "Solve 7x + 40 = 103.")
    assert (check.outcome, check.reason) == (CheckOutcome.FAIL, "equation_not_satisfied")
    assert "8" in check.evidence
    # Solving it is evidence enough without a decided step.
    assert word("\\boxed{8}", "8", "For which x is 7x + 40 = 96?").outcome is CheckOutcome.PASS


@pytest.mark.parametrize(
    ("statement", "answer", "expected"),
    [
        ("Solve 3x + 5 = 26.", "7", True),
        ("Solve 3x + 5 = 26.", "x = 7", True),
        ("Solve 9x + 12 = 3x + 54.", "7", True),
        ("Solve 9x + 12 = 3x + 54.", "8", False),
        ("What is the value of y if 2y = 9?", "4.5", True),
        ("Solve x^2 = 9.", "-3", True),
        ("What is 2x + 1 if 3x + 5 = 26?", "15", None),
        ("Find the square of x if 3x + 5 = 26.", "49", None),
        ("Find x + y if 3x + 5 = 26.", "9", None),
        ("Solve x + y = 4.", "2", None),
        ("Solve x = 2 and y = 3x.", "2", None),
        ("Anna has x pens. If 3x + 5 = 26, how many has she?", "7", None),
        ("What is 3 + 4?", "7", None),
        ("Is 3 + 4 = 7?", "7", None),
        ("Solve 3x + 5 = 26.", "(A)", None),
    ],
)
def test_solves_statement(statement: str, answer: str, expected: bool | None) -> None:
    assert solves_statement(statement, answer) is expected


def world(per_level: int) -> list[Problem]:
    rng = random.Random(3)
    return [
        Problem.make(item.statement, item.answer, solution=item.solution, source="w", split=Split.SYNTHETIC)
        for skill in SKILLS.values()
        for level in LEVELS
        for item in (skill.generate(rng, level) for _ in range(per_level))
    ]


def as_draft(problem: Problem) -> Draft:
    return Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)


def test_the_world_passes_and_its_corruptions_fail() -> None:
    problems = world(8)
    verifier = Algebra()
    checks = verifier.check([as_draft(problem) for problem in problems])
    assert {check.outcome for check in checks} == {CheckOutcome.PASS}
    for corrupt in (raise_box, raise_step):
        changed = [corrupt(problem) for problem in problems]
        drafts = [as_draft(problem) for problem in changed if problem is not None]
        assert len(drafts) == len(problems)
        assert {check.outcome for check in verifier.check(drafts)} == {CheckOutcome.FAIL}


def test_box_and_answer_wrong_together_are_seen() -> None:
    problems = [problem for problem in world(8) if problem.answer.isdigit()]
    drafts = []
    for problem in problems:
        changed = raise_box(problem)
        assert changed is not None
        drafts.append(as_draft(changed.model_copy(update={"answer": str(int(problem.answer) + 1)})))
    failed = [check.outcome is CheckOutcome.FAIL for check in Algebra().check(drafts)]
    assert sum(failed) / len(failed) > 0.98


def test_gsm8k_gold_solutions(shared: Path) -> None:
    lines = (shared / "data" / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:1500]
    rows = [json.loads(line) for line in lines]
    problems = [
        Problem.make(
            row["question"], row["answer"].split("####")[1].strip(), solution=row["answer"], source="g",
            split=Split.REPLAY,
        )
        for row in rows
    ]  # fmt: skip
    checks = Algebra().check([as_draft(problem) for problem in problems])
    passed = [problem for problem, check in zip(problems, checks, strict=True) if check.outcome is CheckOutcome.PASS]
    assert len(passed) / len(problems) > 0.94
    assert sum(check.outcome is CheckOutcome.FAIL for check in checks) / len(problems) < 0.02
    for corrupt in (raise_box, raise_step):
        changed = [as_draft(item) for problem in passed if (item := corrupt(problem)) is not None]
        missed = [check for check in Algebra().check(changed) if check.outcome is CheckOutcome.PASS]
        assert len(missed) / len(changed) < 0.02


HOSTILE = [
    "\\boxed{" * 100_000,
    "{" * 500_000 + "}" * 500_000,
    "=" * 1_000_000,
    "1=1 " * 250_000,
    "9^9^9^9^9=1",
    "2^(2^(2^(2^99999)))=7 \\boxed{7}",
    "٣+٣=٦ \\boxed{٦}",
    "1/0=1. 0/0=0. \\boxed{1/0}",
    "\x00\x07\u202e\ud800=\ud800 \\boxed{\ud800}",
    "#### " * 200_000,
    "x=" * 400_000,
    "\\frac{" * 100_000 + "1",
    "(" * 300_000 + "=1",
    "9" * 500_000 + "=" + "9" * 500_000,
    "answer is " * 100_000,
    "1," * 400_000 + "=1",
    "<<" * 300_000 + "1=1>>",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:8]))
def test_hostile_texts_never_raise_and_end_in_time(text: str) -> None:
    start = time.process_time()
    drafts = [draft("A story", text, "7"), draft(text, "2+2=4 \\boxed{4}", "4"), draft("Solve x=1", "1+1=2", text)]
    checks = Algebra().check(drafts)
    assert len(checks) == 3
    assert all(len(check.evidence) <= MAX_EVIDENCE for check in checks)
    assert time.process_time() - start < 15


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=50))
@settings(max_examples=200, deadline=None)
def test_any_text_gets_a_check(statement: str, solution: str, answer: str) -> None:
    (check,) = Algebra().check([draft(statement, solution, answer)])
    assert check.outcome is CheckOutcome.PASS or check.reason


@given(st.integers(2, 999), st.integers(2, 999), st.integers(-5, 5))
def test_sums_pass_only_when_they_are_right(a: int, b: int, error: int) -> None:
    check = word(f"{a}+{b}={a + b + error}. \\boxed{{{a + b + error}}}", str(a + b + error))
    assert (check.outcome is CheckOutcome.PASS) == (error == 0)


def test_a_batch_is_checked_one_by_one_in_order() -> None:
    drafts = [draft("s", f"1+{n}={n + 1 + n % 2}. \\boxed{{{n + 1 + n % 2}}}", str(n + 1 + n % 2)) for n in range(6)]
    outcomes = [check.outcome for check in Algebra().check(drafts)]
    assert outcomes == [CheckOutcome.PASS, CheckOutcome.FAIL] * 3
    assert Algebra().fingerprint == Algebra().fingerprint
