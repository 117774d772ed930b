"""Threads of clusters over rounds: hand-made rounds of every kind, and the scripted demo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.report.lineage import diagnoses_of, lineage, passage, threads
from memory.records import Diagnosis, Weakness
from memory.store import RunFolder


def cluster(round_index: int, name: str, problems: Sequence[int], parent: str | None = None) -> Weakness:
    n = len(problems)
    return Weakness(
        id=f"w-{name}{round_index}",
        round=round_index,
        label=name,
        keyphrases=(name,),
        problem_ids=tuple(f"p-{at:03d}" for at in problems),
        n=n + 5,
        failures=n,
        failure_rate=n / (n + 5),
        low=0.0,
        high=1.0,
        parent=f"w-{parent}{round_index - 1}" if parent else None,
    )


def diagnosis(*clusters: Weakness, round_index: int = 0) -> Diagnosis:
    at = clusters[0].round if clusters else round_index
    return Diagnosis(round=at, weaknesses=clusters, triage={}, k=len(clusters), k_rule="by hand", stability=None)


def by_label(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {thread["label"]: thread for thread in found}


def events(thread: dict[str, Any]) -> list[list[str]]:
    return [point["events"] for point in thread["rounds"]]


def test_a_thread_shrinks_grows_and_stays() -> None:
    rounds = [
        diagnosis(cluster(0, "units", range(41))),
        diagnosis(cluster(1, "units", range(12), "units")),
        diagnosis(cluster(2, "units", range(20), "units")),
        diagnosis(cluster(3, "units", range(20), "units")),
    ]
    (thread,) = threads(rounds)
    assert thread["text"] == "units 41 -> 12 -> 20 -> 20"
    assert events(thread) == [["new"], ["shrunk"], ["grown"], ["same"]]
    assert [point["still_failing"] for point in thread["rounds"]] == [41, 12, 20, 20]
    assert thread["end"] is None


def test_new_and_gone() -> None:
    found = by_label(threads([diagnosis(cluster(0, "old", range(9))), diagnosis(cluster(1, "fresh", range(50, 56)))]))
    assert events(found["fresh"]) == [["new"]]
    assert found["old"]["end"] == {"round": 1, "event": "gone", "into": None, "still_failing": 0}
    assert found["old"]["text"] == "old 9 -> gone"


def test_everything_solved_ends_every_thread() -> None:
    (thread,) = threads([diagnosis(cluster(0, "old", range(9))), diagnosis(round_index=1)])
    assert thread["end"] == {"round": 1, "event": "gone", "into": None, "still_failing": 0}


def test_a_split_thread_counts_both_pieces_and_has_not_shrunk_for_that() -> None:
    first = diagnosis(cluster(0, "rates", range(20)))
    second = diagnosis(cluster(1, "speed", range(11), "rates"), cluster(1, "price", range(11, 20), "rates"))
    (thread,) = threads([first, second])
    assert thread["label"] == "speed"
    assert events(thread) == [["new"], ["same", "split"]]
    assert thread["rounds"][1]["ids"] == ["w-speed1", "w-price1"]
    assert thread["rounds"][1]["split_into"] == ["w-price1", "w-speed1"]
    assert (thread["rounds"][1]["before"], thread["rounds"][1]["failures"]) == (20, 20)


def test_a_merged_cluster_is_compared_with_all_that_went_in() -> None:
    first = diagnosis(cluster(0, "pens", range(10)), cluster(0, "boxes", range(10, 18)))
    second = diagnosis(cluster(1, "pens", [*range(6), *range(10, 15)], "pens"))
    found = by_label(threads([first, second]))
    point = found["pens"]["rounds"][1]
    assert point["events"] == ["shrunk", "merged"], "11 of 18, though pens alone had 10"
    assert (point["before"], point["failures"]) == (18, 11)
    assert point["merged_from"] == ["w-boxes0", "w-pens0"]
    assert found["boxes"]["end"] == {"round": 1, "event": "merged", "into": "w-pens0", "still_failing": 5}
    assert found["boxes"]["text"] == "boxes 8 -> merged into pens"


def test_two_that_join_without_a_parent_are_merged_and_not_new() -> None:
    first = diagnosis(cluster(0, "a", range(10)), cluster(0, "b", range(10, 20)))
    second = diagnosis(cluster(1, "c", [0, 1, 2, 10, 11, 12, *range(90, 96)]))
    found = by_label(threads([first, second]))
    assert events(found["c"]) == [["shrunk", "merged"]]
    assert found["c"]["rounds"][0]["before"] == 20
    assert found["a"]["end"]["into"] == found["b"]["end"]["into"] == "w-c1"


def test_a_piece_without_a_parent_is_part_of_a_split() -> None:
    first = diagnosis(cluster(0, "a", range(20)))
    second = diagnosis(cluster(1, "a", range(9), "a"), cluster(1, "piece", [15, 16, 17, 18, *range(80, 90)]))
    found = by_label(threads([first, second]))
    assert events(found["a"]) == [["new"], ["shrunk", "split"]]
    assert events(found["piece"]) == [["split"]]
    assert found["piece"]["rounds"][0]["before"] is None


def test_one_stray_problem_is_no_lineage() -> None:
    first = diagnosis(cluster(0, "a", range(20)), cluster(0, "b", range(20, 40)))
    second = diagnosis(cluster(1, "a", [0, 1, 20], "a"), cluster(1, "b", range(21, 24), "b"))
    found = by_label(threads([first, second]))
    assert events(found["a"]) == [["new"], ["shrunk"]]
    assert events(found["b"]) == [["new"], ["shrunk"]]


def test_shared_problems_make_a_source_where_no_parent_is_stored() -> None:
    step = passage([cluster(0, "a", range(20))], [cluster(1, "x", range(7)), cluster(1, "y", range(60, 70))], {})
    assert step.source == {"w-x1": "w-a0", "w-y1": None}


def test_each_cluster_and_each_failure_stands_in_one_thread() -> None:
    first = diagnosis(cluster(0, "a", range(12)), cluster(0, "b", range(12, 30)), cluster(0, "c", range(30, 34)))
    second = diagnosis(
        cluster(1, "a", [*range(5), *range(12, 17)], "b"),
        cluster(1, "b", range(20, 27), "b"),
        cluster(1, "d", range(70, 73)),
    )
    found = threads([first, second])
    for at, total in ((0, 34), (1, 20)):
        points = [point for thread in found for point in thread["rounds"] if point["round"] == at]
        ids = [name for point in points for name in point["ids"]]
        assert len(ids) == len(set(ids)) == 3
        assert sum(point["failures"] for point in points) == total


def test_the_order_of_clusters_does_not_matter() -> None:
    first = [cluster(0, "a", range(10)), cluster(0, "b", range(10, 18))]
    second = [cluster(1, "a", [*range(6), 10, 11], "a"), cluster(1, "b", range(12, 18), "b")]
    assert threads([diagnosis(*first), diagnosis(*second)]) == threads(
        [diagnosis(*reversed(first)), diagnosis(*reversed(second))]
    )


def test_the_demo_s_families_are_threads(unbroken: dict[str, Any]) -> None:
    run = RunFolder(Path(unbroken["run"]))
    rounds = diagnoses_of(run)
    found = lineage(run)
    for diagnosed in rounds:
        total = sum(item.failures for item in diagnosed.weaknesses)
        points = [point for thread in found for point in thread["rounds"] if point["round"] == diagnosed.round]
        assert sum(point["failures"] for point in points) == total
    alive = [thread for thread in found if thread["end"] is None]
    assert len(alive) == 4, "the four families the base does not know"
    for thread in alive:
        numbers = [point["failures"] for point in thread["rounds"]]
        assert len(numbers) == 3
        assert numbers == sorted(numbers, reverse=True)
        assert events(thread) == [["new"], ["shrunk"], ["shrunk"]]
