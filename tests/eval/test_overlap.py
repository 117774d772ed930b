import json
import os
import random
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.overlap import (
    OverlapIndex,
    TwinKind,
    answer_key,
    ngrams,
    number_signature,
    number_signatures,
    numbers,
    template_hash,
    text_hash,
)
from memory.records import Problem, Split
from synthesis.world.skills import LEVELS, SKILLS

COPIES = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.SAME_NUMBERS, TwinKind.NGRAM)


def problem(statement: str, answer: str, split: Split = Split.TEST) -> Problem:
    return Problem.make(statement, answer, source="test", split=split)


def twin_of(
    statement: str, answer: str, other: str, other_answer: str, kinds: tuple[TwinKind, ...] = tuple(TwinKind)
) -> TwinKind | None:
    found = OverlapIndex([problem(other, other_answer)]).find(statement, answer, kinds)
    return found.kind if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 boxes of 12", "3 12"),
        ("three boxes of a dozen", "3 12"),
        ("$80,000 and 1,250.50", "1250.5 80000"),
        ("a set of 3,14 and 2", "2 3 14"),
        ("at 7:45", "7 45"),
        ("3/4 of 20", "3/4 20"),
        ("21/3", "3 21"),
        (r"\frac{3}{4} of 20", "3/4 20"),
        ("two thirds of 9, a third of 6, one half", "1/3 1/2 2/3 6 9"),
        ("half of 10", "1/2 10"),
        ("half a dozen", "6"),
        ("twenty-five and forty two", "25 42"),
        ("two hundred and three", "203"),
        ("four thousand two hundred and six", "4206"),
        ("one two three", "1 2 3"),
        ("2.5 million", "2500000"),
        ("3 dozen", "36"),
        ("2 1/2 hours", "5/2"),
        ("two and a half hours", "5/2"),
        ("40% of .5", "1/2 40"),
        ("twice as many, doubled", "2 2"),
        ("5² and ½", "1/2 2 5"),
        ("٣٤ apples, ３ pears", "3 34"),
        ("-5 degrees", "5"),
        ("the third angle, in second place", ""),
        ("someone is alone, a pair", ""),
        ("5/0", "0 5"),
        ("a million", "1000000"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert numbers(text) == tuple(Fraction(item) for item in expected.split())


def test_text_hash_folds_form_and_keeps_mathematics() -> None:
    assert text_hash("Janet’s  ducks lay 1,600 eggs.") == text_hash("JANET'S ducks lay 1600 eggs")
    assert text_hash("a well-known fact") == text_hash("A well known fact!")
    assert text_hash("app\u200bles") == text_hash("apples")
    different = ["5 + 3", "5 - 3", "(5 + 3) * 2", "5 + 3 * 2", "x - y", "x + y", "x y", "5^2", "52", "3.5", "3 5"]
    assert len({text_hash(text) for text in different}) == len(different)
    assert text_hash("5²") == text_hash("5^2")
    long = "word " * 30_000
    assert text_hash(long + "one") != text_hash(long + "two")


def test_template_hash_masks_numbers_and_names_only() -> None:
    assert template_hash("Anna has 3 pens.") == template_hash("Ben has twenty-five pens.")
    assert template_hash("Anna has 3 pens.") != template_hash("Anna has 3 cups.")
    # Without a number to fill in, a name is what the question is about.
    assert template_hash("What is the capital of France?") != template_hash("What is the capital of Spain?")


def test_number_signature() -> None:
    assert number_signature("3 boxes of 12", "36") == number_signature("A dozen in each of three boxes", "36.0 pens")
    assert number_signature("3 boxes of 12", "36") != number_signature("3 boxes of 12", "4")
    assert number_signature("3 boxes of 12", "36") != number_signature("3 boxes of 12 and 12", "36")
    assert number_signature("13 squared", "169") is None
    assert number_signature("5 degrees below zero", "2") is None
    assert number_signature("no number", "2") is None


def test_answers_compare_by_value() -> None:
    assert answer_key("1,234") == answer_key("1234") == answer_key(" 1234.0 euros ") == answer_key("$1234")
    assert answer_key("1/2") == answer_key("0.5") == answer_key(r"\frac{2}{4}")
    assert answer_key("50%") == answer_key("50\\%") == answer_key("50")
    assert answer_key("-7") != answer_key("7")
    assert answer_key("(A) yes") != answer_key("(B) yes")


def test_paraphrases_may_drop_small_number_words() -> None:
    a = "Ivy scores 45, 50 and 55 points in three games. What is the average score?"
    assert twin_of(a, "50", "Find the mean of 45, 50 and 55.", "50") is TwinKind.SAME_NUMBERS
    one = "In a triangle, one angle is 110 degrees and another 28 degrees. What is the last one?"
    assert twin_of(one, "42", "A triangle has angles of 110 and 28 degrees. Find the third.", "42")
    # ... but not where next to nothing remains to compare.
    assert not twin_of("Two of 3 bags hold 4 nuts.", "12", "There are 3 rows of 4 chairs. How many?", "12")


def test_kinds_and_their_order() -> None:
    base = "Anna has 45 apples and gives away 12 of them. How many apples does she have left?"
    assert twin_of(base.upper(), "33", base, "33") is TwinKind.SAME_TEXT
    assert twin_of(base.replace("Anna", "Ben"), "33", base, "33") is TwinKind.RENAMED
    assert twin_of("45 birds sit there; 12 fly off. How many stay?", "33", base, "33") is TwinKind.SAME_NUMBERS
    assert twin_of(base.replace("45", "54"), "42", base, "33") is TwinKind.SAME_TEMPLATE
    assert twin_of("Take 45 from 81. What remains?", "36", base, "33") is None
    # A wrong claimed answer does not hide a copy.
    assert twin_of(base, "99", base, "33") is TwinKind.SAME_TEXT
    assert twin_of(base.replace("Anna", "Ben"), "99", base, "33") is TwinKind.NGRAM
    # What stands where a name could stand may be the question.
    assert twin_of("Increase 45 by 12%.", "50.4", "Decrease 45 by 12%.", "39.6", COPIES) is None


def test_ngrams_find_copies_with_an_addition_but_not_boilerplate() -> None:
    base = "A hall has 17 rows with 24 seats each and a stage for 30 singers. How many people fit in?"
    longer = f"It is Sunday, the 5 o'clock concert begins. {base} Think well."
    assert twin_of(longer, "438", base, "438") is TwinKind.NGRAM
    assert twin_of(base, "438", longer, "438") is TwinKind.NGRAM
    # All but one of the words are shared, but that one is a number: a template.
    long = "A hall has many rows with the same number of seats in each of them, and a stage. There are {} rows."
    assert twin_of(long.format(17), "1", long.format(18), "2", COPIES) is None
    assert twin_of(long.format(17), "1", long.format(18), "2") is TwinKind.SAME_TEMPLATE
    # Texts shorter than an n-gram count whole.
    assert twin_of("What is three plus 4?", "7", "What is 3 plus four?", "9", (TwinKind.NGRAM,)) is TwinKind.NGRAM
    assert twin_of("What is 3 plus 4?", "7", "What is 3 plus 4 plus 5?", "12", (TwinKind.NGRAM,)) is None


def test_ngrams() -> None:
    assert ngrams("a b three d", 3) == {"a b 3", "b 3 d"}
    assert ngrams("a b", 3) == {"a b"}
    assert ngrams("", 3) == frozenset()


def test_the_smallest_id_is_named_whatever_the_order() -> None:
    copies = [problem(f"{name} has 45 apples and gives away 12. How many are left?", "33") for name in ("Ann", "Bo")]
    copies += [problem(f"A {thing} of 45 loses 12. How many remain?", "33") for thing in ("flock", "shoal", "pack")]
    expected = {}
    for _ in range(20):
        random.shuffle(copies)
        index = OverlapIndex(copies)
        for text in ("45 less 12 is what?", "Eve has 45 apples and gives away 12. How many are left?"):
            found = index.find(text, "33")
            assert found is not None
            assert expected.setdefault(text, (found.kind, found.problem.id)) == (found.kind, found.problem.id)
    assert expected["45 less 12 is what?"][1] == min(item.id for item in copies)
    renamed = min(item.id for item in copies if "apples" in item.statement)
    assert expected["Eve has 45 apples and gives away 12. How many are left?"] == (TwinKind.RENAMED, renamed)


def test_hash_seed_changes_nothing() -> None:
    code = (
        "from eval.overlap import *\n"
        "q = 'Ivy scores 45, 50 and 55 points in three games, one by one.'\n"
        "print(sorted(number_signatures(q, '50')), text_hash(q), template_hash(q), sorted(ngrams(q)))"
    )
    root = Path(__file__).resolve().parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_stays_light() -> None:
    code = "import sys, eval.overlap\nheavy = {'torch', 'transformers', 'faiss', 'sympy', 'peft', 'trl'}\n"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code + "assert not heavy & set(sys.modules)"], cwd=root, check=True)


