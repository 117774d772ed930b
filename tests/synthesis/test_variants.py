"""The variants strategy: one failed problem a request, exact amounts, nothing of the cluster shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.errors import LabelError, SplitError
from memory.records import Attempt, Finish, Outcome, Problem, Split, TeacherReply, TeacherRequest, Weakness
from synthesis.strategies.table import make_strategy
from synthesis.strategies.variants import Variants


def failure(index: int, split: Split = Split.PROBE, tags: tuple[str, ...] = ()) -> tuple[Problem, Attempt]:
    problem = Problem.make(f"What is {index} + 1?", str(index + 1), source="t", split=split, tags=tags)
    attempt = Attempt.make(
        problem_id=problem.id, student="s", sample_index=0, seed=0, text="0", n_tokens=1, finish=Finish.STOP,
        outcome=Outcome.WRONG, extracted="0",
    )  # fmt: skip
    return problem, attempt


def ask(failed: list[tuple[Problem, Attempt]], n: int, seed: int = 0, per_request: int = 4) -> list[TeacherRequest]:
    ids = tuple(problem.id for problem, _ in failed)
    weakness = Weakness(
        id="w-1", round=0, label="sums", keyphrases=("sums",), problem_ids=ids, n=len(ids), failures=len(ids),
        failure_rate=1.0, low=0.5, high=1.0,
    )  # fmt: skip
    return Variants(per_request).requests(weakness, failed, n, seed)


@given(n=st.integers(0, 120), members=st.integers(1, 30), asked=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_amounts_are_exact_and_even(n: int, members: int, asked: int) -> None:
    failed = [failure(index) for index in range(members)]
    made = ask(failed, n, per_request=asked)
    assert sum(item.n for item in made) == n
    assert all(1 <= item.n <= asked and len(item.exemplars) == len(item.parents) == 1 for item in made)
    totals = {problem.id: sum(item.n for item in made if item.parents == (problem.id,)) for problem, _ in failed}
    assert max(totals.values()) - min(totals.values()) <= 1
    assert len({item.id for item in made}) == len(made)


def test_nothing_of_the_cluster_is_shown() -> None:
    (made,) = ask([failure(1)], 2)
    assert (made.label, made.keyphrases, made.strategy, made.weakness_id) == ("", (), "variants", "w-1")


def test_order_changes_nothing_but_the_seed_does() -> None:
    failed = [failure(index) for index in range(9)]
    assert ask(failed, 5) == ask(failed[::-1], 5)
    assert [item.parents for item in ask(failed, 5)] != [item.parents for item in ask(failed, 5, seed=1)]


def test_sealed_splits_and_labels_are_refused() -> None:
    with pytest.raises(SplitError):
        ask([failure(1, Split.DEV)], 1)
    with pytest.raises(LabelError):
        ask([failure(1, tags=("label:add",))], 1)


def test_replies_are_read_as_everywhere_and_the_table_knows_it() -> None:
    strategy = make_strategy("variants", exemplars_per_request=4, problems_per_request=2)
    (made,) = ask([failure(1)], 1)
    text = '{"problems": [{"statement": "What is 2 + 3?", "solution": "2+3=5. \\\\boxed{5}", "answer": "5"}]}'
    drafts, refusals = strategy.parse(made, TeacherReply(request_id=made.id, teacher="t", text=text))
    assert refusals == []
    assert (drafts[0].strategy, drafts[0].problem.source) == ("variants", "variants:t")
