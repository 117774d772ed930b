"""A corpus by kinds of problems, and the choice of the nearest ones for many requests at once.

Owns masking and embedding of the corpus, which problems are one row of the index, and the order in which requests take
problems. Knows nothing of solutions or replies.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory.embedding import Embedder
from memory.ids import derive_seed, statement_key
from memory.index import Vectors
from memory.masking import lower_case_words, mask_corpus
from memory.records import Problem, TeacherRequest
from memory.retrieval import EXACT_UP_TO, CorpusIndex, IndexKind

#: Characters of a statement that are embedded, as in diagnosis.
MAX_STATEMENT = 8_000
_BATCH = 4_096  # texts embedded at a time
_FIRST_DEPTH = 64
_DEEPER = 4


@dataclass(frozen=True)
class _Shelves:
    """Problems by masked text: row ``r`` of the index holds the problems ``members[starts[r] : starts[r + 1]]``."""

    vocabulary: frozenset[str]
    index: CorpusIndex
    members: NDArray[np.int64]
    starts: NDArray[np.int64]


class Library:
    """The corpus, embedded when it is first asked about: each distinct masked text once.

    Masks as diagnosis does, so that near means of the same kind. The vocabulary by which names are told from words is
    the corpus' own, for queries too.

    Args:
        problems: the corpus, in an order of its own (sorted by id); held, not copied.
        embedder: texts to vectors.
        masked: whether numbers and names are masked.
        index: how it is searched.
        exact_up_to: rows up to which ``auto`` is exact.
        folder: where vectors that do not fit into memory may lie.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        embedder: Embedder,
        *,
        masked: bool = True,
        index: IndexKind = "auto",
        exact_up_to: int = EXACT_UP_TO,
        folder: Path | None = None,
    ) -> None:
        self.problems, self.embedder, self.masked = problems, embedder, masked
        self.kind, self.exact_up_to, self._folder = index, exact_up_to, folder

    def __len__(self) -> int:
        """Rows: distinct masked texts."""
        return len(self._shelves.index)

    def nearest(self, statements: Sequence[str], depth: int) -> list[NDArray[np.int64]]:
        """The ``depth`` nearest rows of each statement, best first."""
        if not statements:
            return []
        texts = self._masked(statements, self._shelves.vocabulary)
        return list(self._shelves.index.search(self.embedder.encode(texts), depth))

    def members(self, row: int) -> list[int]:
        """The problems of a row, by their place in ``problems``."""
        starts = self._shelves.starts
        found: list[int] = self._shelves.members[starts[row] : starts[row + 1]].tolist()
        return found

    def places(self, keys: Collection[str]) -> set[int]:
        """Where the problems with these keys (`memory.ids.statement_key`) are; unknown keys are passed over."""
        return {self._places[key] for key in keys if key in self._places}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {statement_key(problem.statement): at for at, problem in enumerate(self.problems)}

    def _masked(self, statements: Sequence[str], vocabulary: frozenset[str]) -> list[str]:
        cut = [statement[:MAX_STATEMENT] for statement in statements]
        return mask_corpus(cut, vocabulary=vocabulary) if self.masked else cut

    @cached_property
    def _shelves(self) -> _Shelves:
        statements = [problem.statement for problem in self.problems]
        vocabulary = lower_case_words(text[:MAX_STATEMENT] for text in statements) if self.masked else frozenset()
        texts, row_of = np.unique(np.array(self._masked(statements, vocabulary), dtype=object), return_inverse=True)
        counts = np.bincount(row_of, minlength=len(texts))
        index = CorpusIndex(self._embedded(texts), kind=self.kind, exact_up_to=self.exact_up_to, folder=self._folder)
        return _Shelves(
            vocabulary,
            index,
            np.argsort(row_of, kind="stable").astype(np.int64),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    def _embedded(self, texts: NDArray[np.object_]) -> Iterator[Vectors]:
        for start in range(0, len(texts), _BATCH):
            yield self.embedder.encode([str(text) for text in texts[start : start + _BATCH]])


@dataclass
class _Query:
    """One exemplar of a request: problems from the nearest on, those of one row in an order of the request's seed."""

    statement: str
    seed: int
    left: Iterator[int] = field(default_factory=lambda: iter(()))

    def look(self, library: Library, rows: NDArray[np.int64]) -> None:
        """Begin anew with these rows."""
        self.left = self._walk(library, rows.tolist())

    def _walk(self, library: Library, rows: Sequence[int]) -> Iterator[int]:
        for row in rows:
            members = library.members(row)
            # Equally near: which of them come first is chance, and must differ between seeds.
            random.Random(derive_seed("shelf", self.seed, row)).shuffle(members)
            yield from members

    def take(self, taken: set[int]) -> int | None:
        """The nearest problem that nobody has; None where these rows hold no more."""
        return next((at for at in self.left if at not in taken), None)


def pick(library: Library, requests: Sequence[TeacherRequest], taken: set[int]) -> list[list[int]]:
    """Places in the corpus for each request, at most its ``n``, nearest first; no problem twice, none that is taken.

    Requests take one problem in turn, and in a request its exemplars take turns, so none is served from what the
    others left. The order in which requests come changes nothing. A request gets fewer than it asks for only where
    the corpus has no more.

    Args:
        library: the corpus.
        requests: any number; exemplars are the queries.
        taken: places that are not given; those given are added.
    """
    found: dict[int, list[int]] = {at: [] for at in range(len(requests))}
    queries = {
        at: [_Query(item.statement, derive_seed(request.seed, which)) for which, item in enumerate(request.exemplars)]
        for at, request in enumerate(requests)
    }
    waiting = deque(sorted((at for at in found if requests[at].n > 0), key=lambda at: (requests[at].id, at)))
    depth = _FIRST_DEPTH

    def look(places: Sequence[int]) -> None:
        asked = [query for at in places for query in queries[at]]
        statements = sorted({query.statement for query in asked})
        rows = dict(zip(statements, library.nearest(statements, depth), strict=True))
        for query in asked:
            query.look(library, rows[query.statement])

    look(list(waiting))
    while waiting:
        at = waiting.popleft()
        own, given = queries[at], found[at]
        place = None
        for turn in range(len(own)):
            query = own[(len(given) + turn) % len(own)]
            place = query.take(taken)
            while place is None and depth < len(library):
                depth *= _DEEPER
                look([at, *waiting])  # all at once: a search costs a pass over the vectors
                place = query.take(taken)
            if place is not None:
                break
        if place is None:
            continue
        taken.add(place)
        given.append(place)
        if len(given) < requests[at].n:
            waiting.append(at)
    return [found[at] for at in range(len(requests))]