HOSTILE = [
    "1,111" * 200_000,
    ",111" * 250_000 + ",11",
    "hundred thousand " * 60_000,
    "two hundred and " * 60_000,
    "1/2 " * 250_000,
    "٣" * 1_000_000,
    "½²" * 200_000,
    "\\frac{" * 150_000,
    "{" * 1_000_000,
    "9" * 1_000_000,
    "1." * 500_000,
    "a'" * 500_000,
    "\x00\u200b\ud800\u0301" * 200_000,
    "5/0 0/0 1/0 .5.5. ,,1,",
    "",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_texts_are_read_in_time(text: str) -> None:
    start = time.process_time()
    item = problem(text, text)
    index = OverlapIndex([item])
    found = index.find(text, text)
    number_signatures(text, text)
    assert found is not None
    assert found.kind is TwinKind.SAME_TEXT
    assert time.process_time() - start < 20


@given(st.text(max_size=300), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_and_finds_itself(statement: str, answer: str) -> None:
    found = OverlapIndex([problem(statement, answer)]).find(statement, answer)
    assert found is not None
    assert found.kind is TwinKind.SAME_TEXT
    signature = number_signature(statement, answer)
    assert signature is None or signature in number_signatures(statement, answer)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_digits_with_and_without_separators_are_the_same_numbers(values: list[int]) -> None:
    expected = tuple(sorted(Fraction(item) for item in values))
    assert numbers(" and ".join(map(str, values))) == expected
    assert numbers("; ".join(f"{item:,}" for item in values)) == expected


def world(seed: int, per_level: int) -> list[tuple[str, int, str, str]]:
    rng = random.Random(seed)
    found = []
    for skill in SKILLS.values():
        for level in LEVELS:
            for _ in range(per_level):
                item = skill.generate(rng, level)
                found.append((item.skill, item.level, item.statement, item.answer))
    return found


def test_planted_paraphrases_are_all_found() -> None:
    rng = random.Random(7)
    total = 0
    for skill in SKILLS.values():
        for level in LEVELS:
            for _ in range(6):
                seed = rng.randrange(10**9)
                same = [
                    skill.generate(random.Random(seed), level, wording) for wording in range(len(skill.wordings[level]))
                ]
                index = OverlapIndex([problem(same[0].statement, same[0].answer)])
                for item in same[1:]:
                    total += 1
                    assert index.find(item.statement, item.answer, COPIES), (same[0].statement, item.statement)
    assert total > 500


def test_problems_of_other_skills_are_rarely_taken_for_copies() -> None:
    sealed = world(0, 36)
    skill_of = {problem(text, answer).id: skill for skill, _, text, answer in sealed}
    index = OverlapIndex([problem(text, answer) for _, _, text, answer in sealed])
    fresh = world(1, 50)
    wrong = 0
    for skill, _, text, answer in fresh:
        found = index.find(text, answer, COPIES)
        wrong += found is not None and skill_of[found.problem.id] != skill
    assert wrong / len(fresh) < 0.01


def test_gsm8k_train_is_clean_of_its_test(shared: Path) -> None:
    def rows(name: str) -> list[tuple[str, str]]:
        lines = (shared / "data" / "gsm8k" / name).read_text(encoding="utf-8").splitlines()
        return [(row["question"], row["answer"].split("####")[1].strip()) for row in map(json.loads, lines)]

    index = OverlapIndex([problem(*row) for row in rows("test.jsonl")])
    train = rows("train.jsonl")
    twins = [found.kind for row in train if (found := index.find(*row))]
    assert len(twins) / len(train) < 0.01, len(twins)
    assert TwinKind.SAME_TEXT not in twins
