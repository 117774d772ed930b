import itertools

import pytest

from agent.triage import Triage, counts, triage, triage_one
from memory.records import Attempt, Finish, Outcome


def sample(outcome: str, index: int = 0, *, problem: str = "p", answer: str | None = None, text: str = "") -> Attempt:
    return Attempt.make(
        problem_id=problem, student="s", sample_index=index, seed=0, text=text or f"text {index}", n_tokens=2,
        finish=Finish.STOP, outcome=Outcome(outcome), extracted=answer,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "kind"),
    [
        ("correct", Triage.PASSED),
        ("correct errored", Triage.PASSED),
        ("errored errored", Triage.ERRORED),
        ("truncated errored", Triage.TRUNCATED),
        ("correct truncated", Triage.TRUNCATED),
        ("unparsed unparsed", Triage.UNPARSED),
        ("unparsed truncated", Triage.UNPARSED),
        ("correct wrong", Triage.INCONSISTENT),
        ("wrong", Triage.WRONG),
        ("wrong truncated", Triage.WRONG),
    ],
)
def test_kinds(outcomes: str, kind: Triage) -> None:
    for order in itertools.permutations(outcomes.split()):
        assert triage_one([sample(outcome, at) for at, outcome in enumerate(order)]) is kind


def test_gold_is_doubted_only_by_four_that_agree() -> None:
    agree = [sample("wrong", at, answer="7") for at in range(4)]
    assert triage_one(agree) is Triage.GOLD_SUSPECT
    assert triage_one(agree[:3]) is Triage.WRONG
    assert triage_one([*agree[:3], sample("wrong", 3, answer="8")]) is Triage.WRONG
    assert triage_one([*agree[:3], sample("wrong", 3)]) is Triage.WRONG
    assert triage_one([*agree, sample("correct", 4, answer="5")]) is Triage.INCONSISTENT
    assert triage_one([*agree, sample("unparsed", 4)]) is Triage.WRONG
    # four greedy samples are one sample
    assert triage_one([sample("wrong", at, answer="7", text="same") for at in range(4)]) is Triage.WRONG


def test_counts_name_every_kind_and_sum_to_the_failures() -> None:
    found = triage(
        [sample("wrong", problem="b"), sample("correct", problem="a"), sample("errored", problem="c"),
         sample("wrong", problem="d"), sample("correct", 1, problem="d")]
    )  # fmt: skip
    assert list(found) == ["a", "b", "c", "d"]
    assert counts(found) == {
        "errored": 1, "truncated": 0, "unparsed": 0, "inconsistent": 1, "gold_suspect": 0, "wrong": 1
    }  # fmt: skip
