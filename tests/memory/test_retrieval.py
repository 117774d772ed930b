"""Search in a corpus: exact against arithmetic, approximate against exact, the same twice, memory bounded."""

import numpy as np
import pytest

from memory import retrieval
from memory.errors import EngineError
from memory.index import Vectors, normalise_rows
from memory.retrieval import CorpusIndex


def cloud(n: int, dim: int = 16, seed: int = 0) -> Vectors:
    return normalise_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def clustered(n: int, groups: int, dim: int, seed: int = 0) -> Vectors:
    """Rows around planted centres, as embeddings of kinds of problems are."""
    rng = np.random.default_rng(seed)
    centres = cloud(groups, dim, seed + 1)
    noise = rng.normal(scale=0.6 / dim**0.5, size=(n, dim)).astype(np.float32)
    return normalise_rows(centres[rng.integers(groups, size=n)] + noise)


def test_exact_agrees_with_arithmetic_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_BLOCK", 70)
    vectors, queries = cloud(200), cloud(7, seed=1)
    index = CorpusIndex([vectors[:120], vectors[120:]])
    assert (index.kind, len(index)) == ("exact", 200)
    for k in (5, 150, 999):
        expected = np.argsort(-np.round(queries @ vectors.T, 6), axis=1, kind="stable")[:, :k]
        assert index.search(queries, k).tolist() == expected.tolist()


def test_equal_rows_go_by_number_and_nothing_is_found_in_nothing() -> None:
    assert CorpusIndex([np.repeat(cloud(1), 5, axis=0)]).search(cloud(1), 9).tolist() == [[0, 1, 2, 3, 4]]
    assert CorpusIndex([]).search(cloud(2), 3).shape == (2, 0)
    assert CorpusIndex([cloud(3)]).search(cloud(2)[:0], 3).shape == (0, 3)


def test_the_size_chooses_and_the_user_may() -> None:
    vectors = cloud(300)
    assert CorpusIndex([vectors], exact_up_to=299).kind == "ivf"
    assert CorpusIndex([vectors], exact_up_to=300).kind == "exact"
    assert CorpusIndex([vectors], kind="exact", exact_up_to=1).kind == "exact"
    assert CorpusIndex([vectors], kind="ivf").kind == "ivf"
    assert CorpusIndex([cloud(9)], kind="ivf").kind == "exact"  # too few to train on


@pytest.mark.parametrize(("groups", "least"), [(50, 0.99), (500, 0.99), (2000, 0.9)])  # at 2000, half are strangers
def test_the_approximate_one_finds_what_the_exact_one_finds(groups: int, least: float) -> None:
    vectors, k = clustered(20_000, groups, 48), 20
    queries = normalise_rows(vectors[::400] + 0.02 * cloud(50, 48, seed=9))
    exact, found = (CorpusIndex([vectors], kind=kind).search(queries, k) for kind in ("exact", "ivf"))
    recall = np.mean([len(set(a) & set(b)) / k for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
    assert recall >= least, recall
    assert (exact[:, 0] == found[:, 0]).mean() >= 0.98
    again = CorpusIndex([vectors[:7000], vectors[7000:]], kind="ivf").search(queries, k)
    assert again.tolist() == found.tolist()


def test_more_than_the_lists_hold_is_found_exactly() -> None:
    vectors = clustered(5_000, 500, 16)
    queries = cloud(3, seed=4)
    for k in (200, 1000):
        found = CorpusIndex([vectors], kind="ivf").search(queries, k)
        assert all(len(set(row)) == k and min(row) >= 0 for row in found.tolist())
    exact = CorpusIndex([vectors]).search(queries, 1000)
    assert found.tolist() == exact.tolist()  # a fifth of the corpus: not left to the lists


def test_many_vectors_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    vectors, queries = cloud(3000), cloud(4, seed=2)
    expected = CorpusIndex([vectors]).search(queries, 9)
    monkeypatch.setattr(retrieval, "IN_MEMORY", 100_000)
    index = CorpusIndex((vectors[at : at + 500] for at in range(0, 3000, 500)), folder=tmp_path / "new")
    assert isinstance(index._vectors, np.memmap)
    assert list((tmp_path / "new").iterdir()) == []  # it has no name: nothing is left by a kill
    assert index.search(queries, 9).tolist() == expected.tolist()
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be kept"):
        CorpusIndex([vectors], folder=tmp_path / "file" / "x")
