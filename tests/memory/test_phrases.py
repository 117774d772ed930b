import math
import random

from memory.phrases import keyphrases, labels

AREA = ["A rectangle is 3 m by 4 m. Find its area.", "What is the area of a rectangle 5 m by 9 m?"]
AGES = ["Ann is 3 years older than Bob.", "Tom is twice as old as Ann was 5 years ago."]


def test_phrases_tell_what_sets_a_group_apart() -> None:
    area, ages = keyphrases([AREA, AGES])
    assert {"area", "rectangle"} & set(area[:2])
    assert any("years" in phrase for phrase in ages[:2])
    assert not any("ann" in phrase or "bob" in phrase for phrase in ages)


def test_the_formula_by_hand() -> None:
    # two classes: "red red blue", "blue"; pairs "red blue" and no "red red"; A = (4 + 1) / 2
    (first, second) = keyphrases([["red red blue"], ["blue"]])
    scores = {
        "red": 2 / 4 * math.log(1 + 2.5 / 2),
        "red blue": 1 / 4 * math.log(1 + 2.5),
        "blue": 1 / 4 * math.log(1 + 2.5 / 2),
    }
    best = sorted(scores, key=lambda term: -scores[term])
    assert best == ["red", "red blue", "blue"]
    assert first == ("red", "red blue")  # "blue" is in a better phrase
    assert second == ("blue",)


def test_order_within_a_group_does_not_matter() -> None:
    shuffled = list(AREA + AGES)
    random.Random(3).shuffle(shuffled)
    assert keyphrases([AREA + AGES, AREA]) == keyphrases([shuffled, AREA[::-1]])


def test_labels_are_unique() -> None:
    found = labels([("a", "b", "c", "d"), ("a", "b", "c", "e"), ("a", "b", "c"), ("a", "b", "c"), (), ()])
    assert found == ["a, b, c", "a, b, c, e", "a, b, c (2)", "a, b, c (3)", "unnamed", "unnamed (2)"]


def test_bare_formulas_unicode_and_long_texts() -> None:
    assert keyphrases([["3+4=7", "###"], ["面积是多少"], ["word " * 250_000]])[0] == ()
    assert keyphrases([[]]) == [()]
