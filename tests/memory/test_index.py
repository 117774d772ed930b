import numpy as np
import pytest

from memory.index import Vectors, kmeans, nearest, normalise_rows


def cloud(n: int, dim: int = 16, seed: int = 0) -> Vectors:
    return normalise_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def test_kmeans_repeats_bit_for_bit_and_minds_its_seed() -> None:
    vectors = cloud(300)
    one, two, other = kmeans(vectors, 9, 3), kmeans(vectors, 9, 3), kmeans(vectors, 9, 4)
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)


def test_kmeans_finds_planted_groups() -> None:
    centres = np.eye(6, 16, dtype=np.float32)
    vectors = normalise_rows(np.repeat(centres, 20, axis=0) + 0.05 * cloud(120))
    found = nearest(vectors, kmeans(vectors, 6, 0))
    for start in range(0, 120, 20):
        assert len(set(found[start : start + 20].tolist())) == 1
    assert len(set(found.tolist())) == 6


def test_weights_move_the_centroid() -> None:
    vectors = np.eye(2, dtype=np.float32)
    heavy = kmeans(vectors, 1, 0, weights=np.array([9.0, 1.0], dtype=np.float32))[0]
    assert heavy[0] > 5 * heavy[1]


@pytest.mark.parametrize("k", [0, 4])
def test_impossible_k_is_an_error(k: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.3"):
        kmeans(cloud(3), k, 0)


def test_a_row_of_zeros_becomes_a_vector() -> None:
    rows = normalise_rows(np.zeros((2, 3), dtype=np.float32))
    assert rows.tolist() == [[1, 0, 0], [1, 0, 0]]
