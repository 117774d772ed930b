"""Twins of a problem: the same text, the same numbers in other words, shared n-grams, the same template.

Owns how a statement is read into words and numbers for that purpose, the hashes and signatures made of them, and
`OverlapIndex`, which finds the twin of a problem among many. Knows nothing of drafts or of what a twin means: who
asks decides what is refused. Light; never raises on any text, and time is linear in its length.

Decisions: numbers count as written (40 % is 40), without sign (``-5`` is "5 below zero"). A proper ``3/4`` is one
number, ``21/3`` two (a division). Words from zero to millions, ``dozen``, ``half``, ``two thirds``, ``twice``,
``double`` and ``triple`` count; ordinals, ``pair`` and ``couple`` do not. Small numbers in words, and 1, are *soft*: a
paraphrase may add or drop them ("in three games", "one angle", "week 1").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from eval.answers import split_unit
from eval.expressions import value
from memory.ids import normalise_text, sha256_text
from memory.masking import mask
from memory.records import Problem

__all__ = [
    "GRAM",
    "OverlapIndex",
    "Twin",
    "TwinKind",
    "answer_key",
    "ngrams",
    "number_signature",
    "number_signatures",
    "numbers",
    "template_hash",
    "text_hash",
]

VERSION = "overlap-1"
GRAM = 8
COVERAGE = 0.8  # of the shorter text's words, by shared n-grams that hold all its numbers
MAX_CHARS = 20_000  # beyond, only `text_hash` reads on
MAX_DIGITS = 300
LARGEST_SOFT = 12

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
    r"(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9]|,[0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<symbol>[^\s.,;:!?\"'“”„«»…_$\\\x00-\x1f\x7f])"
)

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_WORDS = {word: i for i, word in enumerate(_ONES)} | {
    word: 10 * i
    for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
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


class _Number(NamedTuple):
    """A number in a statement: where its tokens begin and end, its value, and whether a paraphrase may drop it."""

    start: int
    end: int
    value: Fraction
    soft: bool


@dataclass(frozen=True)
class _Reading:
    """A statement read once: its tokens, the numbers among them, and the tokens with each number as one."""

    tokens: tuple[str, ...]
    found: tuple[_Number, ...]

    def words(self, *, masked: bool) -> list[str]:
        """Tokens with each number as its value, or as ``#``."""
        out: list[str] = []
        at = 0
        for number in self.found:
            out += self.tokens[at : number.start]
            out.append("#" if masked else str(number.value))
            at = number.end
        return out + list(self.tokens[at:])


def _fold(text: str) -> str:
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


def _tokenise(text: str) -> tuple[str, ...]:
    """Words, numbers without separators, and mathematical symbols; other punctuation and hyphens in words go."""
    tokens: list[str] = []
    kinds: list[str] = []
    for match in _TOKEN.finditer(text):
        token, kind = match.group(), match.lastgroup or ""
        if kind == "number":
            token = token.replace(",", "")
        elif kind == "word":
            token = token.replace("'", "")
            if kinds[-2:] == ["word", "hyphen"]:
                tokens.pop()
                kinds.pop()
        elif token == "-":
            kind = "hyphen"
        tokens.append(token)
        kinds.append(kind)
    return tuple(tokens)


def _read(statement: str) -> _Reading:
    tokens = _tokenise(_fold(statement[:MAX_CHARS]))
    return _Reading(tokens, tuple(_find_numbers(tokens)))


def _find_numbers(tokens: Sequence[str]) -> Iterator[_Number]:
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
        soft = number.soft and (number.value <= LARGEST_SOFT) or number.value == 1
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


def _digits_at(tokens: Sequence[str], at: int) -> _Number | None:
    """A number in digits: ``1250``, ``3.5``, ``3/4``, ``2 1/2``, ``2.5 million``."""
    first = _literal(_at(tokens, at))
    if first is None:
        return None
    part = _proper_fraction(tokens, at)
    if part is not None:
        return _Number(at, at + 3, part, False)
    part = _proper_fraction(tokens, at + 1)
    if part is not None and first.denominator == 1:
        return _Number(at, at + 4, first + part, False)
    if _at(tokens, at + 1) in _SCALES:
        return _Number(at, at + 2, first * _SCALES[tokens[at + 1]], False)
    return _Number(at, at + 1, first, False)


def _proper_fraction(tokens: Sequence[str], at: int) -> Fraction | None:
    if _at(tokens, at + 1) != "/":
        return None
    top, bottom = _literal(_at(tokens, at)), _literal(_at(tokens, at + 2))
    if top is None or bottom is None or top.denominator != 1 or bottom.denominator != 1 or not 0 < top < bottom:
        return None
    return Fraction(top, bottom)


def _words_at(tokens: Sequence[str], at: int) -> _Number | None:
    """A number in words: ``twenty-five``, ``two hundred and three``, ``a dozen``, ``half``, ``twice``."""
    word = _at(tokens, at)
    if word in _MULTIPLES:
        return _Number(at, at + 1, Fraction(_MULTIPLES[word]), False)
    if word == "half":
        skip = 1 + (_at(tokens, at + 1) in ("a", "an"))
        scale = _SCALES.get(_at(tokens, at + skip), 0)
        return _Number(
            at, at + skip + 1 if scale else at + 1, Fraction(scale or 1, 2), False
        )
    if word in ("a", "an") and (_at(tokens, at + 1) in _PARTS and _at(tokens, at + 1) != "half"):
        return _Number(at, at + 2, Fraction(1, _PARTS[tokens[at + 1]]), False)
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


