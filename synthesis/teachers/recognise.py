"""Finds the skill of a text by the nearest text of a library the world has written itself.

Owns masking and comparing for that purpose. It sees text only and may be wrong; it knows no label of any problem
it is asked about, and nothing of teachers or requests. Light: standard library only.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from memory.ids import derive_seed, sha256_text
from synthesis.world.base import NAMES, THINGS, Generated
from synthesis.world.skills import SKILLS

_TOKEN = re.compile(r"\d{1,40}|[^\W\d_]{1,40}|[^\w\s]")
_SLOT = re.compile(r"\{\w*\}")
_WORD = re.compile(r"[^\W\d_]+")
MAX_TEXT = 4000
_NAMES = frozenset(name.lower() for name in NAMES)
_THINGS = frozenset(THINGS)


@dataclass(frozen=True)
class Cell:
    """A skill at one level."""

    skill: str
    level: int


@dataclass(frozen=True)
class Match:
    """The nearest library text's cell and the cosine to it, in [0, 1]."""

    cell: Cell
    similarity: float


def features(statement: str, answer: str, vocabulary: frozenset[str]) -> Counter[str]:
    """Words, signs and pairs of neighbours. Numbers count by their digits only (``47`` and ``12`` are the same).

    Names are masked: the world's own, and any capitalised word the world's wordings do not use. The world's
    things (apples, pens ...) are masked too. Of text and answer only the first `MAX_TEXT` characters are read.
    """
    tokens = [_masked(token, vocabulary) for token in _TOKEN.findall(statement[:MAX_TEXT])]
    found = Counter(tokens)
    found.update(f"{left} {right}" for left, right in pairwise(tokens))
    shape = "".join("#" if token.isdigit() else token for token in _TOKEN.findall(answer[:60]))
    digits = max((len(token) for token in _TOKEN.findall(answer[:60]) if token.isdigit()), default=0)
    found[f"answer:{shape[:12]}:{digits}"] += 1
    return found


def _masked(token: str, vocabulary: frozenset[str]) -> str:
    if token.isdigit():
        return f"<{len(token)}>"
    folded = token.lower()
    if folded in _NAMES and token[0].isupper():
        return "<name>"
    if folded in _THINGS:
        return "<thing>"
    return "<name>" if token[0].isupper() and folded not in vocabulary else folded


class Recogniser:
    """Nearest neighbour by the cosine of TF-IDF vectors over ``per_wording`` generated texts of each wording.

    Args:
        seed: of the library's numbers.
        per_wording: library texts for each skill, level and wording.
    """

    def __init__(self, *, seed: int = 0, per_wording: int = 12) -> None:
        self._vocabulary = frozenset(
            word.lower()
            for skill in SKILLS.values()
            for texts in skill.wordings.values()
            for text in texts
            for word in _WORD.findall(_SLOT.sub(" ", text))
        )
        rng = random.Random(derive_seed("recogniser", seed))
        library = [
            skill.generate(rng, level, wording)
            for skill in SKILLS.values()
            for level, texts in skill.wordings.items()
            for wording in range(len(texts))
            for _ in range(per_wording)
        ]
        self.cells = [Cell(item.skill, item.level) for item in library]  # of library text i
        counted = [features(item.statement, item.answer, self._vocabulary) for item in library]
        seen = Counter(key for counts in counted for key in counts)
        self._weights = {key: math.log((1 + len(library)) / (1 + n)) + 1 for key, n in seen.items()}
        #: Feature -> (library index, weight in that unit vector).
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for index, counts in enumerate(counted):
            for key, value in self._unit(counts).items():
                self._postings.setdefault(key, []).append((index, value))
        self.fingerprint = sha256_text("\n".join(_line(item) for item in library))

    def nearest(self, statement: str, answer: str) -> Match:
        """The most similar library text's cell; similarity 0 where nothing is shared. Never raises."""
        scores: dict[int, float] = {}
        for key, value in self._unit(features(statement, answer, self._vocabulary)).items():
            for index, weight in self._postings.get(key, ()):
                scores[index] = scores.get(index, 0.0) + value * weight
        best = min(scores, key=lambda index: (-scores[index], index), default=0)
        return Match(self.cells[best], min(1.0, scores.get(best, 0.0)))

    def _unit(self, counts: Mapping[str, int]) -> dict[str, float]:
        """TF-IDF of length 1. A feature the library lacks weighs as much as its rarest one: strange text is far."""
        rarest = math.log((1 + len(self.cells)) / 2) + 1
        raw = {key: (1 + math.log(n)) * self._weights.get(key, rarest) for key, n in sorted(counts.items())}
        length = _length(raw.values())
        return {key: value / length for key, value in raw.items()}


def _length(values: Iterable[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values)) or 1.0


def _line(item: Generated) -> str:
    return f"{item.skill} {item.level} {item.statement} {item.solution}"
