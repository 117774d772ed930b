import random
import time
from collections.abc import Sequence

import pytest

from agent.config import DiagnoseConfig
from agent.diagnose import diagnose
from memory.embedding import HashingEmbedder
from memory.errors import LabelError
from memory.records import Attempt, Diagnosis, Finish, Outcome, Problem, Split, Trend

CONFIG = DiagnoseConfig(embedder="hashing", target_cluster_size=12, max_cluster_size=24)
KINDS = {
    "area": "A rectangle is {a} m long and {b} m wide. What is its area in square metres?",
    "train": "A train travels {a} km in {b} hours. How fast does the train travel on average?",
    "age": "{who} is {a} years old and twice as old as a cousin was {b} years ago. How old is the cousin?",
    "solve": "Solve the equation {a}x + {b} = 0 for x.",
}


def world(per_kind: int = 12, seed: int = 0) -> list[Problem]:
    rng = random.Random(seed)
    found: dict[str, Problem] = {}
    for kind, text in KINDS.items():
        have = 0
        while have < per_kind:
            statement = text.format(a=rng.randint(2, 999), b=rng.randint(2, 99), who=rng.choice(["Ann", "Bob", "Cy"]))
            problem = Problem.make(statement, str(have), source=kind, split=Split.PROBE)
            have += problem.id not in found
            found[problem.id] = problem
    return list(found.values())


def attempt(problem: Problem, outcome: str, index: int = 0, **rest: str) -> Attempt:
    fields = {"text": f"The answer is {index}", "extracted": None, **rest}
    return Attempt.make(
        problem_id=problem.id, student="s", sample_index=index, seed=0, n_tokens=3, finish=Finish.STOP,
        outcome=Outcome(outcome), **fields,
    )  # fmt: skip


def attempts_of(problems: Sequence[Problem], failing: set[str]) -> list[Attempt]:
    return [attempt(problem, "wrong" if problem.source in failing else "correct") for problem in problems]


def run(
    problems: Sequence[Problem],
    attempts: Sequence[Attempt],
    config: DiagnoseConfig = CONFIG,
    previous: Diagnosis | None = None,
    round_index: int = 0,
    seed: int = 0,
) -> Diagnosis:
    return diagnose(
        problems, attempts, HashingEmbedder(), config=config, round_index=round_index, previous=previous, seed=seed
    )


def test_each_failing_kind_is_a_cluster_with_its_numbers() -> None:
    problems = world()
    found = run(problems, attempts_of(problems, {"area", "train", "age"}))
    by_id = {problem.id: problem for problem in problems}
    assert [{by_id[name].source for name in item.problem_ids} for item in found.weaknesses] == [
        {by_id[item.problem_ids[0]].source} for item in found.weaknesses
    ]
    assert found.k == len(found.weaknesses) == 3
    assert found.stability == 1.0
    assert found.triage["wrong"] == 36
    assert sum(item.n for item in found.weaknesses) == len(problems)
    for item in found.weaknesses:
        assert len(item.problem_ids) == item.failures <= item.n
        assert item.low <= item.failure_rate <= item.high
        assert item.failure_rate == item.failures / item.n
        assert item.trend is Trend.NEW
        assert item.parent is None
    assert len({item.label for item in found.weaknesses}) == 3
    train = next(item for item in found.weaknesses if by_id[item.problem_ids[0]].source == "train")
    assert "train" in train.label or "hours" in train.label


def test_order_of_problems_and_attempts_does_not_matter() -> None:
    problems = world(20)
    rng = random.Random(2)
    attempts = [
        attempt(problem, rng.choice(["correct", "wrong", "unparsed", "truncated", "errored"]), at)
        for problem in problems
        for at in range(2)
    ]
    first = run(problems, attempts)
    for seed in (1, 2, 3):
        shuffler = random.Random(seed)
        shuffler.shuffle(problems)
        shuffler.shuffle(attempts)
        assert run(problems, attempts) == first
    follow = run(problems, attempts, previous=first, round_index=1)
    moved = first.model_copy(update={"weaknesses": first.weaknesses[::-1]})
    assert run(problems, attempts, previous=moved, round_index=1) == follow


def test_no_failures() -> None:
    problems = world()
    found = run(problems, attempts_of(problems, set()))
    assert (found.weaknesses, found.k, found.stability) == ((), 0, None)
    assert sum(found.triage.values()) == 0
    before = run(problems, attempts_of(problems, {"area"}))
    assert run(problems, attempts_of(problems, set()), previous=before).gone == (before.weaknesses[0].id,)


def test_a_single_failure() -> None:
    problems = world()
    attempts = attempts_of(problems, set())
    attempts[0] = attempt(problems[0], "wrong")
    (only,) = run(problems, attempts).weaknesses
    assert only.problem_ids == (problems[0].id,)
    assert (only.failures, only.n) == (1, len(problems))
    assert only.high < 0.2


def test_only_errors_are_counted_and_not_clustered() -> None:
    problems = world()
    attempts = [attempt(problem, "errored") for problem in problems]
    found = run(problems, attempts)
    assert (found.weaknesses, found.triage["errored"]) == ((), len(problems))
    attempts[3] = attempt(problems[3], "wrong")
    (only,) = run(problems, attempts).weaknesses
    assert (only.failures, only.n) == (1, 1)  # nothing is known of the others


