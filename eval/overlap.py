"""Twins of a problem: the same text, the same numbers in other words, shared n-grams, the same template.

Owns the hashes and signatures made of a statement, and `OverlapIndex`, which finds a problem's twin among many.
Knows nothing of drafts or of what a twin means: who asks decides what is refused. How numbers are read is
`eval.statements`' business. Light; never raises on any text, and time is linear in its length.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from eval.answers import split_unit
from eval.expressions import value
from eval.statements import MAX_CHARS, Reading, fold, read, tokenise
from memory.ids import sha256_text
from memory.masking import mask
from memory.records import Problem

VERSION = "overlap-1"
GRAM = 8
COVERAGE = 0.8  # of the shorter text's words, by shared n-grams that hold all its numbers
#: What must remain of the numbers where a paraphrase may have dropped some, in bits. Freedom makes chance hits: with 0
#: for both, 90 of 7,473 GSM8K training problems have a "twin" in its test, with these 49, without any freedom 34.
BITS_WITHOUT_ONES = 6.0
BITS_WITHOUT_SOFT = 8.5
MAX_POSTINGS = 2000  # an n-gram in more problems than this is boilerplate and finds no candidates


def text_hash(statement: str) -> str:
    """Hash of a statement without case, white space and punctuation that carries no mathematics."""
    return sha256_text(" ".join(tokenise(fold(statement))))


def template_hash(statement: str) -> str:
    """Hash of a statement with its numbers (in digits or words) and its proper names masked.

    Names stay where there are no numbers: "the capital of France" is no template.
    """
    return _template(statement, read(statement))


def template_words(statement: str) -> list[str]:
    """The words of a statement with its numbers and proper names masked, as `template_hash` reads them."""
    return _template_words(statement, read(statement))


def _template(statement: str, reading: Reading) -> str:
    return sha256_text(" ".join(_template_words(statement, reading)))


def _template_words(statement: str, reading: Reading) -> list[str]:
    if reading.found:
        named = mask(statement[:MAX_CHARS], numbers=False)
        reading = reading if named == statement else read(named)
    return reading.words(masked=True)


def numbers(statement: str) -> tuple[Fraction, ...]:
    """All numbers of a statement, sorted, repetitions kept, as `eval.statements` decides."""
    return tuple(sorted(number.value for number in read(statement).found))


def ngrams(statement: str, n: int = GRAM) -> frozenset[str]:
    """All runs of ``n`` words, numbers by value; a statement with fewer words is one run."""
    return frozenset(_runs(read(statement).words(masked=False), n))


def _runs(words: Sequence[str], n: int) -> list[str]:
    if len(words) <= n:
        return [" ".join(words)] if words else []
    return [" ".join(words[at : at + n]) for at in range(len(words) - n + 1)]


def answer_key(answer: str) -> str:
    """One text for all ways of writing an answer: its exact value without unit, else its words and symbols."""
    plain = answer.strip()
    if plain.isascii() and plain.isdigit() and len(plain) < 30:
        return str(int(plain))
    exact = value(split_unit(plain)[0].replace("\\%", "").replace("%", "")) if len(plain) < 1000 else None
    return " ".join(tokenise(fold(plain[:MAX_CHARS]))) if exact is None else str(exact)


def number_signature(statement: str, answer: str) -> str | None:
    """All numbers of the statement but zeros, sorted, with the answer; None where these are fewer than two.

    Two statements with one signature are twins. Paraphrases may add or drop small number words: to find those
    too, see whether `number_signatures` share one.
    """
    found = [number for number in numbers(statement) if number]
    return _signature(found, answer_key(answer)) if len(found) > 1 else None


def number_signatures(statement: str, answer: str) -> frozenset[str]:
    """`number_signature` and those of the paraphrases that leave out ones or one other soft number.

    Left out only if what remains tells enough: see ``BITS_WITHOUT_ONES`` and ``BITS_WITHOUT_SOFT``.
    """
    return _signatures(read(statement), answer_key(answer))


def _signature(found: Iterable[Fraction], answer: str) -> str:
    return f"{' '.join(map(str, found))} = {answer}"


def _signatures(reading: Reading, answer: str) -> frozenset[str]:
    every = [number.value for number in reading.found if number.value]
    choices = [every] if len(every) > 1 else []
    without_ones = [item for item in every if item != 1]
    if _bits(without_ones) >= BITS_WITHOUT_ONES:
        choices.append(without_ones)
    soft = sorted({number.value for number in reading.found if number.soft and number.value > 1})
    for kept in (every, without_ones):
        for item in soft:
            rest = list(kept)
            rest.remove(item)
            if _bits(rest) >= BITS_WITHOUT_SOFT:
                choices.append(rest)
    return frozenset(_signature(sorted(choice), answer) for choice in choices)


def _bits(found: Sequence[Fraction]) -> float:
    """How unlikely it is that two problems hold the same numbers by chance; one number alone tells nothing."""
    return sum(math.log2(1 + (float(item) if item < 10**6 else 1e6)) for item in found) if len(found) > 1 else 0.0


class TwinKind(StrEnum):
    """In what a problem is a copy of another, strongest first."""

    SAME_TEXT = "same_text"  # but for case, white space and punctuation
    RENAMED = "renamed"  # the same template with the same numbers in the same places, and the same answer
    SAME_NUMBERS = "same_numbers"  # the same numbers and answer in other words
    NGRAM = "ngram"  # most of the shorter text, with its numbers, is in the longer
    SAME_TEMPLATE = "same_template"  # the same but for numbers and names


@dataclass(frozen=True)
class Twin:
    """The twin found: its kind, the problem, and what the two share in a few words."""

    kind: TwinKind
    problem: Problem
    shared: str


class _View(NamedTuple):
    """Everything that is compared of one statement and its answer."""

    text: str
    template: str
    filled: str | None
    signatures: frozenset[str]
    words: tuple[str, ...]
    numeric: tuple[bool, ...]  # which words are numbers
    values: frozenset[str]  # the numbers among the words

    @classmethod
    def of(cls, statement: str, answer: str) -> _View:
        """Read once: the same problem is asked about by several verifiers. Huge texts are not kept in memory."""
        return _view(statement, answer) if len(statement) + len(answer) <= 4000 else cls.make(statement, answer)

    @classmethod
    def make(cls, statement: str, answer: str) -> _View:
        reading = read(statement)
        template = _template(statement, reading)
        values = " ".join(str(number.value) for number in reading.found)
        key = answer_key(answer)
        return cls(
            text=text_hash(statement),
            template=template,
            filled=f"{template} {values} = {key}" if values else None,
            signatures=_signatures(reading, key),
            words=tuple(reading.words(masked=False)),
            numeric=reading.numeric(),
            values=frozenset(str(number.value) for number in reading.found),
        )

    def grams(self) -> set[str]:
        """N-grams that may find a twin: those with a number, where the statement has numbers at all."""
        if not any(self.numeric):
            return set(_runs(self.words, GRAM))
        return {gram for at, gram in enumerate(_runs(self.words, GRAM)) if any(self.numeric[at : at + GRAM])}


@lru_cache(maxsize=20_000)
def _view(statement: str, answer: str) -> _View:
    return _View.make(statement, answer)


class OverlapIndex:
    """Finds the twin of a statement and its answer among problems.

    The twin is of the strongest kind there is and, among those, the problem with the smallest id: the order in
    which problems come changes nothing.
    """

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._views: dict[str, tuple[Problem, _View]] = {}
        self._keys: dict[tuple[TwinKind, str], Problem] = {}
        self._grams: dict[str, list[str]] = {}
        for problem in problems:
            self.add(problem)

    def add(self, problem: Problem) -> None:
        """One more problem to find; a known id changes nothing."""
        if problem.id in self._views:
            return
        view = _View.of(problem.statement, problem.answer)
        self._views[problem.id] = (problem, view)
        for kind, keys in _keys(view):
            for key in keys:
                known = self._keys.get((kind, key))
                if known is None or problem.id < known.id:
                    self._keys[kind, key] = problem
        for gram in view.grams():
            self._grams.setdefault(gram, []).append(problem.id)

    def find(self, statement: str, answer: str, kinds: Collection[TwinKind] = tuple(TwinKind)) -> Twin | None:
        """The strongest twin of the given kinds, or None."""
        view = _View.of(statement, answer)
        by_kind = dict(_keys(view))
        for kind in TwinKind:
            if kind not in kinds:
                continue
            if kind is TwinKind.NGRAM:
                found = self._by_ngrams(view)
            else:
                matches = [(self._keys[kind, key], key) for key in by_kind[kind] if (kind, key) in self._keys]
                found = min(matches, key=lambda match: (match[0].id, match[1]), default=None)
            if found is not None:
                problem, key = found
                return Twin(kind, problem, key if kind in (TwinKind.NGRAM, TwinKind.SAME_NUMBERS) else "")
        return None

    def _by_ngrams(self, view: _View) -> tuple[Problem, str] | None:
        """The smallest id among the problems of which most is shared."""
        candidates: set[str] = set()
        for gram in view.grams():
            postings = self._grams.get(gram, ())
            if len(postings) <= MAX_POSTINGS:
                candidates.update(postings)
        for identity in sorted(candidates):
            problem, other = self._views[identity]
            if not (view.values <= other.values or other.values <= view.values):
                continue  # a number would be left over
            share = _shared(view, other)
            if share >= COVERAGE:
                return problem, f"{share:.0%} of the words"
        return None


@lru_cache(maxsize=8)
def index_of(problems: tuple[Problem, ...]) -> OverlapIndex:
    """An index that is built once for a tuple of problems and shared: never add to it."""
    return OverlapIndex(problems)


def _keys(view: _View) -> list[tuple[TwinKind, Collection[str]]]:
    return [
        (TwinKind.SAME_TEXT, (view.text,)),
        (TwinKind.RENAMED, () if view.filled is None else (view.filled,)),
        (TwinKind.SAME_NUMBERS, view.signatures),
        (TwinKind.SAME_TEMPLATE, (view.template,)),
    ]


def _shared(a: _View, b: _View) -> float:
    """The share of the shorter text's words in n-grams that the longer has too; 0 where a number is left over."""
    short, long = sorted((a, b), key=lambda view: (len(view.words), view.words))
    if len(short.words) < GRAM:
        return float(short.words == long.words)
    grams = set(_runs(long.words, GRAM))
    covered = [False] * len(short.words)
    for at, gram in enumerate(_runs(short.words, GRAM)):
        if gram in grams:
            covered[at : at + GRAM] = [True] * GRAM
    if any(number and not seen for number, seen in zip(short.numeric, covered, strict=True)):
        return 0.0
    return sum(covered) / len(covered)
