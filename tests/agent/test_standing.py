import random

from scipy.stats import fisher_exact

from agent.report.standing import Standing, standings
from eval.stats import fisher_greater


def test_fisher_is_scipys() -> None:
    rng = random.Random(0)
    for _ in range(300):
        n, rest = rng.randint(1, 60), rng.randint(1, 300)
        k, other = rng.randint(0, n), rng.randint(0, rest)
        expected = fisher_exact([[k, n - k], [other, rest - other]], alternative="greater").pvalue
        assert abs(fisher_greater(k, n, other, rest) - expected) <= 1e-9 * max(expected, 1e-12) + 1e-15


def test_the_words_for_each_standing() -> None:
    found = standings([(30, 40), (3, 40), (2, 2), (1, 60)])
    assert [item.standing for item in found] == [
        Standing.MORE, Standing.NOT_MORE, Standing.TOO_SMALL, Standing.NOT_MORE,
    ]  # fmt: skip
    assert found[0].remark is None
    assert found[1].remark is not None
    assert found[1].remark.startswith("does not clearly fail more than the rest (32 %)")
    assert found[2].remark is not None
    assert found[2].remark.startswith("too small to tell: not even 2 failed of 2")
    assert found[2].p is None
    assert standings([(5, 9)])[0].standing is Standing.ALONE
    assert standings([]) == []


def test_holm_counts_the_tested_clusters_only() -> None:
    small = [(1, 1)] * 50
    alone = standings([(9, 20), (20, 200)])
    among = standings([(9, 20), (20, 200), *small])
    assert alone[0].p == alone[0].p_holm or alone[0].p_holm == 2 * (alone[0].p or 0)
    assert all(item.p_holm is None for item in among[2:])
    assert among[0].p is not None
    assert among[0].p_holm == min(1.0, 2 * among[0].p)


def test_clusters_that_fail_at_random_rarely_stand_out() -> None:
    rng = random.Random(1)
    loud = 0
    for _ in range(300):
        counts = [(sum(rng.random() < 0.4 for _ in range(n)), n) for n in (3, 8, 15, 20, 30, 40, 12, 9)]
        loud += any(item.standing is Standing.MORE for item in standings(counts))
    assert loud / 300 <= 0.07
