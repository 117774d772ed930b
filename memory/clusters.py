"""Groups of like vectors: a stable choice of k, a cap on the size, stability scores, and kinship between rounds.

Owns the rule. Knows nothing of problems, texts or why something failed.

The rule (``k`` not given): ``k = ceil(n / target_size)``, at most the number of distinct vectors; spherical k-means
with 5 starts; then every cluster above ``max_size`` is cut in two until none is; then clusters below ``min_size``
join their nearest neighbour that has room. No silhouette: it is flat here, and chose 8 to 30 on the same failures.
Equal vectors always share a cluster, so only a cluster of one repeated vector may be larger than the cap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory.ids import derive_seed
from memory.index import Labels, Vectors, as_vectors, kmeans, nearest, normalise_rows

#: Above this many clusters both sizes grow with n instead: a round cannot serve more.
MAX_CLUSTERS = 256


@dataclass(frozen=True)
class ClusterRule:
    """How many clusters, and how large they may be."""

    k: int | None = None
    target_size: int = 8
    max_size: int = 16
    min_size: int = 2

    def scaled(self, n: int) -> ClusterRule:
        """The rule for n vectors: sizes grow where more than `MAX_CLUSTERS` would be needed."""
        factor = max(1.0, n / (self.target_size * MAX_CLUSTERS))
        target = math.ceil(self.target_size * factor)
        return ClusterRule(self.k, target, max(target, math.ceil(self.max_size * factor)), self.min_size)

    def text(self, n: int, k: int) -> str:
        """The rule in words, with what came of it."""
        if self.k is not None:
            return f"k={self.k} as configured, {k} used"
        rule = self.scaled(n)
        return f"ceil({n}/{rule.target_size}), at most {rule.max_size} and at least {rule.min_size} a cluster: {k}"


@dataclass(frozen=True)
class Clustering:
    """``labels`` (n,) in 0..k-1, numbered by first member; ``centroids`` (k, dim), mean directions of the members."""

    labels: Labels
    centroids: Vectors

    @property
    def k(self) -> int:
        """How many clusters."""
        return len(self.centroids)


def cluster(vectors: Vectors, rule: ClusterRule, seed: int) -> Clustering:
    """Cluster the rows of ``vectors`` (n, dim), each of length 1.

    The grouping depends on the set of vectors and the seed, not on the order of the rows: k-means runs over the
    distinct vectors in order of their content, each weighted by how often it occurs.

    Raises:
        ValueError: there is no vector.
    """
    rows = as_vectors(vectors)
    n = len(rows)
    if n == 0:
        raise ValueError("nothing to cluster")
    distinct, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    sizes = counts.astype(np.int64)
    scaled = rule.scaled(n)
    wanted = rule.k if rule.k is not None else math.ceil(n / scaled.target_size)
    groups = _split(distinct, sizes, np.arange(len(distinct)), min(wanted, len(distinct)), seed)
    if rule.k is None:
        groups = [part for group in groups for part in _cap(distinct, sizes, group, scaled.max_size, seed)]
        groups = _absorb(distinct, sizes, groups, scaled)
    of_distinct = np.zeros(len(distinct), dtype=np.int64)
    for number, group in enumerate(groups):
        of_distinct[group] = number
    labels = _by_first_member(of_distinct[inverse])
    return Clustering(labels, centroids_of(rows, labels))


def centroids_of(vectors: Vectors, labels: Labels) -> Vectors:
    """The mean direction of each label's rows, (k, dim), rows of length 1."""
    k = int(labels.max()) + 1
    sums = np.zeros((k, vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, vectors)
    return normalise_rows(sums.astype(np.float32))


def _split(
    distinct: Vectors, sizes: NDArray[np.int64], group: NDArray[np.int64], k: int, seed: int
) -> list[NDArray[np.int64]]:
    """Cut one group of distinct vectors into at most k by k-means; empty parts are dropped."""
    if k <= 1 or len(group) <= 1:
        return [group]
    weights = sizes[group].astype(np.float32)
    labels = nearest(distinct[group], kmeans(distinct[group], k, seed, weights=weights))
    return [group[labels == number] for number in range(k) if (labels == number).any()]


def _cap(
    distinct: Vectors, sizes: NDArray[np.int64], group: NDArray[np.int64], max_size: int, seed: int
) -> list[NDArray[np.int64]]:
    """Cut a group in two, and its parts again, until none holds more than ``max_size`` rows (or is one vector)."""
    done: list[NDArray[np.int64]] = []
    todo = [group]
    while todo:
        part = todo.pop()
        if sizes[part].sum() <= max_size or len(part) == 1:
            done.append(part)
            continue
        halves = _split(distinct, sizes, part, 2, seed)
        if len(halves) == 1:  # k-means found no cut: the vector farthest from the middle goes alone
            middle = normalise_rows((distinct[part] * sizes[part, None]).sum(axis=0, keepdims=True))
            lone = int(np.argmin(distinct[part] @ middle[0]))
            halves = [part[lone : lone + 1], np.delete(part, lone)]
        todo.extend(reversed(halves))
    return done


def _absorb(
    distinct: Vectors, sizes: NDArray[np.int64], groups: list[NDArray[np.int64]], rule: ClusterRule
) -> list[NDArray[np.int64]]:
    """Merge groups below ``min_size``, smallest first, into the nearest that stays within ``max_size``.

    A small group that fits nowhere stays as it is: the cap is firm, the lower bound is not.
    """
    groups = list(groups)
    stuck = 0
    while True:
        groups.sort(key=lambda group: (int(sizes[group].sum()), int(group[0])))
        if stuck >= len(groups) - 1 or sizes[groups[stuck]].sum() >= rule.min_size:
            return groups
        small = groups[stuck]
        middles = np.stack([(distinct[group] * sizes[group, None]).sum(axis=0) for group in groups])
        closeness = normalise_rows(middles) @ normalise_rows(middles[stuck : stuck + 1])[0]
        room = [
            at
            for at, group in enumerate(groups)
            if at != stuck and sizes[group].sum() + sizes[small].sum() <= rule.max_size
        ]
        if not room:
            stuck += 1
            continue
        target = max(room, key=lambda at: (float(closeness[at]), -at))
        groups[target] = np.sort(np.concatenate([groups[target], small]))
        del groups[stuck]


def _by_first_member(labels: NDArray[np.int64]) -> Labels:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Labels = rank[inverse.reshape(-1)]
    return renumbered


@dataclass(frozen=True)
class Stability:
    """``overall``: mean pairwise adjusted Rand index over the seeds; ``clusters``: mean best Jaccard of each (k,)."""

    overall: float | None
    clusters: tuple[float | None, ...]


def stability(vectors: Vectors, found: Clustering, rule: ClusterRule, seed: int, repeats: int) -> Stability:
    """How much of a clustering another seed finds again: 1 is all of it, 0 what chance would.

    Args:
        vectors: what was clustered.
        found: the clustering with the seed in use.
        rule: its rule.
        seed: its seed; ``repeats`` others are derived from it.
        repeats: number of other clusterings; 0 gives None throughout.

    The cluster score is Hennig's (2007), "Cluster-wise assessment of cluster stability", over seeds.
    """
    if repeats == 0:
        return Stability(None, (None,) * found.k)
    others = [cluster(vectors, rule, derive_seed(seed, "stability", at)).labels for at in range(repeats)]
    runs = [found.labels, *others]
    pairs = [adjusted_rand(one, two) for at, one in enumerate(runs) for two in runs[at + 1 :]]
    scores: list[float | None] = []
    for number in range(found.k):
        own = found.labels == number
        best = []
        for other in others:
            shared = np.bincount(other[own], minlength=int(other.max()) + 1)
            union = own.sum() + np.bincount(other, minlength=len(shared)) - shared
            best.append(float((shared / union).max()))
        scores.append(round(float(np.mean(best)), 4))
    return Stability(round(float(np.mean(pairs)), 4), tuple(scores))


def adjusted_rand(one: Labels, two: Labels) -> float:
    """Adjusted Rand index of two labelings of the same rows (Hubert and Arabie, 1985); 1 where both are trivial."""
    n = len(one)
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(two, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1), dtype=np.int64)
    np.add.at(table, (a, b), 1)

    def pairs(counts: NDArray[np.int64]) -> float:
        return float((counts * (counts - 1) // 2).sum())

    both, in_a, in_b = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = in_a * in_b / max(1.0, n * (n - 1) / 2)
    most = (in_a + in_b) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


#: Two clusters of different rounds are kin from this cosine of their centroids up.
KIN_COSINE = 0.8


def kinship(
    members: Sequence[frozenset[str]],
    centroids: Vectors,
    old_members: Sequence[frozenset[str]],
    old_centroids: Vectors,
    min_cosine: float = KIN_COSINE,
) -> tuple[list[int | None], list[bool]]:
    """Match clusters to an earlier round's.

    Two clusters are kin when the smaller shares at least half of its problems with the other, or their centroids'
    cosine is at least ``min_cosine``. The parent of a new cluster is its kin with the highest sum of overlap (shared
    problems over the smaller size) and cosine; ties go to the earlier one. Several may have one parent: a split.
    An old cluster that is kin to none is gone; one that is merely nobody's parent was merged into others.

    Returns:
        For each new cluster the number of its parent or None; for each old cluster whether it is gone.
    """
    if not len(old_members) or not len(members):
        return [None] * len(members), [True] * len(old_members)
    cosine = centroids @ old_centroids.T  # (new, old)
    overlap = np.array(
        [[len(new & old) / max(1, min(len(new), len(old))) for old in old_members] for new in members], dtype=np.float64
    )
    kin = (overlap >= 0.5) | (cosine >= min_cosine)
    score = np.where(kin, overlap + np.round(cosine, 6), -np.inf)
    parents = [int(np.argmax(row)) if found.any() else None for row, found in zip(score, kin, strict=True)]
    return parents, [not kin[:, at].any() for at in range(len(old_members))]
