"""Reads a statement into words and numbers, one form for each number however it is written.

Owns the tokenizer and the number words. Knows nothing of hashes, twins or splits. Light; never raises on any text,
and time is linear in its length.

Decisions: numbers count as written (40 % is 40) and without sign (``-5`` is "5 below zero"). A proper ``3/4`` is one
number, ``21/3`` two (a division), ``7:45`` two. Words from zero to billions, ``dozen``, ``half``, ``two thirds``,
``twice``, ``double`` and ``triple`` count; ordinals, ``pair`` and ``couple`` do not. Cardinals up to twelve in words,
and 1, are *soft*: a paraphrase may add or drop them ("in three games", "one angle", "week 1").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from memory.ids import normalise_text, sha256_text

MAX_CHARS = 20_000  # beyond, nothing is read
MAX_DIGITS = 300
LARGEST_SOFT = 12
LARGEST_IN_WORDS = 10**15

_BEFORE = {
    **{char: f"^{digit} " for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    "½": " 1/2 ", "⅓": " 1/3 ", "⅔": " 2/3 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅕": " 1/5 ", "⅖": " 2/5 ", "⅗": " 3/5 ",
    "⅘": " 4/5 ", "⅙": " 1/6 ", "⅚": " 5/6 ", "⅛": " 1/8 ", "⅜": " 3/8 ", "⅝": " 5/8 ", "⅞": " 7/8 ",
}  # fmt: skip
_TO_PLAIN = str.maketrans(_BEFORE)
_AFTER = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "⁄": "/", "∕": "/", "−": "-", "–": "-", "—": "-", "‐": "-",
     "‑": "-", "’": "'", "‘": "'", "`": "'"}
)  # fmt: skip
_LATEX = (
    (re.compile(r"\\[dtc]?frac\s?\{(\d{1,30})\}\s?\{(\d{1,30})\}"), r" \1/\2 "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
)
_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:,[0-9]+)*+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<symbol>[^\s.,;:!?\"'“”„«»…_$\\\x00-\x1f\x7f])"
)

_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})++(?:\.[0-9]+)?")

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_MULTIPLES = {
    "twice": 2, "thrice": 3, "double": 2, "doubles": 2, "doubled": 2, "triple": 3, "triples": 3, "tripled": 3,
}  # fmt: skip
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
}  # fmt: skip
_PLURAL_PARTS = {"halves": 2, **{f"{word}s": n for word, n in _PARTS.items() if word != "half"}}
_DIGIT_STARTS = frozenset(".0123456789")
_WORD_STARTS = frozenset((*_WORDS, *_SCALES, *_MULTIPLES, "half", "a", "an"))


class Number(NamedTuple):
    """A number in a statement: where its tokens begin and end, its value, and whether a paraphrase may drop it."""

    start: int
    end: int
    value: Fraction
    soft: bool


@dataclass(frozen=True)
class Reading:
    """A statement read once: its tokens, the numbers among them, and the tokens with each number as one."""

    tokens: tuple[str, ...]
    found: tuple[Number, ...]

    def words(self, *, masked: bool) -> list[str]:
        """Tokens with each number as its value, or as ``#``."""
        out: list[str] = []
        at = 0
        for number in self.found:
            out += self.tokens[at : number.start]
            out.append("#" if masked else str(number.value))
            at = number.end
        return out + list(self.tokens[at:])

    def numeric(self) -> tuple[bool, ...]:
        """For each of `words`, whether it is a number."""
        out: list[bool] = []
        at = 0
        for number in self.found:
            out += [False] * (number.start - at) + [True]
            at = number.end
        return tuple(out + [False] * (len(self.tokens) - at))


