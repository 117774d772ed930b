"""Masks what does not tell one kind of problem from another: numbers become ``#``, proper names ``Name``.

Owns the heuristic for both. Knows nothing of problems, embeddings or clusters; light, standard library only.

The heuristic for names: a capitalised word that is not all capitals (``GCD`` stays) is a name

- inside a sentence: always;
- at the start of one: unless it is a common opening word, or the same word occurs in lower case
  anywhere in the corpus (``Tickets cost`` beside ``three tickets``).

So ``Mark`` at the start of a sentence stays where the corpus also says ``mark``: a missed name costs
less than a lost content word. The corpus is a set of words, so the order of the texts does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NUMBER = "#"
NAME = "Name"

_FRACTION = re.compile(r"\\[dt]?frac\{\d{1,30}\}\{\d{1,30}\}")
# Digits with thousands separators, decimals and fractions; the signs of money, percent, time and ratio stay.
_DIGITS = re.compile(r"\d+(?:[.,/]\d+)*")
_NUMBER_WORD = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
)
_NUMBER_WORDS = re.compile(rf"\b(?:{_NUMBER_WORD})(?:(?:[ -]|,? and )(?:{_NUMBER_WORD}))*\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NAMES = re.compile(rf"\b{NAME}(?: {NAME})+\b")
_SENTENCE_END = frozenset(".!?:;…。！？")
_SKIPPED = " \t\"'“”‘’«»()[]{}*_-–—"

_OPENING = """
    a about add after all also although an and another answer any are as assume at because before both but by
    calculate can compare compute consider convert count determine divide do does during each either estimate evaluate
    every expand express factor few find first five for four from give given half has have he hence her here hers his
    how i if in instead into is it its itself last later let list many more most multiply my name next no now of on
    once one only or other our out over part please prove reduce round same second several she show simplify since six
    so solve some state subtract suppose ten than that the their them then there therefore these they third this those
    though three through to today together tomorrow twice two under until up use using was we were what when whenever
    where which while who whose why will with within without write yesterday yet you your
"""
#: Words that open sentences of problems and are never names, whatever the corpus holds.
OPENING_WORDS = frozenset(_OPENING.split())


def mask(text: str, *, numbers: bool = True, names: bool = True, number_words: bool = False) -> str:
    """Mask one text on its own; the text is its own corpus. See `mask_corpus`."""
    return mask_corpus([text], numbers=numbers, names=names, number_words=number_words)[0]


def mask_corpus(
    texts: Sequence[str],
    *,
    numbers: bool = True,
    names: bool = True,
    number_words: bool = False,
    vocabulary: frozenset[str] | None = None,
) -> list[str]:
    """Mask texts against the vocabulary of all of them; same order out as in.

    Args:
        texts: any strings; takes time linear in their length.
        vocabulary: words known in lower case, where it is another corpus' (`lower_case_words`).
        numbers: ``1,250.50``, ``3/4`` and ``\\frac{3}{4}`` become ``#``; ``$5`` becomes ``$#``, ``15%`` ``#%``.
        names: proper names become ``Name``, several in a row one.
        number_words: ``twenty-five`` becomes ``#`` too. Off by default: ``one`` is a pronoun as often as a number.
    """
    if vocabulary is None:
        vocabulary = lower_case_words(texts) if names else frozenset()
    lower = vocabulary
    return [_mask(text, lower, numbers=numbers, names=names, number_words=number_words) for text in texts]


def lower_case_words(texts: Iterable[str]) -> frozenset[str]:
    """Every word that occurs in lower case in the texts."""
    return frozenset(word for text in texts for word in set(_WORD.findall(text)) if word.islower())


def _mask(text: str, lower: frozenset[str], *, numbers: bool, names: bool, number_words: bool) -> str:
    if names:
        text = _NAMES.sub(NAME, _mask_names(text, lower))
    if number_words:
        text = _NUMBER_WORDS.sub(NUMBER, text)
    if numbers:
        text = _DIGITS.sub(NUMBER, _FRACTION.sub(NUMBER, text))
    return text


def _mask_names(text: str, lower: frozenset[str]) -> str:
    parts: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        gap = text[end : match.start()]
        word, suffix = _without_possessive(match.group())
        opens = _opens_sentence(gap, first=end == 0)
        parts.append(gap)
        parts.append((NAME if _is_name(word, gap, opens, lower) else word) + suffix)
        end = match.end()
    parts.append(text[end:])
    return "".join(parts)


def _without_possessive(word: str) -> tuple[str, str]:
    return (word[:-2], word[-2:]) if len(word) > 3 and word[-2:] in ("'s", "’s") else (word, "")


def _opens_sentence(gap: str, *, first: bool) -> bool:
    """Whether the word after ``gap`` (what lies between two words) starts a sentence."""
    if "\n" in gap:
        return True
    before = gap.rstrip(_SKIPPED)
    return before[-1] in _SENTENCE_END if before else first


def _is_name(word: str, gap: str, opens: bool, lower: frozenset[str]) -> bool:
    if not word[0].isupper() or word.isupper() or gap.endswith("\\"):  # GCD, x-axis, \Delta
        return False
    head = re.split("['’]", word, maxsplit=1)
    if len(head) == 2 and (len(head[0]) == 1 or head[0].lower() in OPENING_WORDS) and head[1].islower():  # I'm, What's
        return False
    folded = word.lower()
    return not (opens and (folded in OPENING_WORDS or folded in lower))
