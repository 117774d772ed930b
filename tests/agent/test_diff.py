"""`diff R1 R2` on the scripted demo, against its diagnoses and attempts."""

import json
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.report.diff import diff, print_diff
from agent.report.facts import round_facts
from agent.report.lineage import diagnoses_of
from memory.errors import UsageError
from memory.store import RunFolder

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(unbroken: dict[str, Any]) -> RunFolder:
    return RunFolder(Path(unbroken["run"]))


def ids(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["id"] for entry in entries}


def test_problems_are_those_of_the_diagnoses(run: RunFolder) -> None:
    found = diff(run, 0, 2)
    rounds = {item.round: item for item in diagnoses_of(run)}
    failed = {at: {name for item in rounds[at].weaknesses for name in item.problem_ids} for at in (0, 2)}
    problems = found["problems"]
    assert ids(problems["solved"]) == failed[0] - failed[2]
    assert ids(problems["still_failing"]) == failed[0] & failed[2]
    assert ids(problems["regressions"]) == failed[2] - failed[0]
    assert problems["judged"] == len(round_facts(run, 0).attempts)
    for entry in problems["solved"]:
        assert entry["first"] != entry["answer"]
        assert entry["second"] == entry["answer"]


def test_backwards_what_was_solved_is_lost(run: RunFolder) -> None:
    there, back = diff(run, 0, 1)["problems"], diff(run, 1, 0)["problems"]
    assert there["solved"], "or the test says nothing"
    assert ids(back["regressions"]) == ids(there["solved"])
    assert ids(back["solved"]) == ids(there["regressions"])


def test_clusters_by_kind_of_change_over_two_rounds(run: RunFolder) -> None:
    found = diff(run, 0, 2)["clusters"]
    rounds = {item.round: item for item in diagnoses_of(run)}
    later = [entry for entry in found if entry["change"] != "gone"]
    assert ids(later) == {item.id for item in rounds[2].weaknesses}
    assert {entry["change"] for entry in later} == {"shrunk"}
    before = {item.id for item in rounds[0].weaknesses}
    for entry in later:
        (source,) = entry["from"]
        assert source["id"] in before
        assert source["label"] == entry["label"], "the families of the demo keep their words"
        assert source["failures"] > entry["failures"]
    gone = {source["id"] for entry in found if entry["change"] == "gone" for source in entry["from"]}
    assert gone == before - {source["id"] for entry in later for source in entry["from"]}


def test_regressions_come_first_and_hostile_text_is_harmless(run: RunFolder) -> None:
    found = diff(run, 1, 0)
    found["problems"]["regressions"][0] |= {"statement": "\x1b[31m\u202eevil\n\nclusters", "answer": "\x9b2J"}
    found["clusters"][0]["label"] = "\x1b]8;;http://x\x07[red]"
    out = StringIO()
    print_diff(found, Console(file=out, width=120, color_system=None), limit=3)
    text = out.getvalue()
    assert text.index("newly failing: ") < text.index("still failing: ") < text.index("\nclusters")
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "[red]" in text
    assert "more newly failing: --limit" in text


def test_wrong_rounds_are_usage_errors(cli: Cli, run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"round 7 has no diagnosis .*Diagnosed rounds: 0, 1, 2"):
        diff(run, 0, 7)
    done = cli("diff", "1", "1", "--run", run.path)
    assert done.returncode == 2
    assert "give two different ones" in done.stderr


def test_json_is_all_there_is_on_stdout(cli: Cli, run: RunFolder) -> None:
    done = cli("diff", "0", "1", "--run", run.path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["second"] == 1
