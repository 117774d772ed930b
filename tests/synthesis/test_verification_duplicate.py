"""The duplicate verifier: within a batch, across rounds, against the replay; which of two is kept."""

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from memory.records import Check, CheckOutcome, Draft, Problem, Split
from synthesis.verification.duplicate import Duplicate

BASE = "Anna has 45 apples and gives away 12 of them. How many apples does she have left?"


def problem(statement: str, answer: str = "33", split: Split = Split.REPLAY) -> Problem:
    return Problem.make(statement, answer, source="t", split=split)


def draft(statement: str, answer: str = "33", seed: int = 0) -> Draft:
    made = problem(statement, answer, Split.SYNTHETIC)
    return Draft.make(problem=made, weakness_id="w", strategy="s", teacher="t", prompt_hash=f"h{seed}", seed=seed)


def reasons(checks: list[Check]) -> list[str]:
    return [check.reason for check in checks]


def test_copies_of_the_replay_and_of_earlier_rounds_are_refused_and_named() -> None:
    replay, before = problem(BASE), problem("A flock of 45 birds loses 12 of them to a hawk. How many birds remain?")
    verifier = Duplicate([replay], [before], allow_same_template=True)
    checks = verifier.check(
        [
            draft(BASE.upper()),
            draft(BASE.replace("Anna", "Ben")),
            draft("a flock of 45 birds loses twelve of them to a hawk; how many birds remain"),
            draft(f"Think hard. {BASE} Take your time."),
            draft(BASE.replace("45", "54"), "42"),
            draft("45 seats, 12 taken. How many are free?"),
        ]
    )
    assert reasons(checks) == ["same_text", "renamed", "renamed", "ngram", "", ""]
    assert [check.outcome for check in checks] == [CheckOutcome.FAIL] * 4 + [CheckOutcome.PASS] * 2
    assert checks[0].evidence == f"{replay.id} (replay)"
    assert checks[2].evidence == f"{before.id} (accepted before)"
    assert replay.id in checks[3].evidence


def test_same_template_is_refused_unless_allowed() -> None:
    drafts = [draft(BASE.replace("45", "54"), "42")]
    assert reasons(Duplicate([problem(BASE)]).check(drafts)) == ["same_template"]
    assert reasons(Duplicate([problem(BASE)], allow_same_template=True).check(drafts)) == [""]


def test_of_duplicates_in_a_batch_the_smallest_id_is_kept_in_any_order() -> None:
    drafts = [draft(BASE if n % 2 else BASE.lower(), seed=n) for n in range(8)]
    kept = min(item.id for item in drafts)
    for seed in range(5):
        random.Random(seed).shuffle(drafts)
        checks = Duplicate([], []).check(drafts)
        passed = [item.id for item, check in zip(drafts, checks, strict=True) if check.outcome is CheckOutcome.PASS]
        assert passed == [kept]
        for check in checks:
            assert check.outcome is CheckOutcome.PASS or check.evidence == f"{kept} (this batch)"


def test_one_draft_twice_is_kept_once() -> None:
    checks = Duplicate([]).check([draft(BASE), draft("Another one: 5 + 6?", "11"), draft(BASE)])
    assert [check.outcome for check in checks] == [CheckOutcome.PASS, CheckOutcome.PASS, CheckOutcome.FAIL]


def test_the_word_on_a_draft_does_not_depend_on_the_order() -> None:
    rng = random.Random(0)
    texts = [f"{name} has {a} {thing}. How many?" for name in "AB" for thing in ("pens", "pans") for a in (3, 4, 5)]
    drafts = [draft(text, "1", seed) for seed, text in enumerate(texts * 2)]
    expected = None
    for _ in range(5):
        rng.shuffle(drafts)
        checks = Duplicate([], allow_same_template=True).check(drafts)
        found = {item.id: check for item, check in zip(drafts, checks, strict=True)}
        expected = expected or found
        assert found == expected


def test_fingerprint_follows_pools_and_settings_not_their_order() -> None:
    a, b = problem(BASE), problem("What is 3 + 4?", "7")
    marks = {
        Duplicate([a, b]).fingerprint,
        Duplicate([a], [b]).fingerprint,
        Duplicate([a]).fingerprint,
        Duplicate([a, b], allow_same_template=True).fingerprint,
    }
    assert len(marks) == 4
    assert Duplicate([a, b]).fingerprint == Duplicate([b, a]).fingerprint


def test_hostile_batches_end_in_time() -> None:
    start = time.process_time()
    texts = ["", " ", "{" * 1_000_000, "1 " * 500_000, "\x00\ud800", "٣" * 100_000, "two hundred " * 50_000]
    drafts = [draft(text, text[:50], seed) for seed, text in enumerate(texts)]
    checks = Duplicate([problem(text) for text in texts[2:4]]).check(drafts)
    assert len(checks) == len(drafts)
    assert reasons(checks)[2:4] == ["same_text", "same_text"]
    assert time.process_time() - start < 30


def test_many_drafts_of_one_template_end_in_time() -> None:
    start = time.process_time()
    text = "A field is {} m long and {} m wide. How many metres of fence go around it, if it has no gate at all?"
    drafts = [draft(text.format(20 + n // 15, 2 + n % 15), str(n), n) for n in range(3000)]
    checks = Duplicate([], allow_same_template=True).check(drafts)
    assert {check.outcome for check in checks} == {CheckOutcome.PASS}
    assert time.process_time() - start < 30


@given(st.lists(st.sampled_from(["1 + 2?", "1+2", "two plus 1", "Ann has 2", "Bob has 2", "x"]), max_size=8))
@settings(max_examples=50, deadline=None)
def test_what_is_kept_holds_no_copy(texts: list[str]) -> None:
    drafts = [draft(text, "3", seed) for seed, text in enumerate(texts)]
    checks = Duplicate([]).check(drafts)
    kept = [item for item, check in zip(drafts, checks, strict=True) if check.outcome is CheckOutcome.PASS]
    assert bool(kept) == bool(drafts)
    for position, item in enumerate(kept):
        (check,) = Duplicate([other.problem for other in kept[:position] + kept[position + 1 :]]).check([item])
        assert check.outcome is CheckOutcome.PASS
