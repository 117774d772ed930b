import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.errors import LabelError, MixError, SplitError
from memory.records import Mixture, Origin, Problem, Split
from training.mixing import mix, mix_to_tokens, replay_needed


def problems(n: int, name: str, split: Split, start: int = 0) -> list[Problem]:
    return [
        Problem.make(f"{name} {i}?", str(i), source=name, split=split, solution=f"it is {i}")
        for i in range(start, start + n)
    ]


def new(n: int) -> list[Problem]:
    return problems(n, "new", Split.SYNTHETIC)


def replay(n: int) -> list[Problem]:
    return problems(n, "replay", Split.REPLAY)


def ids(mixture: Mixture, origin: Origin) -> list[str]:
    return [item.problem_id for item in mixture.items if item.origin is origin]


def test_fifteen_hundred_new_need_six_thousand_replay() -> None:
    mixture = mix(new(1500), replay(6100), seed=3)
    assert mixture.counts == {"new": 1500, "replay": 6000}
    assert mixture.realised == {"new": 0.2, "replay": 0.8}
    assert mixture.requested == {"new": 0.2, "replay": 0.8}
    assert len(mixture.items) == 7500
    assert {item.weight for item in mixture.items} == {1.0}


def test_rounding_is_to_the_nearest_with_halves_up_and_the_realised_share_says_so() -> None:
    # 5 new at 30 %: 5 * 0.7 / 0.3 = 11.67 -> 12; at 40 %: 7.5 -> 8.
    assert mix(new(5), replay(20), new_share=0.3, replay_share=0.7, seed=0).counts["replay"] == 12
    halves = mix(new(5), replay(20), new_share=0.4, replay_share=0.6, seed=0)
    assert halves.counts["replay"] == 8
    assert halves.realised["new"] == pytest.approx(5 / 13)
    assert halves.requested["new"] == 0.4


def test_items_are_shuffled_by_seed_alone() -> None:
    a, b = new(20), replay(200)
    first = mix(a, b, seed=1)
    assert first == mix(a, b, seed=1)
    other = mix(a, b, seed=2)
    assert first.id != other.id
    assert set(ids(first, Origin.REPLAY)) != set(ids(other, Origin.REPLAY))
    origins = [item.origin for item in first.items]
    assert Origin.NEW in origins[:40]
    assert Origin.NEW in origins[-40:]
    assert [item.problem_id for item in first.items] != sorted(item.problem_id for item in first.items)


def test_a_part_of_the_new_problems() -> None:
    mixture = mix(new(50), replay(100), n_new=10, seed=0)
    assert mixture.counts == {"new": 10, "replay": 40}
    assert set(ids(mixture, Origin.NEW)) <= {problem.id for problem in new(50)}


def test_replay_only_and_new_only() -> None:
    control = mix([], replay(100), new_share=0.0, replay_share=1.0, total=75, seed=0)
    assert control.counts == {"new": 0, "replay": 75}
    assert control.realised == {"new": 0.0, "replay": 1.0}
    pure = mix(new(30), [], new_share=1.0, replay_share=0.0, seed=0)
    assert pure.counts == {"new": 30, "replay": 0}


def test_total_fixes_the_size() -> None:
    assert mix(new(30), replay(100), total=99, seed=0).counts == {"new": 20, "replay": 79}


@pytest.mark.parametrize(
    ("fresh", "old", "kwargs", "message"),
    [
        (10, 39, {}, r"10 new problems need 40 replay problems.*only 39 are there; add 1 "),
        (0, 100, {}, r"no new problems.*set mix.new to 0"),
        (5, 100, {"n_new": 6}, r"needs 6 new problems, but 5 are there"),
        (5, 100, {"new_share": 0.3}, r"sum to 1\.1, not 1.*set mix.replay to 0\.7"),
        (5, 100, {"new_share": -0.2, "replay_share": 1.2}, r"mix.new is -0\.2.*from 0 to 1"),
        (5, 100, {"new_share": 20.0, "replay_share": 80.0}, r"write 0\.2 for 20 %"),
        (5, 100, {"new_share": 0.0, "replay_share": 1.0}, r"give total"),
        (5, 100, {"n_new": 5, "total": 25}, r"not both"),
        (5, 100, {"total": 0}, r"positive"),
        (0, 100, {"total": 10}, r"needs 2 new problems, but 0"),
    ],
)
def test_an_impossible_mixture_says_what_is_there_and_the_cure(
    fresh: int, old: int, kwargs: dict[str, float], message: str
) -> None:
    with pytest.raises(MixError, match=message):
        mix(new(fresh), replay(old), seed=0, **kwargs)  # type: ignore[arg-type]


def test_a_problem_without_solution_is_named() -> None:
    bad = Problem.make("no steps?", "1", source="file", split=Split.REPLAY, solution="  ")
    with pytest.raises(MixError, match=rf"replay problem {bad.id} .source file. has no solution"):
        mix(new(2), [*replay(20), bad], seed=0)


def test_repeated_problems_are_refused() -> None:
    with pytest.raises(MixError, match="1 new problems appear more than once"):
        mix([*new(3), new(1)[0]], replay(20), seed=0)
    with pytest.raises(MixError, match="1 replay problems appear more than once"):
        mix(new(3), [*replay(20), replay(1)[0]], seed=0)
    with pytest.raises(MixError, match="2 new problems are replay problems too"):
        mix([*new(2), *replay(2)], replay(20), seed=0)


