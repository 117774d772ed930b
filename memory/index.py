"""Unit vectors, and FAISS behind a plain call: k-means that repeats bit for bit.

Owns how FAISS is driven (one thread, seeds, no subsampling). Knows nothing of problems; search in a corpus is
`memory.retrieval`'s. Vectors are float32 rows of length 1, so inner product is cosine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (n, dim)
Labels = NDArray[np.int64]  # (n,)


def kmeans(
    vectors: Vectors, k: int, seed: int, nredo: int = 5, *, niter: int = 25, weights: NDArray[np.float32] | None = None
) -> Vectors:
    """Spherical k-means centroids, (k, dim), rows of length 1; the best of ``nredo`` starts.

    The same vectors in the same order and the same seed give the same bits. Another order gives another
    clustering, so the caller brings the rows in an order of their own (sorted by id, or by content).

    Args:
        vectors: (n, dim), rows of length 1.
        k: number of centroids, 1 <= k <= n.
        seed: any int; folded to 31 bits.
        nredo: number of random starts.
        niter: iterations of each start.
        weights: (n,), how much each row counts; None counts all the same.

    Raises:
        ValueError: ``k`` is outside 1..n.
    """
    import faiss

    rows = as_vectors(vectors)
    n, dim = rows.shape
    if not 1 <= k <= n:
        raise ValueError(f"k-means with k={k} over {n} vectors; k must lie in 1..{n}")
    with one_thread():
        machine = faiss.Kmeans(
            dim, k, niter=niter, nredo=nredo, seed=seed & 0x7FFF_FFFF, spherical=True, verbose=False,
            min_points_per_centroid=1, max_points_per_centroid=n,  # neither a warning on few nor a subsample of many
        )  # fmt: skip
        machine.train(rows, weights=weights)
    return normalise_rows(np.asarray(machine.centroids, dtype=np.float32).reshape(k, dim))


def nearest(vectors: Vectors, centroids: Vectors) -> Labels:
    """The row number of the nearest centroid for each vector, (n,); ties go to the lower number."""
    rows, targets = as_vectors(vectors), as_vectors(centroids)
    found: Labels = np.argmax(rows @ targets.T, axis=1).astype(np.int64)
    return found


def normalise_rows(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; a row of zeros becomes the first unit vector, so that no NaN arises."""
    rows = np.array(vectors, dtype=np.float32, order="C")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    empty = lengths == 0
    if empty.any():
        rows[empty, 0] = 1.0
        lengths[empty] = 1.0
    scaled: Vectors = (rows / lengths[:, None]).astype(np.float32)
    return scaled


def as_vectors(vectors: Vectors) -> Vectors:
    """The rows as contiguous float32, as FAISS needs them."""
    return np.ascontiguousarray(vectors, dtype=np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS on one thread inside: sums in one order, hence the same bits, and no fight over busy cores."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
