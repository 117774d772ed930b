import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.encoding import Encoded, plan_batches


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=300),
    size=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_every_example_is_in_exactly_one_batch(lengths: list[int], size: int, seed: int) -> None:
    for batching in ("length_grouped", "token_budget"):
        batches = plan_batches(lengths, batching=batching, batch_size=size, tokens_per_batch=90 * 2, seed=seed)
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        for batch in batches:
            if batching == "length_grouped":
                assert len(batch) <= size
            else:
                assert len(batch) * max(lengths[index] for index in batch) <= 180
        again = plan_batches(lengths, batching=batching, batch_size=size, tokens_per_batch=90 * 2, seed=seed)
        assert again == batches


def test_grouping_by_length_saves_padding_and_seeds_change_the_order() -> None:
    lengths = [(i * 37) % 90 + 10 for i in range(800)]

    def cost(batches: list[list[int]]) -> int:
        return sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)

    plan = plan_batches(lengths, batching="length_grouped", batch_size=8, tokens_per_batch=1, seed=0)
    in_order = [list(range(start, start + 8)) for start in range(0, 800, 8)]
    assert cost(plan) < 1.05 * sum(lengths) < cost(in_order)
    other = plan_batches(lengths, batching="length_grouped", batch_size=8, tokens_per_batch=1, seed=1)
    assert other != plan
    assert sorted(map(tuple, other)) == sorted(map(tuple, plan))
    # the mixture's order is kept on the whole: the first block comes first
    assert {index for batch in plan[:50] for index in batch} == set(range(400))


def test_labels_mask_the_prompt() -> None:
    assert Encoded("x", (5, 6, 7, 1), 2).labels == [-100, -100, 7, 1]
    assert len(Encoded("x", (5, 6, 7, 1), 2).labels) == 4


@pytest.mark.parametrize("budget", [1, 7])
def test_a_row_longer_than_the_budget_is_alone(budget: int) -> None:
    plan = plan_batches([9, 9], batching="token_budget", batch_size=8, tokens_per_batch=budget, seed=0)
    assert sorted(plan) == [[0], [1]]