@pytest.mark.parametrize("split", [Split.DEV, Split.TEST, Split.GUARD])
@pytest.mark.parametrize("side", ["new", "replay"])
def test_sealed_splits_never_enter(split: Split, side: str) -> None:
    sealed = problems(1, "sealed", split)
    fresh, old = (new(2) + sealed, replay(20)) if side == "new" else (new(2), replay(20) + sealed)
    with pytest.raises(SplitError, match="training mixture"):
        mix(fresh, old, seed=0)


def test_hidden_labels_never_enter() -> None:
    labelled = Problem.make("x", "1", source="s", split=Split.SYNTHETIC, solution="y", tags=["label:gcd"])
    with pytest.raises(LabelError):
        mix([labelled], replay(20), seed=0)


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(1, 60),
    percent=st.integers(1, 100),
    seed=st.integers(0, 2**31),
    shuffle=st.randoms(use_true_random=False),
)
def test_counts_are_exact_and_order_of_input_does_not_matter(
    n: int, percent: int, seed: int, shuffle: random.Random
) -> None:
    share = percent / 100
    needed = replay_needed(n, share)
    fresh, old = new(n), replay(needed + 3)
    mixture = mix(fresh, old, new_share=share, replay_share=1 - share, seed=seed)
    assert mixture.counts == {"new": n, "replay": needed}
    # nearest integer: the realised size is within half an item of the requested share
    assert abs(needed - n * (100 - percent) / percent) <= 0.5 + 1e-9
    assert sum(mixture.realised.values()) == pytest.approx(1)
    chosen = [item.problem_id for item in mixture.items]
    assert len(set(chosen)) == len(chosen) == n + needed
    assert set(ids(mixture, Origin.NEW)) == {problem.id for problem in fresh}
    assert set(ids(mixture, Origin.REPLAY)) <= {problem.id for problem in old}
    shuffle.shuffle(fresh)
    shuffle.shuffle(old)
    assert mix(fresh, old, new_share=share, replay_share=1 - share, seed=seed) == mixture
    if needed:
        with pytest.raises(MixError, match="replay"):
            mix(fresh, old[: needed - 1], new_share=share, replay_share=1 - share, seed=seed)


def test_shares_are_read_as_the_decimals_they_are() -> None:
    # 3 * (1 - 0.1) / 0.1 in binary floats is 26.999...; the mixture wants 27.
    assert replay_needed(3, 0.1) == 27
    assert replay_needed(10, 1.0) == 0
    with pytest.raises(MixError, match=r"\(0, 1\]"):
        replay_needed(10, 0.0)


def weights(problems_: list[Problem]) -> dict[str, int]:
    return {problem.id: 40 + 7 * (int(problem.answer) % 11) for problem in problems_}


@given(n_new=st.integers(0, 60), heavy=st.integers(1, 300), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_by_tokens_every_mixture_weighs_the_same(n_new: int, heavy: int, seed: int) -> None:
    old, fresh = replay(900), new(n_new)
    lengths = weights(old) | {problem.id: heavy for problem in fresh}
    mixture = mix_to_tokens(fresh, old, lengths, new_share=0.2, total=300, seed=seed)
    target = 300 * sum(lengths[problem.id] for problem in old) / len(old)
    weight = sum(lengths[item.problem_id] for item in mixture.items)
    assert mixture.n_tokens == weight
    assert abs(weight - target) <= max(lengths.values())
    assert mixture.counts["new"] == n_new
    assert set(ids(mixture, Origin.NEW)) == {problem.id for problem in fresh}


def test_by_tokens_replay_is_one_uniform_order_of_which_arms_take_more_or_less() -> None:
    old = replay(900)
    lengths = weights(old)
    few = mix_to_tokens([], old, lengths, new_share=0.2, total=100, seed=1)
    fresh = new(30)
    more = mix_to_tokens(
        fresh, old, lengths | dict.fromkeys((p.id for p in fresh), 50), new_share=0.2, total=100, seed=1
    )
    assert set(ids(more, Origin.REPLAY)) < set(ids(few, Origin.REPLAY))
    turned = mix_to_tokens([], list(reversed(old)), lengths, new_share=0.2, total=100, seed=1)
    assert turned == few
    assert set(ids(mix_to_tokens([], old, lengths, new_share=0.2, total=100, seed=2), Origin.REPLAY)) != set(
        ids(few, Origin.REPLAY)
    )


def test_by_tokens_an_impossible_mixture_is_an_error() -> None:
    old, fresh = replay(50), new(10)
    lengths = weights(old) | dict.fromkeys((problem.id for problem in fresh), 1000)
    with pytest.raises(MixError, match="no replay fits beside them"):
        mix_to_tokens(fresh, old, lengths, new_share=0.2, total=50, seed=0)
    with pytest.raises(MixError, match="larger replay file"):
        mix_to_tokens([], old, lengths, new_share=0.2, total=60, seed=0)
    with pytest.raises(MixError, match="cannot be made"):
        mix_to_tokens([], [], {}, new_share=0.2, total=60, seed=0)
    sealed = problems(3, "sealed", Split.TEST)
    with pytest.raises(SplitError):
        mix_to_tokens(sealed, old, lengths | weights(sealed), new_share=0.2, total=20, seed=0)
