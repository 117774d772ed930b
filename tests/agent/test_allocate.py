import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.allocate import ALLOCATORS, allocate, largest_remainder
from memory.errors import ConfigError
from memory.records import Allocation, Diagnosis, Weakness


def diagnosis(*failures: int) -> Diagnosis:
    weaknesses = tuple(
        Weakness(
            id=f"w-{at:03d}", round=0, label=f"label {at}", keyphrases=(), problem_ids=(), n=n + 5, failures=n,
            failure_rate=n / (n + 5), low=0.0, high=1.0,
        )
        for at, n in enumerate(failures)
    )  # fmt: skip
    return Diagnosis(round=0, weaknesses=weaknesses, triage={}, k=len(weaknesses), k_rule="", stability=None)


def split(found: Diagnosis, method: str, budget: int, least: int = 0) -> Allocation:
    return allocate(
        found.weaknesses, method=method, budget=budget, strategy="targeted", round_index=3, min_per_cluster=least
    )


def amounts(allocation: Allocation) -> list[int]:
    return [item.n for item in allocation.allotments]


def test_error_mass_is_in_proportion_and_exact() -> None:
    found = split(diagnosis(50, 30, 20), "error_mass", 1000)
    assert amounts(found) == [500, 300, 200]
    assert amounts(split(diagnosis(1, 1, 1), "error_mass", 100)) == [34, 33, 33]
    assert (found.round, found.method, found.budget) == (3, "error_mass", 1000)
    assert [item.weakness_id for item in found.allotments] == ["w-000", "w-001", "w-002"]
    assert {item.strategy for item in found.allotments} == {"targeted"}


def test_uniform_does_not_look_at_failures() -> None:
    assert amounts(split(diagnosis(90, 1, 1), "uniform", 10)) == [4, 3, 3]


def test_every_cluster_gets_its_minimum_and_the_others_pay() -> None:
    assert amounts(split(diagnosis(90, 9, 1), "error_mass", 100, least=10)) == [80, 10, 10]
    assert amounts(split(diagnosis(90, 9, 1), "error_mass", 7, least=10)) == [3, 2, 2]  # 2 is the most all can have


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40), st.integers(0, 500), st.integers(0, 20))
def test_the_sum_is_the_budget_and_order_does_not_matter(failures: list[int], budget: int, least: int) -> None:
    found = diagnosis(*failures)
    for method in ALLOCATORS:
        allocation = split(found, method, budget, least)
        assert sum(amounts(allocation)) == budget
        assert min(amounts(allocation)) >= min(least, budget // len(failures))
        shuffled = list(found.weaknesses)
        random.Random(1).shuffle(shuffled)
        other = split(found.model_copy(update={"weaknesses": tuple(shuffled)}), method, budget, least)
        assert {item.weakness_id: item.n for item in other.allotments} == {
            item.weakness_id: item.n for item in allocation.allotments
        }


def test_no_clusters_spend_nothing() -> None:
    found = split(diagnosis(), "error_mass", 100)
    assert (found.budget, found.allotments) == (0, ())


def test_errors_name_the_cure() -> None:
    with pytest.raises(ConfigError, match="error_mass, uniform"):
        split(diagnosis(1), "errormass", 10)
    with pytest.raises(ConfigError, match="negative"):
        split(diagnosis(1), "uniform", -1)


def test_largest_remainder() -> None:
    assert largest_remainder([], [], 0) == []
    assert largest_remainder([0, 0, 0], ["c", "a", "b"], 4) == [1, 2, 1]
    assert largest_remainder([47, 16, 16, 21], list("abcd"), 10) == [5, 2, 1, 2]  # equal claims: the lower name first
