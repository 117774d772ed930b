"""Near templates by MinHash and neighbours by embedding: found, named, apart from what is merely of one kind."""

import random

import pytest

from memory.embedding import HashingEmbedder
from memory.records import CheckOutcome, Draft, Problem, Split
from synthesis.verification.contamination import Contamination
from synthesis.verification.duplicate import Duplicate
from synthesis.verification.near import NearTemplates, Neighbours
from synthesis.world.skills import SKILLS

STORY = (
    "A baker in a small town bakes 45 loaves of bread every morning and sells 38 of them before noon. "
    "How many loaves are left over for the afternoon customers?"
)
EDITED = STORY.replace("45", "61").replace("38", "52").replace("small town", "little village")
RETOLD = (
    "Every morning a baker in town bakes 61 loaves of bread. Before noon the baker sells 52 of them. "
    "For the afternoon customers, how many loaves are left over?"
)
OTHER = "A farmer keeps 12 cows in a barn and 7 in a field. How many litres of milk does he get if each cow gives 9?"


def problem(statement: str, answer: str = "7", split: Split = Split.TEST) -> Problem:
    return Problem.make(statement, answer, source="t", split=split)


def draft(statement: str, answer: str = "9", seed: int = 0) -> Draft:
    made = problem(statement, answer, Split.SYNTHETIC)
    return Draft.make(problem=made, weakness_id="w", strategy="s", teacher="t", prompt_hash=f"h{seed}", seed=seed)


def test_a_template_with_a_few_words_changed_is_found_with_other_numbers() -> None:
    index = NearTemplates([problem(OTHER), problem(STORY)])
    found = index.find(EDITED)
    assert found is not None
    assert found.problem.statement == STORY
    assert "of the word runs" in found.shared
    assert index.find(RETOLD) is None
    assert index.find("What is 2 + 3?") is None
    assert NearTemplates().find(STORY) is None
    assert NearTemplates([problem("")]).find("") is not None


def test_the_order_of_the_problems_changes_nothing() -> None:
    rng = random.Random(0)
    pool = [problem(SKILLS["add"].generate(rng, 2).statement, str(n)) for n in range(60)]
    asked = [SKILLS["add"].generate(rng, 2).statement for _ in range(20)]
    expected = [NearTemplates(pool).find(text) for text in asked]
    assert any(expected)
    rng.shuffle(pool)
    assert [NearTemplates(pool).find(text) for text in asked] == expected


def test_a_story_told_in_other_words_is_a_neighbour() -> None:
    index = Neighbours(HashingEmbedder(), [problem(OTHER), problem(STORY)], threshold=0.9)
    found = index.find([RETOLD, OTHER, "What is 2 + 3?"])
    assert [near.problem.statement if near else None for near in found] == [STORY, OTHER, None]
    assert "cosine" in found[0].shared  # type: ignore[union-attr]
    assert Neighbours(HashingEmbedder()).find([STORY]) == [None]
    assert index.find([]) == []


@pytest.mark.parametrize(
    ("statement", "reason"), [(EDITED, "near_template"), (RETOLD, "embedding"), (OTHER.replace("cow", "goat"), "")]
)
def test_contamination_names_the_twin_and_how(statement: str, reason: str) -> None:
    sealed = [problem(STORY), problem("What is the square of 12?", "144")]
    check = Contamination(sealed, embedder=HashingEmbedder(), neighbour=0.9).check([draft(statement)])[0]
    assert check.reason == reason
    assert (check.outcome is CheckOutcome.FAIL) == bool(reason)
    assert not reason or sealed[0].id in check.evidence
    assert not reason or "(test)" in check.evidence


def test_both_kinds_can_be_allowed_and_the_embedder_may_be_absent() -> None:
    drafts = [draft(EDITED), draft(RETOLD)]
    allowed = Contamination([problem(STORY)], "allow", embedder=HashingEmbedder(), neighbour=0.9)
    assert [check.reason for check in allowed.check(drafts)] == ["", ""]
    assert [check.reason for check in Contamination([problem(STORY)]).check(drafts)] == ["near_template", ""]
    kept = Duplicate([problem(STORY)], allow_same_template=True, embedder=HashingEmbedder(), neighbour=0.9)
    assert [check.reason for check in kept.check(drafts)] == ["", ""]


def test_duplicates_are_found_in_the_pools_and_in_the_batch() -> None:
    settings = {"embedder": HashingEmbedder(), "neighbour": 0.9}
    drafts = [draft(EDITED), draft(RETOLD), draft(OTHER)]
    checks = Duplicate([problem(STORY, split=Split.REPLAY)], **settings).check(drafts)  # type: ignore[arg-type]
    assert [check.reason for check in checks] == ["near_template", "embedding", ""]
    assert all("(replay)" in check.evidence for check in checks[:2])
    checks = Duplicate([], [problem(STORY)], **settings).check(drafts)  # type: ignore[arg-type]
    assert all("(accepted before)" in check.evidence for check in checks[:2])
    batch = [draft(STORY), draft(EDITED), draft(RETOLD), draft(OTHER)]
    for seed in range(4):
        random.Random(seed).shuffle(batch)
        checks = Duplicate([], **settings).check(batch)  # type: ignore[arg-type]
        passed = {item.id for item, check in zip(batch, checks, strict=True) if check.outcome is CheckOutcome.PASS}
        three = sorted(item.id for item in batch if item.problem.statement != OTHER)
        assert passed >= {item.id for item in batch if item.problem.statement == OTHER}
        assert three[0] in passed
        assert len(passed) <= 3
        refused = [check for check in checks if check.outcome is CheckOutcome.FAIL]
        assert all("(this batch)" in check.evidence for check in refused)


def test_settings_and_embedder_are_part_of_the_fingerprint() -> None:
    sealed = [problem(STORY)]
    made = {
        Contamination(sealed).fingerprint,
        Contamination(sealed, "allow").fingerprint,
        Contamination(sealed, near=0.5).fingerprint,
        Contamination(sealed, embedder=HashingEmbedder()).fingerprint,
        Contamination(sealed, embedder=HashingEmbedder(64)).fingerprint,
        Contamination(sealed, embedder=HashingEmbedder(), neighbour=1.3).fingerprint,
    }
    assert len(made) == 6