def test_all_texts_alike_are_one_cluster_above_the_cap() -> None:
    problems = [Problem.make(f"What is {n} plus {n + 1}?", str(n), source="add", split=Split.PROBE) for n in range(60)]
    (only,) = run(problems, attempts_of(problems, {"add"})).weaknesses
    assert only.failures == 60
    unmasked = run(problems, attempts_of(problems, {"add"}), CONFIG.model_copy(update={"mask": False}))
    assert max(item.failures for item in unmasked.weaknesses) <= 24


def test_the_cap_holds() -> None:
    problems = world(70)
    config = CONFIG.model_copy(update={"mask": False, "target_cluster_size": 10, "max_cluster_size": 15})
    found = run(problems, attempts_of(problems, set(KINDS)), config)
    assert max(item.failures for item in found.weaknesses) <= 15
    assert sum(item.failures for item in found.weaknesses) == 280
    assert len({item.label for item in found.weaknesses}) == found.k


def test_hostile_and_foreign_texts() -> None:
    texts = ["🙂" * 300, "小明有5个苹果,还剩几个?", "\ud800 broken", "", "\x00", "x " * 500_000, "$" * 9000]
    problems = [Problem.make(text + str(at), "1", source="odd", split=Split.PROBE) for at, text in enumerate(texts)]
    config = CONFIG.model_copy(update={"embed_wrong_answer": True})
    attempts = [attempt(problem, "wrong", text="9" * 1_000_000) for problem in problems]
    started = time.process_time()
    found = run(problems, attempts, config)
    assert time.process_time() - started < 10
    assert sum(item.failures for item in found.weaknesses) == len(texts)
    assert all(item.label for item in found.weaknesses)


def test_clusters_are_matched_across_rounds_on_the_same_problems() -> None:
    problems = world()
    before = run(problems, attempts_of(problems, {"area", "train", "age"}))
    by_id = {problem.id: problem for problem in problems}
    attempts = []
    fixed = 0
    for problem in sorted(problems, key=lambda item: item.id):
        outcome = "wrong" if problem.source in {"area", "train", "solve"} else "correct"
        if problem.source == "train" and fixed < 8:
            outcome, fixed = "correct", fixed + 1
        attempts.append(attempt(problem, outcome))
    after = run(problems, attempts, previous=before, round_index=1)
    of = {by_id[item.problem_ids[0]].source: item for item in after.weaknesses}
    old = {by_id[item.problem_ids[0]].source: item for item in before.weaknesses}
    assert (of["area"].trend, of["area"].parent) == (Trend.SAME, old["area"].id)
    assert (of["train"].trend, of["train"].parent) == (Trend.SHRUNK, old["train"].id)
    assert (of["train"].parent_failures, of["train"].failures) == (12, 4)
    assert (of["solve"].trend, of["solve"].parent, of["solve"].parent_failures) == (Trend.NEW, None, None)
    assert after.gone == (old["age"].id,)
    again = run(problems, attempts_of(problems, {"area", "train", "solve"}), previous=after, round_index=2)
    grown = next(item for item in again.weaknesses if by_id[item.problem_ids[0]].source == "train")
    assert (grown.trend, grown.parent_failures, grown.failures) == (Trend.GROWN, 4, 12)


def test_ids_are_the_round_and_the_members() -> None:
    problems = world()
    one = run(problems, attempts_of(problems, {"area", "age"}))
    other_seed = run(problems, attempts_of(problems, {"area", "age"}), seed=5)
    later = run(problems, attempts_of(problems, {"area", "age"}), round_index=1)
    assert {item.id for item in one.weaknesses} == {item.id for item in other_seed.weaknesses}
    assert not {item.id for item in one.weaknesses} & {item.id for item in later.weaknesses}


def test_a_suspect_gold_answer_is_flagged_and_kept() -> None:
    problems = world()
    attempts = attempts_of(problems, set())[1:]
    attempts += [attempt(problems[0], "wrong", at, extracted="7") for at in range(4)]
    found = run(problems, attempts)
    assert found.triage["gold_suspect"] == 1
    (only,) = found.weaknesses
    assert only.note is not None
    assert problems[0].id in only.note
    assert only.problem_ids == (problems[0].id,)


def test_a_configured_k_and_no_stability() -> None:
    problems = world()
    config = CONFIG.model_copy(update={"k": 2, "stability_seeds": 0})
    found = run(problems, attempts_of(problems, set(KINDS)), config)
    assert found.k == 2
    assert "k=2" in found.k_rule
    assert found.stability is None
    assert {item.stability for item in found.weaknesses} == {None}


def test_labels_and_strangers_are_refused() -> None:
    problems = world()
    labelled = [problems[0].model_copy(update={"tags": ("label:area",)}), *problems[1:]]
    with pytest.raises(LabelError):
        run(labelled, attempts_of(problems, {"area"}))
    with pytest.raises(ValueError, match="not among the given"):
        run(problems[1:], attempts_of(problems, {"area"}))


def test_the_wrong_answer_is_embedded_only_when_asked() -> None:
    problems = world(6)

    class Recording(HashingEmbedder):
        seen: tuple[str, ...] = ()

        def encode(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
            self.seen = tuple(texts)
            return super().encode(texts)

    attempts = [attempt(problem, "wrong", text="I guess seventeen") for problem in problems]
    for asked in (False, True):
        embedder = Recording()
        config = CONFIG.model_copy(update={"embed_wrong_answer": asked})
        diagnose(problems, attempts, embedder, config=config, round_index=0, previous=None, seed=0)
        assert all(("I guess seventeen" in text) is asked for text in embedder.seen)
        assert not any(char.isdigit() for text in embedder.seen for char in text)
