"""The contamination verifier: planted copies are refused, each with its twin's name; clean drafts pass."""

import random

import pytest

from memory.records import CheckOutcome, Draft, Problem, Split
from synthesis.verification.contamination import Contamination, SameTemplate
from synthesis.world.skills import LEVELS, SKILLS

BASE = "Anna has 45 apples and gives away 12 of them. How many apples does she have left?"


def problem(statement: str, answer: str, split: Split) -> Problem:
    return Problem.make(statement, answer, source="t", split=split)


def draft(statement: str, answer: str, seed: int = 0) -> Draft:
    made = problem(statement, answer, Split.SYNTHETIC)
    return Draft.make(problem=made, weakness_id="w", strategy="s", teacher="t", prompt_hash=f"h{seed}", seed=seed)


@pytest.mark.parametrize("split", [Split.PROBE, Split.DEV, Split.TEST, Split.GUARD])
@pytest.mark.parametrize("mode", ["refuse", "allow"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BASE.upper(), "same_text"),
        (BASE.replace("Anna", "Ben"), "renamed"),
        ("Of forty-five seats a dozen are taken. How many are free?", "same_numbers"),
        (f"It is Monday. {BASE} Think well.", "same_numbers"),
    ],
)
def test_copies_are_refused_with_their_twin(split: Split, mode: SameTemplate, text: str, reason: str) -> None:
    twin = problem(BASE, "33", split)
    (check,) = Contamination([twin], mode).check([draft(text, "33")])
    assert (check.outcome, check.reason) == (CheckOutcome.FAIL, reason)
    assert check.evidence.startswith(f"{twin.id} ({split.value})")


def test_a_copy_with_a_wrong_answer_and_an_addition_is_refused() -> None:
    (check,) = Contamination([problem(BASE, "33", Split.DEV)]).check([draft(f"So: {BASE} Yes, all 7?", "999")])
    assert (check.outcome, check.reason) == (CheckOutcome.FAIL, "ngram")


def test_templates_are_refused_by_default_and_allowed_when_configured() -> None:
    sealed, drafts = [problem(BASE, "33", Split.TEST)], [draft(BASE.replace("45", "54"), "42")]
    assert Contamination(sealed).check(drafts)[0].reason == "same_template"
    assert Contamination(sealed, "allow").check(drafts)[0].outcome is CheckOutcome.PASS


def test_planted_paraphrases_of_every_skill_are_refused() -> None:
    rng = random.Random(11)
    sealed, drafts = [], []
    for skill in SKILLS.values():
        for level in LEVELS:
            seed = rng.randrange(10**9)
            wordings = range(len(skill.wordings[level]))
            first, *others = (skill.generate(random.Random(seed), level, wording) for wording in wordings)
            sealed.append(problem(first.statement, first.answer, Split.TEST))
            drafts += [draft(item.statement, item.answer, seed) for item in (first, *others)]
    checks = Contamination(sealed, "allow").check(drafts)
    assert [
        item.problem.statement for item, c in zip(drafts, checks, strict=True) if c.outcome is CheckOutcome.PASS
    ] == []
    assert {check.reason for check in checks} >= {"same_text", "same_numbers"}


def test_the_twin_and_the_word_do_not_depend_on_any_order() -> None:
    texts = (BASE, BASE.replace("Anna", "Bob"), "45 - 12", "12 of 45 fail", "a 45, 12")
    sealed = [problem(text, "33", split) for split, text in zip(Split, texts, strict=False)]
    drafts = [draft(BASE.replace("Anna", "Eve"), "33"), draft("forty-five less 12", "33", 1), draft("no", "1", 2)]
    expected = {item.id: check for item, check in zip(drafts, Contamination(sealed).check(drafts), strict=True)}
    for seed in range(5):
        random.Random(seed).shuffle(sealed)
        random.Random(seed + 9).shuffle(drafts)
        checks = Contamination(sealed).check(drafts)
        assert {item.id: check for item, check in zip(drafts, checks, strict=True)} == expected
        assert Contamination(sealed).fingerprint == Contamination(sealed[::-1]).fingerprint
    assert Contamination(sealed).fingerprint != Contamination(sealed, "allow").fingerprint
    assert Contamination(sealed).fingerprint != Contamination(sealed[1:]).fingerprint


def test_it_is_no_evidence_that_an_answer_is_right() -> None:
    assert not Contamination([]).independent
