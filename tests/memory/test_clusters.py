import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.clusters import (
    MAX_CLUSTERS,
    Clustering,
    ClusterRule,
    adjusted_rand,
    centroids_of,
    cluster,
    kinship,
    stability,
)
from memory.index import Labels, Vectors, normalise_rows


def planted(groups: int, size: int, noise: float = 0.05, dim: int = 32) -> tuple[Vectors, Labels]:
    rng = np.random.default_rng(7)
    centres = np.eye(groups, dim, dtype=np.float32)
    vectors = np.repeat(centres, size, axis=0) + noise * rng.normal(size=(groups * size, dim)).astype(np.float32)
    return normalise_rows(vectors.astype(np.float32)), np.repeat(np.arange(groups), size)


def sizes(found: Clustering) -> list[int]:
    return sorted(np.bincount(found.labels).tolist())


def test_planted_groups_are_found_and_stable() -> None:
    vectors, truth = planted(8, 12)
    rule = ClusterRule(target_size=12, max_size=24)
    found = cluster(vectors, rule, seed=0)
    assert found.k == 8
    assert adjusted_rand(found.labels, truth) == pytest.approx(1.0)
    steady = stability(vectors, found, rule, 0, 3)
    assert steady.overall is not None
    assert steady.overall > 0.95
    assert all(score is not None and score > 0.9 for score in steady.clusters)


def test_noise_is_not_stable() -> None:
    vectors = normalise_rows(np.random.default_rng(0).normal(size=(96, 32)).astype(np.float32))
    rule = ClusterRule(target_size=12, max_size=24)
    steady = stability(vectors, cluster(vectors, rule, 0), rule, 0, 3)
    assert steady.overall is not None
    assert steady.overall < 0.6


def test_no_repeats_no_score() -> None:
    vectors, _ = planted(2, 5)
    found = cluster(vectors, ClusterRule(), 0)
    assert stability(vectors, found, ClusterRule(), 0, 0) == stability(vectors, found, ClusterRule(), 9, 0)
    assert stability(vectors, found, ClusterRule(), 0, 0).overall is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(2, 15), st.integers(0, 12), st.integers(1, 4), st.integers(0, 99))
def test_the_cap_holds_and_everyone_has_a_cluster(n: int, target: int, above: int, least: int, seed: int) -> None:
    vectors = normalise_rows(np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32))
    rule = ClusterRule(target_size=target, max_size=target + above, min_size=least)
    found = cluster(vectors, rule, seed)
    assert sum(sizes(found)) == n
    assert max(sizes(found)) <= target + above
    assert min(sizes(found)) >= 1
    assert found.labels[0] == 0
    assert np.allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-4)


def test_small_clusters_join_their_nearest_neighbour() -> None:
    vectors, _ = planted(4, 6)
    lone = normalise_rows(vectors[:1] + 0.4 * np.eye(32, dtype=np.float32)[20])
    found = cluster(np.concatenate([vectors, lone]), ClusterRule(target_size=5, max_size=8, min_size=2), 0)
    assert sizes(found)[0] >= 2
    assert found.labels[-1] in found.labels[:6].tolist()


def test_the_order_of_the_rows_does_not_matter() -> None:
    vectors = normalise_rows(np.random.default_rng(3).normal(size=(150, 24)).astype(np.float32))
    order = list(range(150))
    random.Random(5).shuffle(order)
    one, two = cluster(vectors, ClusterRule(), 1), cluster(vectors[order], ClusterRule(), 1)
    assert adjusted_rand(one.labels[order], two.labels) == 1.0


def test_equal_vectors_stay_together_even_above_the_cap() -> None:
    vectors = np.repeat(normalise_rows(np.eye(3, 8, dtype=np.float32)), [40, 3, 1], axis=0)
    found = cluster(vectors, ClusterRule(target_size=5, max_size=10, min_size=1), 0)
    assert sizes(found) == [1, 3, 40]
    same = cluster(vectors[:40], ClusterRule(), 0)
    assert same.k == 1


def test_a_configured_k_is_kept_as_far_as_there_are_vectors() -> None:
    vectors, _ = planted(8, 12)
    assert cluster(vectors, ClusterRule(k=3), 0).k == 3
    assert cluster(vectors[:2], ClusterRule(k=9), 0).k == 2
    assert cluster(vectors[:1], ClusterRule(), 0).k == 1


def test_many_failures_make_larger_clusters_not_more() -> None:
    rule = ClusterRule(target_size=12, max_size=24).scaled(12 * MAX_CLUSTERS * 10)
    assert (rule.target_size, rule.max_size) == (120, 240)
    assert "at most 16" in ClusterRule().text(335, 30)
    with pytest.raises(ValueError, match="nothing"):
        cluster(np.zeros((0, 4), dtype=np.float32), ClusterRule(), 0)


def test_adjusted_rand_against_known_values() -> None:
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 1.0
    assert adjusted_rand(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])) == pytest.approx(0.5714285714)
    assert adjusted_rand(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])) == pytest.approx(-0.5)
    assert adjusted_rand(np.array([0]), np.array([3])) == 1.0


def test_kinship_by_shared_problems_and_by_direction() -> None:
    axes = np.eye(5, dtype=np.float32)
    old = [frozenset("abcd"), frozenset("efgh"), frozenset("ijkl")]
    new = [frozenset("ab"), frozenset("cdx"), frozenset("uvw"), frozenset("e")]
    # 0 and 1 split the first; 2 shares nothing but points the way of the third; 3 holds what is left of the second
    parents, gone = kinship(new, axes[[3, 4, 2, 4]], old, axes[:3])
    assert parents == [0, 0, 2, 1]
    assert gone == [False, False, False]
    parents, gone = kinship([frozenset("z")], axes[[4]], old, axes[:3])
    assert parents == [None]
    assert gone == [True, True, True]
    assert kinship(new, axes[:4], [], axes[:0]) == ([None] * 4, [])


def test_a_merged_cluster_is_not_gone() -> None:
    axes = np.eye(3, dtype=np.float32)
    parents, gone = kinship([frozenset("abcde")], axes[:1], [frozenset("ab"), frozenset("cde")], axes[:2])
    assert len(parents) == 1
    assert parents[0] == 0  # nearer in direction
    assert gone == [False, False]


def test_centroids_are_mean_directions() -> None:
    vectors = np.eye(2, dtype=np.float32)
    assert np.allclose(centroids_of(vectors, np.array([0, 0])), 2**-0.5)
