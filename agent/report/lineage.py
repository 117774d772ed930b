"""Clusters over rounds: "unit conversion 41 -> 12 -> 9", new, gone, split, merged.

The probe problems are the same in every round, so what two clusters of different rounds have in common is counted
exactly, by the ids of their failed problems. The rule, between one diagnosed round and the next:

- A cluster's *source* is its stored parent (`memory.clusters.kinship`: shared problems and nearness). Where none of the
  earlier clusters is its parent, it is the one with which it shares at least half of the smaller of the two, if any.
- It *takes from* a cluster when at least a quarter of its problems that failed before, and two, come from there; a
  cluster *gives to* it when at least a quarter of its problems that still fail, and two, went there.
- A cluster without a source that takes from none is **new**. One with several that it has as source or takes from is
  **merged**; a cluster that is source of or gives to several is **split**, and so is a piece that has no source.
- A cluster that is nobody's source was taken over by the one it gave most to; where it gives to none, it is **gone**.
- **shrunk**, **grown**, **same** compare a thread's failures with what went into it: its own and those of the threads
  that were taken over. So no failure is counted twice, and what falls apart has not shrunk for that.

A *thread* is a cluster without a source and all that descend from it by sources: each cluster is in one thread.
Knows diagnoses only; `lineage` reads them from a run folder.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.report.reading import read_records, rounds_of
from memory.records import Diagnosis, Weakness
from memory.store import RunFolder

#: The part of its problems that failed both times which one cluster must have from, or give to, another; and how many.
MIN_SHARE, MIN_SHARED = 0.25, 2
#: The part of the smaller one that two clusters share, for one to be the other's source without being its parent.
SOURCE_SHARE = 0.5


@dataclass(frozen=True)
class Passage:
    """What became of the clusters of one round in a later one; ids throughout.

    Attributes:
        source: of each later cluster the earlier one it descends from, or None.
        takes: of each later cluster all it has problems from, its source first.
        gives: of each earlier cluster all that have problems from it, those that descend from it first.
        absorbed: of each earlier cluster from which none descends, but which gave, the one that took it over.
        gone: the earlier clusters that gave to none.
    """

    source: Mapping[str, str | None]
    takes: Mapping[str, tuple[str, ...]]
    gives: Mapping[str, tuple[str, ...]]
    absorbed: Mapping[str, str]
    gone: tuple[str, ...]


def passage(old: Sequence[Weakness], new: Sequence[Weakness], parents: Mapping[str, str | None]) -> Passage:
    """Relate the clusters of two rounds by the rule above; ``parents``: of later clusters, as far as they are known."""
    at = {problem: cluster.id for cluster in old for problem in cluster.problem_ids}
    shared = {cluster.id: Counter(at[name] for name in cluster.problem_ids if name in at) for cluster in new}
    size = {cluster.id: len(cluster.problem_ids) for cluster in (*old, *new)}
    still: Counter[str] = Counter()  # problems of each earlier cluster that fail in any of the later ones
    for counts in shared.values():
        still.update(counts)
    source: dict[str, str | None] = {}
    takes: dict[str, tuple[str, ...]] = {}
    giving: dict[str, dict[str, int]] = {cluster.id: {} for cluster in old}
    for cluster in new:
        counts = shared[cluster.id]
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        parent = parents.get(cluster.id)
        if parent not in giving:
            half = [name for name in ranked if counts[name] >= SOURCE_SHARE * min(size[name], size[cluster.id])]
            parent = half[0] if half else None
        source[cluster.id] = parent
        taken = [name for name in ranked if counts[name] >= max(MIN_SHARED, MIN_SHARE * counts.total())]
        takes[cluster.id] = tuple(dict.fromkeys([*([parent] if parent else []), *taken]))
        for name in ranked:
            if counts[name] >= max(MIN_SHARED, MIN_SHARE * still[name]):
                giving[name][cluster.id] = counts[name]
    gives: dict[str, tuple[str, ...]] = {}
    absorbed: dict[str, str] = {}
    for name, counted in giving.items():
        descends = [cluster for cluster, parent in source.items() if parent == name]
        ranked = sorted(counted, key=lambda cluster: (-counted[cluster], cluster))
        gives[name] = tuple(dict.fromkeys([*descends, *ranked]))
        if ranked and not descends:
            absorbed[name] = ranked[0]
    for name, taker in absorbed.items():
        takes[taker] = tuple(dict.fromkeys([*takes[taker], name]))
    gone = tuple(sorted(name for name, into in gives.items() if not into))
    return Passage(source, takes, gives, absorbed, gone)


def diagnoses_of(run: RunFolder) -> list[Diagnosis]:
    """The diagnoses of all rounds that have one, in order."""
    return [found for stage in rounds_of(run) for found in read_records(run, stage, "diagnose", Diagnosis)]


def lineage(run: RunFolder) -> list[dict[str, Any]]:
    """The threads of a run: see `threads`."""
    return threads(diagnoses_of(run))


def threads(diagnoses: Sequence[Diagnosis]) -> list[dict[str, Any]]:
    """Clusters followed over rounds; those that are alive first, the largest first.

    Args:
        diagnoses: of the diagnosed rounds, in order.

    Returns:
        One dictionary a thread: ``id`` (its first cluster's), ``label`` (of its latest largest cluster), ``text``
        (``"unit conversion 41 -> 12 -> 9"``), ``rounds`` and ``end``. Each of ``rounds`` has ``round``, ``ids``,
        ``labels``, ``failures`` (of all its clusters), ``before`` (what went in; None where nothing did), ``events``
        (one of new, shrunk, grown, same, and merged, split), ``merged_from`` and ``split_into`` (cluster ids), and
        ``still_failing`` (of the problems of its first round, how many fail in this one). ``end`` is None, or
        ``round``, ``event`` (gone or merged), ``into`` (the id of the thread that took it over, or None) and
        ``still_failing``.
    """
    found: dict[str, dict[str, Any]] = {}
    home: dict[str, str] = {}  # cluster id -> thread id
    previous: Diagnosis | None = None
    for diagnosis in diagnoses:
        old = previous.weaknesses if previous is not None else ()
        step = passage(old, diagnosis.weaknesses, {item.id: item.parent for item in diagnosis.weaknesses})
        now: defaultdict[str, list[Weakness]] = defaultdict(list)
        for cluster in sorted(diagnosis.weaknesses, key=lambda item: (-item.failures, item.id)):
            parent = step.source[cluster.id]
            home[cluster.id] = home[parent] if parent is not None else cluster.id
            now[home[cluster.id]].append(cluster)
        failed = {name for cluster in diagnosis.weaknesses for name in cluster.problem_ids}
        joined = _end(found, home, old, now, step, diagnosis.round, failed)
        for thread_id, clusters in now.items():
            thread = found.setdefault(thread_id, {"id": thread_id, "label": "", "text": "", "rounds": [], "end": None})
            first = set(clusters[0].problem_ids) if not thread["rounds"] else thread["_first"]
            thread["_first"] = first
            thread["label"] = clusters[0].label
            thread["rounds"].append(_point(thread, clusters, step, joined[thread_id], diagnosis.round, failed))
        previous = diagnosis
    for thread in found.values():
        thread.pop("_first")
    for thread in found.values():
        thread["text"] = _text(thread, found)
    return sorted(
        found.values(),
        key=lambda item: (item["end"] is not None, -item["rounds"][-1]["failures"], item["id"]),
    )


def _end(
    found: Mapping[str, dict[str, Any]],
    home: Mapping[str, str],
    old: Sequence[Weakness],
    now: Mapping[str, Sequence[Weakness]],
    step: Passage,
    round_index: int,
    failed: set[str],
) -> Counter[str]:
    """End the threads that have no cluster in this round; returns the failures that each other one took over."""
    joined: Counter[str] = Counter()
    ending = {home[cluster.id] for cluster in old} - now.keys()
    for thread_id in sorted(ending):
        into: Counter[str] = Counter()
        for cluster in old:
            if home[cluster.id] == thread_id and cluster.id in step.absorbed:
                into[home[step.absorbed[cluster.id]]] += cluster.failures
        taker = max(sorted(into), key=lambda name: into[name]) if into else None
        thread = found[thread_id]
        thread["end"] = {
            "round": round_index,
            "event": "merged" if taker is not None else "gone",
            "into": taker,
            "still_failing": len(thread["_first"] & failed),
        }
        joined.update(into)
    return joined


def _point(
    thread: Mapping[str, Any],
    clusters: Sequence[Weakness],
    step: Passage,
    joined: int,
    round_index: int,
    failed: set[str],
) -> dict[str, Any]:
    """A thread in one round."""
    own = {cluster.id for cluster in clusters}
    last = thread["rounds"][-1] if thread["rounds"] else None
    failures = sum(cluster.failures for cluster in clusters)
    before = (last["failures"] if last is not None else 0) + joined
    takes = {name for cluster in own for name in step.takes[cluster]}
    if before:
        events = ["same" if failures == before else "shrunk" if failures < before else "grown"]
    else:
        events = [] if len(takes) > 1 else ["split"] if takes else ["new"]
    merged = sorted({name for cluster in own if len(step.takes[cluster]) > 1 for name in step.takes[cluster]})
    split = sorted({into for name in (last or {}).get("ids", ()) if len(step.gives[name]) > 1
                    for into in step.gives[name]})  # fmt: skip
    return {
        "round": round_index,
        "ids": [cluster.id for cluster in clusters],
        "labels": [cluster.label for cluster in clusters],
        "failures": failures,
        "before": before or None,
        "events": events + ["merged"] * bool(merged) + ["split"] * bool(split),
        "merged_from": merged,
        "split_into": split,
        "still_failing": len(thread["_first"] & failed),
    }


def _text(thread: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> str:
    """``label 41 -> 12 -> 9``, with how it ended."""
    text = f"{thread['label']} " + " -> ".join(str(point["failures"]) for point in thread["rounds"])
    end = thread["end"]
    if end is None:
        return text
    if end["into"] is None:
        return f"{text} -> gone"
    return f"{text} -> merged into {found[end['into']]['label']}"
