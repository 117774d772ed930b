"""The truth used to measure teachers agrees with the world's generators, and sees what is wrong."""

import random
from fractions import Fraction

import pytest

from benchmarks.truth import truth
from synthesis.world.skills import SKILLS


@pytest.mark.parametrize("name", SKILLS)
def test_it_agrees_with_the_generator_on_every_wording(name: str) -> None:
    skill = SKILLS[name]
    rng = random.Random(1)
    for level, texts in skill.wordings.items():
        for wording in range(len(texts)):
            for _ in range(60):
                item = skill.generate(rng, level, wording)
                found = truth(item.statement)
                assert found is not None, item
                assert found.skill == name
                assert found.answer == Fraction(item.answer), item


@pytest.mark.parametrize(
    "statement",
    [
        "Ben shares 100 nuts equally among 7 friends. How many does each friend get?",
        "Ben has 10 euros and buys 3 pens at 5 euros each. How many euros are left?",
        "Two angles of a triangle are 100 and 90 degrees. How large is the third?",
        "Continue the sequence 3, 5, 8, 9.",
        "Ben scores 10, 20 and 30 points in five games. What is the average score?",
        "Solve 3x + 5 = 3x + 9.",
        "Three consecutive whole numbers add up to 10. What is the smallest?",
        "How many minutes are there from 9:20 to 8:50?",
    ],
)
def test_what_makes_no_sense_has_no_answer(statement: str) -> None:
    found = truth(statement)
    assert found is not None
    assert found.answer is None


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "Ben has 3 apples and gets 4 more. How many apples does Anna have now?",  # whose?
        "Ben has 3 apples and gets 4 more. How many pens does Ben have now?",
        "Solve this: 3x + 5 = 9.",
        "x" * 10_000,
    ],
)
def test_other_words_have_no_truth(statement: str) -> None:
    assert truth(statement) is None