def _scaled(tokens: Sequence[str], start: int, end: int, current: int) -> _Number:
    """Go on after a number below a hundred: ``hundred``, ``thousand``, each with what follows it."""
    total = 0
    while _at(tokens, end) in _SCALES:
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
    return _Number(start, end, Fraction(total + current), True)


def _with_part(tokens: Sequence[str], number: _Number) -> _Number:
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


def text_hash(statement: str) -> str:
    """Hash of a statement without case, white space and punctuation that carries no mathematics."""
    return sha256_text(" ".join(_tokenise(_fold(statement))))


def template_hash(statement: str) -> str:
    """Hash of a statement with its numbers (in digits or words) and proper names masked."""
    return _template(statement, _read(statement))


def _template(statement: str, reading: _Reading) -> str:
    named = mask(statement[:MAX_CHARS], numbers=False)
    return sha256_text(" ".join((reading if named == statement else _read(named)).words(masked=True)))


def numbers(statement: str) -> tuple[Fraction, ...]:
    """All numbers of a statement, sorted, repetitions kept; see the module's decisions."""
    return tuple(sorted(number.value for number in _read(statement).found))


def answer_key(answer: str) -> str:
    """One text for all ways of writing an answer: its exact value without unit, else its words and symbols."""
    plain = answer.strip()
    if not re.fullmatch(r"-?[0-9]{1,30}", plain):
        exact = value(split_unit(plain[:MAX_CHARS])[0].replace("%", ""))
        if exact is None:
            return " ".join(_tokenise(_fold(plain[:MAX_CHARS])))
        return str(exact)
    return str(int(plain))


def number_signature(statement: str, answer: str) -> str | None:
    """All numbers of the statement, sorted, with the answer; None where it holds fewer than two.

    Two statements with one signature are twins. Paraphrases may add or drop small number words: to find those
    too, see whether `number_signatures` share one.
    """
    found = numbers(statement)
    return _signature(found, answer_key(answer)) if len(found) > 1 else None


def number_signatures(statement: str, answer: str) -> frozenset[str]:
    """`number_signature` with each choice of soft numbers left out, as long as two numbers remain."""
    return _signatures(_read(statement), answer_key(answer))


def _signature(found: Iterable[Fraction], answer: str) -> str:
    return f"{' '.join(map(str, found))} = {answer}"


def _signatures(reading: _Reading, answer: str) -> frozenset[str]:
    """With and without its ones, and with and without one other soft number, if enough is left to compare.

    Enough: two numbers above 10, or (only ones gone) three numbers. More freedom finds chance hits: with any soft
    numbers left out, down to two, four times as many GSM8K problems were "twins" as with none.
    """
    every = [number.value for number in reading.found]
    choices = [every] if len(every) > 1 else []
    others = [item for item in every if item != 1]
    if len(others) > 2 or (len(others) > 1 and _telling(others)):
        choices.append(others)
    soft = sorted({number.value for number in reading.found if number.soft and number.value != 1})
    for kept in (every, others):
        for item in soft:
            rest = list(kept)
            rest.remove(item)
            if len(rest) > 2 and _telling(rest):
                choices.append(rest)
    return frozenset(_signature(sorted(choice), answer) for choice in choices)


def _telling(found: Sequence[Fraction]) -> bool:
    return sum(item > 10 for item in found) > 1


class TwinKind(StrEnum):
    """In what a problem is a copy of another, strongest first."""

    SAME_TEXT = "same_text"
    SAME_NUMBERS = "same_numbers"
    NGRAM = "ngram"
    SAME_TEMPLATE = "same_template"


@dataclass(frozen=True)
class Twin:
    """The twin found: its kind, the problem, and what the two share in a few words."""

    kind: TwinKind
    problem: Problem
    shared: str


def ngrams(statement: str, n: int = GRAM) -> frozenset[str]:
    """All runs of ``n`` words, numbers by value; a statement with fewer words is one run."""
    return frozenset(_runs(_read(statement).words(masked=False), n))


def _runs(words: Sequence[str], n: int) -> list[str]:
    if len(words) <= n:
        return [" ".join(words)] if words else []
    return [" ".join(words[at : at + n]) for at in range(len(words) - n + 1)]


class _Reader(NamedTuple):
    """Everything compared of one statement."""

    text: str
    signatures: frozenset[str]
    filled: str  # template and its numbers in order: names changed, nothing else
    template: str
    words: tuple[str, ...]
    is_number: tuple[bool, ...]

    @classmethod
    def of(cls, statement: str, answer: str) -> _Reader:
        reading = _read(statement)
        template = _template(statement, reading)
        masked = reading.words(masked=True)
        return cls(
            text=text_hash(statement),
            signatures=_signatures(reading, answer_key(answer)),
            filled=" ".join((template, *(str(number.value) for number in reading.found))),
            template=template,
            words=tuple(reading.words(masked=False)),
            is_number=tuple(word == "#" for word in masked),
        )


class OverlapIndex:
    """Finds the twin of a statement and its answer among fixed problems.

    The twin is of the strongest kind there is, and of that kind the problem with the smallest id: the order of the
    problems changes nothing.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = sorted({problem.id: problem for problem in problems}.values(), key=lambda item: item.id)
        self._texts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._templates: dict[str, int] = {}
        self._grams: dict[int, list[int]] = {}
        self._words: list[tuple[tuple[str, ...], tuple[bool, ...]]] = []
        for at, problem in enumerate(self._problems):
            read = _Reader.of(problem.statement, problem.answer)
            self._texts.setdefault(read.text, at)
            for key in (*read.signatures, read.filled):
                self._numbers.setdefault(key, at)
            self._templates.setdefault(read.template, at)
