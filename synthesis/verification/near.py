"""Problems that are nearly the same: by MinHash over masked words, and by embeddings together with shared word pairs.

Owns the two indexes and their scores. Exact twins are `eval.overlap`'s; what is refused is the verifiers' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eval.overlap import template_words
from memory.embedding import Embedder
from memory.records import Problem

VERSION = "near-1"
_PERMUTATIONS = 128
_BANDS = 32  # of 4 rows: two texts that share 70 % of their runs meet in one with probability 0.9998
_RUN = 3
_NEAREST = 20  # by cosine, whose word pairs are then compared
_CHUNK = 256
_MOST_KEPT = 4

#: Shared runs of three masked words, of all runs of both: the same template but for a few words.
NEAR_TEMPLATE = 0.7
#: Cosine plus shared word pairs. Measured on GSM8K, see docs/verification.md.
NEIGHBOUR = 1.1


_KEPT: dict[tuple[str, tuple[Problem, ...], float], Neighbours] = {}


@dataclass(frozen=True)
class Near:
    """A problem that is near, and how near in a few words."""

    problem: Problem
    shared: str


class NearTemplates:
    """Finds problems whose masked text is nearly the same.

    Candidates come from MinHash with banding (Broder, 1997; rensa's implementation), each is then compared exactly. The
    nearest is returned and, of equally near ones, that with the smallest id.

    Args:
        problems: what to find.
        threshold: Jaccard similarity of the runs of three words, in (0, 1].
    """

    def __init__(self, problems: Iterable[Problem] = (), threshold: float = NEAR_TEMPLATE) -> None:
        from rensa import RMinHashLSH

        self.threshold = threshold
        self._index = RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        self._known: list[tuple[Problem, frozenset[str]]] = []
        for problem in problems:
            self.add(problem)

    def add(self, problem: Problem) -> None:
        """One more problem to find."""
        runs = _runs(problem.statement, _RUN)
        self._index.insert(len(self._known), _sketch(runs))
        self._known.append((problem, runs))

    def find(self, statement: str) -> Near | None:
        """The nearest problem at or above the threshold."""
        runs = _runs(statement, _RUN)
        found = []
        for key in set(self._index.query(_sketch(runs))):
            problem, other = self._known[key]
            share = _jaccard(runs, other)
            if share >= self.threshold:
                found.append((-share, problem.id, problem))
        if not found:
            return None
        share, _, problem = min(found, key=lambda item: item[:2])
        return Near(problem, f"{-share:.0%} of the word runs")


class Neighbours:
    """Finds problems that tell the same story in other words, by an embedder.

    The score is the cosine of the two texts plus the share of masked word pairs they have in common, each in [0, 1]:
    the cosine alone takes any two problems about shared candy for one.

    Args:
        embedder: maps texts to vectors of length 1.
        problems: what to find.
        threshold: of the score.
    """

    def __init__(self, embedder: Embedder, problems: Sequence[Problem] = (), threshold: float = NEIGHBOUR) -> None:
        self._embedder, self.threshold = embedder, threshold
        self._known = tuple(problems)
        self._pairs: dict[int, frozenset[str]] = {}
        self._vectors = embedder.encode([item.statement for item in self._known]) if self._known else None  # (n, dim)

    def find(self, statements: Sequence[str]) -> list[Near | None]:
        """For each statement the problem with the highest score at or above the threshold."""
        if self._vectors is None or not statements:
            return [None] * len(statements)
        asked = self._embedder.encode(statements)  # (statements, dim)
        return [
            self._best(statement, row)
            for start in range(0, len(statements), _CHUNK)
            for statement, row in zip(
                statements[start : start + _CHUNK], asked[start : start + _CHUNK] @ self._vectors.T, strict=True
            )
        ]

    def pairs(self) -> dict[int, list[int]]:
        """For each known problem, by its place, the places of its neighbours among the others."""
        if self._vectors is None:
            return {}
        found: dict[int, list[int]] = {}
        pairs = [_runs(problem.statement, 2) for problem in self._known]
        for start in range(0, len(self._known), _CHUNK):
            block = self._vectors[start : start + _CHUNK] @ self._vectors.T
            for row, column in np.argwhere(block >= self.threshold - 1).tolist():
                at = start + row
                if at != column and float(block[row, column]) + _jaccard(pairs[at], pairs[column]) >= self.threshold:
                    found.setdefault(at, []).append(column)
        return found

    def _best(self, statement: str, cosines: NDArray[np.float32]) -> Near | None:
        most = min(_NEAREST, len(cosines))
        pairs = _runs(statement, 2)
        best: tuple[float, str, Near] | None = None
        for at in np.argpartition(-cosines, most - 1)[:most].tolist():
            problem, cosine = self._known[at], float(cosines[at])
            if at not in self._pairs:
                self._pairs[at] = _runs(problem.statement, 2)
            shared = _jaccard(pairs, self._pairs[at])
            score = round(cosine + shared, 6)
            if score < self.threshold:
                continue
            if best is None or (-score, problem.id) < best[:2]:
                best = (-score, problem.id, Near(problem, f"cosine {cosine:.2f}, {shared:.0%} of the word pairs"))
        return None if best is None else best[2]


@lru_cache(maxsize=8)
def near_index(problems: tuple[Problem, ...], threshold: float) -> NearTemplates:
    """An index that is built once for a tuple of problems and shared: never add to it."""
    return NearTemplates(problems, threshold)


def neighbours_of(embedder: Embedder, problems: tuple[Problem, ...], threshold: float) -> Neighbours:
    """The same for `Neighbours`; the embedder is told apart by its fingerprint."""
    key = (embedder.fingerprint, problems, threshold)
    if key not in _KEPT:
        while len(_KEPT) >= _MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = Neighbours(embedder, problems, threshold)
    return _KEPT[key]


def _runs(statement: str, n: int) -> frozenset[str]:
    words = template_words(statement)
    if len(words) <= n:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[at : at + n]) for at in range(len(words) - n + 1))


def _sketch(runs: frozenset[str]) -> object:
    from rensa import RMinHash

    sketch = RMinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update(sorted(runs))
    return sketch


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 0.0
