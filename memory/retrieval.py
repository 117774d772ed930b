"""Nearest neighbours in a large corpus of unit vectors: exact up to a size, beyond it by IVF and ranked again exactly.

Owns where the vectors lie, how they are searched, and that the same vectors in the same order and the same queries
give the same answer. Knows nothing of problems or texts; a neighbour is a row number.

Beyond a million rows the inverted file holds 8-bit codes (Jegou et al. 2011 for the inverted file; SQ8 is FAISS's
scalar quantizer): ``dim`` + 8 bytes a row in memory, where HNSW would need the floats and its links, about ``4 dim`` +
256, and a far longer build on one thread. Codes lose order among near neighbours, so what they find is ranked again by
the exact vectors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memory.errors import EngineError
from memory.index import Vectors, as_vectors, one_thread

IndexKind = Literal["auto", "exact", "ivf"]
Rows = NDArray[np.int64]  # (queries, k)

#: Rows up to which ``auto`` is exact.
EXACT_UP_TO = 1_000_000
#: Vectors of more bytes than this lie in a temporary file instead of memory.
IN_MEMORY = 256 << 20
_BLOCK = 65_536  # rows that are compared at a time
_TRAIN_PER_LIST = 64
_MORE = 4  # times as many candidates as wanted are ranked again


class CorpusIndex:
    """Inner-product search over rows that are given once, in blocks.

    Memory: exact, the vectors themselves (4 ``dim`` bytes a row) up to 256 MB, beyond that one block of 65,536 rows at
    a time, the rest in an unnamed file that goes with the process; ``ivf`` adds ``dim`` + 8 bytes a row.

    Args:
        blocks: float32 (some rows, dim) each, rows of length 1; taken one after the other.
        kind: ``auto`` is exact up to ``exact_up_to`` rows and ``ivf`` beyond.
        exact_up_to: see ``kind``.
        folder: where the file of vectors may lie; None is the system's own place for temporary files.
        seed: of the k-means behind ``ivf``.

    Attributes:
        kind: what it became, ``exact`` or ``ivf``.

    Raises:
        EngineError: the file of vectors cannot be written.
    """

    def __init__(
        self,
        blocks: Iterable[Vectors],
        *,
        kind: IndexKind = "auto",
        exact_up_to: int = EXACT_UP_TO,
        folder: Path | None = None,
        seed: int = 0,
    ) -> None:
        try:
            self._vectors = _gather(blocks, folder)
        except OSError as error:
            raise EngineError(f"the vectors of the corpus cannot be kept in {folder or 'a file'}: {error}") from error
        if kind == "auto":
            kind = "exact" if len(self) <= exact_up_to else "ivf"
        self.kind: Literal["exact", "ivf"] = "ivf" if kind == "ivf" and len(self) >= 2 * _TRAIN_PER_LIST else "exact"
        self._ivf: Any = _build_ivf(self._vectors, seed) if self.kind == "ivf" else None

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, queries: Vectors, k: int) -> Rows:
        """Row numbers of the ``min(k, len(self))`` nearest of each query, best first; (queries, k).

        Scores that differ by less than a millionth are equal, and go by row number.
        """
        asked, k = as_vectors(queries), min(k, len(self))
        if k <= 0 or not len(asked):
            return np.zeros((len(asked), max(k, 0)), dtype=np.int64)
        with one_thread():
            if self._ivf is None or k * 16 > len(self):  # most of the lists would have to be read anyway
                return self._exact(asked, k)
            return self._approximate(asked, k)

    def _exact(self, queries: Vectors, k: int) -> Rows:
        import faiss

        scores = np.zeros((len(queries), 0), dtype=np.float32)
        rows = np.zeros((len(queries), 0), dtype=np.int64)
        for start in range(0, len(self), _BLOCK):
            block = as_vectors(self._vectors[start : start + _BLOCK])
            near, at = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            scores, rows = _best(np.hstack([scores, near]), np.hstack([rows, at.astype(np.int64) + start]), k)
        return rows

    def _approximate(self, queries: Vectors, k: int) -> Rows:
        _, candidates = self._ivf.search(queries, _MORE * k)
        found = np.full((len(queries), k), -1, dtype=np.int64)
        for at, (query, near) in enumerate(zip(queries, candidates, strict=True)):
            rows = np.sort(near[near >= 0])
            if len(rows) >= k:
                scores = as_vectors(self._vectors[rows]) @ query
                found[at] = _best(scores[None, :], rows[None, :], k)[1][0]
        short = np.flatnonzero(found[:, 0] < 0)  # the lists that were read hold fewer than k
        if len(short):
            found[short] = self._exact(queries[short], k)
        return found


def _best(scores: NDArray[np.float32], rows: Rows, k: int) -> tuple[NDArray[np.float32], Rows]:
    """The ``k`` best columns of each line, best first."""
    order = np.lexsort((rows, -np.round(scores, 6)), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _gather(blocks: Iterable[Vectors], folder: Path | None) -> Vectors:
    """All rows: in memory, or mapped from a file as soon as they are too many for that."""
    kept: list[Vectors] = []
    size = rows = 0
    dim = 0
    file: Any = None
    for block in blocks:
        block = as_vectors(block)
        rows, dim, size = rows + len(block), block.shape[1], size + block.nbytes
        kept.append(block)
        if file is None and size > IN_MEMORY:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (lives as long as the map)
        if file is not None:
            for part in kept:
                file.write(part.tobytes())
            kept.clear()
    if file is None:
        return np.concatenate(kept) if kept else np.zeros((0, 1), dtype=np.float32)
    file.flush()
    return np.memmap(file, dtype=np.float32, mode="r", shape=(rows, dim))


def _build_ivf(vectors: Vectors, seed: int) -> Any:
    """Inverted lists of 8-bit codes, trained on rows spread evenly over the corpus."""
    import faiss

    n, dim = vectors.shape
    lists = min(int(n**0.5), n // _TRAIN_PER_LIST)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed, index.cp.niter, index.cp.spherical = seed & 0x7FFF_FFFF, 10, True
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _TRAIN_PER_LIST, 1
    sample = np.linspace(0, n - 1, min(n, lists * _TRAIN_PER_LIST)).astype(np.int64)
    with one_thread():
        index.train(as_vectors(vectors[sample]))
        for start in range(0, n, _BLOCK):
            index.add(as_vectors(vectors[start : start + _BLOCK]))
    index.nprobe = max(8, lists // 4)  # recall before speed: a baseline that misses neighbours proves nothing
    return index
