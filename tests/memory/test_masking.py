import random
import time

import pytest

from memory.masking import mask, mask_corpus


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Tom has 1,250.50 apples.", "Name has # apples."),
        ("It costs $5, or 15% of 3/4.", "It costs $#, or #% of #."),
        (r"Add \frac{3}{4} and \Delta x.", r"Add # and \Delta x."),
        ("The ratio is 3:4 at 10:30.", "The ratio is #:# at #:#."),
        ("What does Ann Smith's sister pay?", "What does Name's sister pay?"),
        ("Then O'Brien and Jean-Luc meet McDonald.", "Then Name and Name meet Name."),
        ("Find the GCD of 12 and 18.", "Find the GCD of # and #."),
        ("What's left? I'm unsure.", "What's left? I'm unsure."),
        ("Élodie gives 5 to Zoë.", "Name gives # to Name."),
        ("Is it so? Ben says yes.\nEve says no.", "Is it so? Name says yes.\nName says no."),
        ("小明有5个苹果", "小明有#个苹果"),
        ("", ""),
    ],
)
def test_numbers_and_names(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_a_word_seen_in_lower_case_may_open_a_sentence() -> None:
    alone = mask_corpus(["Tickets cost 5."])
    together = mask_corpus(["Tickets cost 5.", "We buy three tickets."])
    assert alone == ["Name cost #."]
    assert together == ["Tickets cost #.", "We buy three tickets."]


def test_order_of_texts_does_not_matter() -> None:
    texts = [f"{name} sells {i} {thing}. {thing.title()} are red." for i, name in enumerate(("Ann", "Bo", "Cy"))
             for thing in ("pears", "Tom", "figs")]  # fmt: skip
    shuffled = list(range(len(texts)))
    random.Random(1).shuffle(shuffled)
    masked = mask_corpus(texts)
    assert mask_corpus([texts[at] for at in shuffled]) == [masked[at] for at in shuffled]


def test_each_mask_can_be_switched_off() -> None:
    text = "Now Ann buys twenty-five pens at 3."
    assert mask(text, numbers=False) == "Now Name buys twenty-five pens at 3."
    assert mask(text, names=False) == "Now Ann buys twenty-five pens at #."
    assert mask(text, number_words=True) == "Now Name buys # pens at #."


@pytest.mark.parametrize("unit", ["A", "Ab ", " ", "1,", "Name ", "one ", "'", "\\frac{1}", "Ab'"])
def test_a_megabyte_takes_no_longer_than_its_length(unit: str) -> None:
    started = time.monotonic()
    mask(unit * (1_000_000 // len(unit)), number_words=True)
    assert time.monotonic() - started < 8
