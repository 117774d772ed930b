"""From attempts to weaknesses: triage, embed, cluster, name, measure, and match to last round's clusters.

Owns the order of these steps and what is counted. Knows nothing of how texts become vectors (`memory.embedding`)
or vectors clusters (`memory.clusters`), and never sees a hidden label. Problems and attempts may come in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from agent.config import DiagnoseConfig
from agent.triage import Triage, counts, triage
from eval.stats import wilson
from memory.clusters import (
    KIN_COSINE,
    Clustering,
    ClusterRule,
    Stability,
    centroids_of,
    cluster,
    kinship,
    stability,
)
from memory.embedding import Embedder
from memory.ids import derive_seed, short_id
from memory.index import Vectors, nearest
from memory.masking import mask_corpus
from memory.phrases import keyphrases, labels
from memory.records import Attempt, Diagnosis, Outcome, Problem, Trend, Weakness, refuse_labels

#: Characters of a problem, and of a wrong answer, that are embedded.
MAX_STATEMENT, MAX_ANSWER = 8_000, 1_000


def diagnose(
    problems: Sequence[Problem],
    attempts: Sequence[Attempt],
    embedder: Embedder,
    *,
    config: DiagnoseConfig,
    round_index: int,
    previous: Diagnosis | None,
    seed: int,
) -> Diagnosis:
    """Cluster the failed problems.

    A problem failed when any of its samples that did not error is not correct. Problems that only errored are
    counted and left out. ``failures`` of a cluster are its members; ``n`` adds the passed problems whose nearest
    centroid is the cluster's, so that ``failures <= n`` and the n's sum to all problems that were judged.

    Args:
        problems: the probe problems, without labels.
        attempts: k samples for each; problems without attempts are ignored.
        embedder: texts to vectors.
        config: masking and the clustering rule.
        round_index: the round.
        previous: last round's diagnosis, or None.
        seed: for k-means.

    Raises:
        LabelError: a problem carries a hidden label.
        ValueError: an attempt belongs to none of the problems.
    """
    refuse_labels(problems, "diagnosis")
    by_id = {problem.id: problem for problem in sorted(problems, key=lambda item: item.id)}
    kinds = triage(attempts)
    if unknown := sorted(kinds.keys() - by_id.keys()):
        raise ValueError(f"attempts on {len(unknown)} problems that are not among the given ones, first {unknown[0]}")
    failed = [name for name, kind in kinds.items() if kind not in (Triage.PASSED, Triage.ERRORED)]
    passed = [name for name, kind in kinds.items() if kind is Triage.PASSED]
    rule = ClusterRule(
        k=None if config.k == "auto" else config.k,
        target_size=config.target_cluster_size,
        max_size=max(config.max_cluster_size, config.target_cluster_size),
        min_size=config.min_cluster_size,
    )
    old = previous.weaknesses if previous is not None else ()
    if not failed:
        return Diagnosis(
            round=round_index, weaknesses=(), triage=counts(kinds), k=0, k_rule="no failures", stability=None,
            gone=tuple(sorted(weakness.id for weakness in old)),
        )  # fmt: skip
    order = [*failed, *passed]
    texts = embedded_texts(by_id, kinds, attempts, order, config)
    vectors = embedder.encode(texts)  # (failed + passed, dim)
    own_seed = derive_seed(seed, "clusters")
    found = cluster(vectors[: len(failed)], rule, own_seed)
    steady = stability(vectors[: len(failed)], found, rule, own_seed, config.stability_seeds)
    of_passed = nearest(vectors[len(failed) :], found.centroids) if passed else np.zeros(0, dtype=np.int64)
    region = dict(zip(order, np.concatenate([found.labels, of_passed]).tolist(), strict=True))
    members = [frozenset(name for name in failed if region[name] == at) for at in range(found.k)]
    parents, gone = _lineage(members, found, old, dict(zip(order, vectors, strict=True)))
    before = _failed_before(order, vectors, len(failed), found, region, old)
    weaknesses = _describe(by_id, kinds, members, region, parents, before, steady, round_index)
    return Diagnosis(
        round=round_index,
        weaknesses=tuple(sorted(weaknesses, key=lambda item: (-item.failures, item.id))),
        triage=counts(kinds),
        k=found.k,
        k_rule=rule.text(len(failed), found.k),
        stability=steady.overall,
        gone=tuple(sorted(gone)),
    )


def embedded_texts(
    by_id: Mapping[str, Problem],
    kinds: Mapping[str, Triage],
    attempts: Sequence[Attempt],
    order: Sequence[str],
    config: DiagnoseConfig,
) -> list[str]:
    """What is embedded for each problem of ``order``: its statement, for failed ones with the first failing
    sample where the config says so, masked against the vocabulary of all probe problems.

    The vocabulary is all problems' and not the failed ones', so a text is masked alike in every round.
    """
    wrong: dict[str, str] = {}
    if config.embed_wrong_answer:
        for attempt in sorted(attempts, key=lambda item: (item.problem_id, item.sample_index)):
            if attempt.outcome not in (Outcome.CORRECT, Outcome.ERRORED):
                wrong.setdefault(attempt.problem_id, "\n" + attempt.text[:MAX_ANSWER])
    texts = {name: problem.statement[:MAX_STATEMENT] + wrong.get(name, "") for name, problem in by_id.items()}
    if config.mask:
        texts = dict(zip(texts, mask_corpus(list(texts.values())), strict=True))
    return [texts[name] for name in order]


def _lineage(
    members: Sequence[frozenset[str]], found: Clustering, old: Sequence[Weakness], vectors: Mapping[str, Vectors]
) -> tuple[list[Weakness | None], list[str]]:
    """The parent of each cluster among last round's, and the ids of those that are gone.

    Last round's centroids are made again from its members' vectors of this round. An old cluster none of whose
    problems were judged this time counts as gone.
    """
    kept = sorted(
        (weakness for weakness in old if any(name in vectors for name in weakness.problem_ids)),
        key=lambda item: item.id,
    )
    gone = [weakness.id for weakness in old if weakness not in kept]
    if not kept:
        return [None] * len(members), gone
    rows = [(at, name) for at, weakness in enumerate(kept) for name in weakness.problem_ids if name in vectors]
    stacked = np.stack([vectors[name] for _, name in rows])
    old_centroids = centroids_of(stacked, np.array([at for at, _ in rows], dtype=np.int64))
    old_members = [frozenset(weakness.problem_ids) for weakness in kept]
    parents, vanished = kinship(members, found.centroids, old_members, old_centroids)
    gone += [weakness.id for weakness, away in zip(kept, vanished, strict=True) if away]
    return [None if at is None else kept[at] for at in parents], gone


def _failed_before(
    order: Sequence[str],
    vectors: Vectors,
    n_failed: int,
    found: Clustering,
    region: Mapping[str, int],
    old: Sequence[Weakness],
) -> Counter[int]:
    """How many problems of each cluster's neighbourhood failed last round.

    The neighbourhood: the problems of its region that are as near to the centroid as its farthest member, or
    nearer than `KIN_COSINE`. The region alone would not do: what was cured since lands in whichever region is next.
    The parent's own size would not do either: by the rule, clusters have about the same size in every round.
    """
    own = np.array([region[name] for name in order])
    closeness = np.round(np.einsum("ij,ij->i", vectors, found.centroids[own], dtype=np.float64), 6)
    radius = np.full(found.k, KIN_COSINE)
    np.minimum.at(radius, own[:n_failed], closeness[:n_failed])
    failed_before = {name for weakness in old for name in weakness.problem_ids}
    near = (name for name, at, close in zip(order, own, closeness, strict=True) if close >= radius[at])
    return Counter(region[name] for name in near if name in failed_before)


def _describe(
    by_id: Mapping[str, Problem],
    kinds: Mapping[str, Triage],
    members: Sequence[frozenset[str]],
    region: Mapping[str, int],
    parents: Sequence[Weakness | None],
    before: Mapping[int, int],
    steady: Stability,
    round_index: int,
) -> list[Weakness]:
    """One record for each cluster; ``parent_failures`` is `_failed_before`: the same problems then and now."""
    ids = [tuple(sorted(group)) for group in members]
    phrases = keyphrases([[by_id[name].statement for name in group] for group in ids])
    total = Counter(region.values())
    found = []
    for at, (group, label) in enumerate(zip(ids, labels(phrases), strict=True)):
        low, high = wilson(len(group), total[at])
        parent = parents[at]
        suspects = [name for name in group if kinds[name] is Triage.GOLD_SUSPECT]
        found.append(
            Weakness(
                id=short_id("w", [round_index, group]),
                round=round_index,
                label=label,
                keyphrases=phrases[at],
                problem_ids=group,
                n=total[at],
                failures=len(group),
                failure_rate=len(group) / total[at],
                low=low,
                high=high,
                stability=steady.clusters[at],
                parent=parent.id if parent is not None else None,
                parent_failures=before[at] if parent is not None else None,
                trend=_trend(len(group), before[at]) if parent is not None else Trend.NEW,
                note=f"gold answer suspect: {', '.join(suspects)}" if suspects else None,
            )
        )
    return found


def _trend(now: int, before: int) -> Trend:
    if now == before:
        return Trend.SAME
    return Trend.SHRUNK if now < before else Trend.GROWN