def fold(text: str) -> str:
    """NFKC, lower case, one form of each digit, dash and quote; superscripts and vulgar fractions kept apart."""
    text = normalise_text(text.translate(_TO_PLAIN)).translate(_AFTER)
    if not text.isascii():
        text = "".join(_plain_char(char) for char in text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def _plain_char(char: str) -> str:
    if char.isascii():
        return char
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    return "" if unicodedata.category(char) in ("Cf", "Cs", "Co", "Cn", "Mn") else char


def tokenise(text: str) -> tuple[str, ...]:
    """Words, numbers without separators, and mathematical symbols; other punctuation and hyphens in words go."""
    tokens: list[str] = []
    kinds: list[str] = []
    for match in _TOKEN.finditer(text):
        token, kind = match.group(), match.lastgroup or ""
        if kind == "number" and "," in token and not _THOUSANDS.fullmatch(token):  # a list without blanks
            tokens += token.split(",")
            kinds += ["number"] * (token.count(",") + 1)
            continue
        if kind == "number":
            token = token.replace(",", "")
        elif kind == "word":
            token = token.replace("'", "")
            if len(token) > 1 and kinds[-1:] == ["hyphen"] and _joins(kinds[-2:-1], tokens[-2:-1]):
                tokens.pop()
                kinds.pop()
        elif token == "-":
            kind = "hyphen"
        tokens.append(token)
        kinds.append(kind)
    return tuple(tokens)


def _joins(kinds: Sequence[str], tokens: Sequence[str]) -> bool:
    """Whether a hyphen before a word belongs to a compound: after a number or another word, not after a letter."""
    return bool(kinds) and (kinds[0] == "number" or (kinds[0] == "word" and len(tokens[0]) > 1))


def read(statement: str) -> Reading:
    """The words and numbers of a statement, up to ``MAX_CHARS`` characters."""
    tokens = tokenise(fold(statement[:MAX_CHARS]))
    return Reading(tokens, tuple(_find_numbers(tokens)))


def _find_numbers(tokens: Sequence[str]) -> Iterator[Number]:
    at = 0
    while at < len(tokens):
        first = tokens[at]
        if first[0] in _DIGIT_STARTS:
            number = _digits_at(tokens, at)
        else:
            number = _words_at(tokens, at) if first in _WORD_STARTS else None
        if number is None:
            at += 1
            continue
        number = _with_part(tokens, number)
        soft = number.value == 1 or (number.soft and number.value <= LARGEST_SOFT)
        yield number._replace(soft=soft)
        at = number.end


def _at(tokens: Sequence[str], at: int) -> str:
    return tokens[at] if at < len(tokens) else ""


def _literal(token: str) -> Fraction | None:
    if not token or token[0] not in _DIGIT_STARTS:
        return None
    if len(token) > MAX_DIGITS:  # a number of its own, without arithmetic on it
        return Fraction(int(sha256_text(token), 16))
    return Fraction(int(token)) if token.isdigit() else Fraction(token if token[0] != "." else f"0{token}")


def _digits_at(tokens: Sequence[str], at: int) -> Number | None:
    """A number in digits: ``1250``, ``3.5``, ``3/4``, ``2 1/2``, ``2.5 million``."""
    first = _literal(_at(tokens, at))
    if first is None:
        return None
    part = _proper_fraction(tokens, at)
    if part is not None:
        return Number(at, at + 3, part, False)
    part = _proper_fraction(tokens, at + 1)
    if part is not None and first.denominator == 1:
        return Number(at, at + 4, first + part, False)
    if _at(tokens, at + 1) in _SCALES:
        return Number(at, at + 2, first * _SCALES[tokens[at + 1]], False)
    return Number(at, at + 1, first, False)


def _proper_fraction(tokens: Sequence[str], at: int) -> Fraction | None:
    if _at(tokens, at + 1) != "/":
        return None
    top, bottom = _literal(_at(tokens, at)), _literal(_at(tokens, at + 2))
    if top is None or bottom is None or top.denominator != 1 or bottom.denominator != 1 or not 0 < top < bottom:
        return None
    return Fraction(top, bottom)


def _words_at(tokens: Sequence[str], at: int) -> Number | None:
    """A number in words: ``twenty-five``, ``two hundred and three``, ``a dozen``, ``half``, ``twice``."""
    word = _at(tokens, at)
    if word in _MULTIPLES:
        return Number(at, at + 1, Fraction(_MULTIPLES[word]), False)
    if word == "half":
        skip = 1 + (_at(tokens, at + 1) in ("a", "an"))
        scale = _SCALES.get(_at(tokens, at + skip), 0)
        return Number(at, at + skip + 1 if scale else at + 1, Fraction(scale or 1, 2), False)
    if word in ("a", "an") and (_at(tokens, at + 1) in _PARTS and _at(tokens, at + 1) != "half"):
        return Number(at, at + 2, Fraction(1, _PARTS[tokens[at + 1]]), False)
    if word in _SCALES:
        end, current = at, 1
        return _scaled(tokens, at, end, current)
    if word not in _WORDS:
        return None
    end, current = _below_hundred(tokens, at)
    return _scaled(tokens, at, end, current)


def _below_hundred(tokens: Sequence[str], at: int) -> tuple[int, int]:
    current, end = _WORDS[tokens[at]], at + 1
    if current >= 20 and 0 < _WORDS.get(_at(tokens, end), 0) < 10:
        current, end = current + _WORDS[tokens[end]], end + 1
    return end, current


def _scaled(tokens: Sequence[str], start: int, end: int, current: int) -> Number:
    """Go on after a number below a hundred: ``hundred``, ``thousand``, each with what follows it."""
    total = 0
    while _at(tokens, end) in _SCALES and total + current < LARGEST_IN_WORDS:
        scale = _SCALES[tokens[end]]
        current, end = current * scale, end + 1
        if scale == 12:
            break
        if scale != 100:
            total, current = total + current, 0
        skip = _at(tokens, end) == "and"
        if _at(tokens, end + skip) in _WORDS:
            end, more = _below_hundred(tokens, end + skip)
            if _at(tokens, end) in _SCALES and scale != 100:
                current = more
            else:
                current += more
    return Number(start, end, Fraction(total + current), True)


def _with_part(tokens: Sequence[str], number: Number) -> Number:
    """``two thirds``, ``one half``, ``2 and a half``."""
    word = _at(tokens, number.end)
    if number.value.denominator == 1:
        parts = _PLURAL_PARTS.get(word) or (_PARTS.get(word) if number.value == 1 else None)
        if parts and 0 < number.value < parts:
            return number._replace(end=number.end + 1, value=number.value / parts, soft=False)
        if word == "and" and _at(tokens, number.end + 1) == "a":
            part = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}.get(_at(tokens, number.end + 2))
            if part:
                return number._replace(end=number.end + 3, value=number.value + part)
    return number
