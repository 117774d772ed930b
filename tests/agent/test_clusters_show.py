"""`clusters`, `clusters show ID`: what is printed, what the JSON holds, and what happens to hostile text."""

import json
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from agent.cli import cli as command
from agent.report.cluster_detail import cluster_detail, print_cluster
from agent.report.facts import find_cluster, round_facts
from agent.report.lineage import diagnoses_of
from memory.errors import UsageError
from memory.store import RunFolder

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(unbroken: dict[str, Any]) -> RunFolder:
    return RunFolder(Path(unbroken["run"]))


def printed(found: dict[str, Any], limit: int = 10) -> str:
    out = StringIO()
    print_cluster(found, Console(file=out, width=100, color_system=None), limit)
    return out.getvalue()


def test_a_cluster_in_full(run: RunFolder) -> None:
    first = diagnoses_of(run)[0].weaknesses[0]
    found = cluster_detail(run, first.id[:12])
    assert found["id"] == first.id
    assert {entry["id"] for entry in found["failed"]} == set(first.problem_ids)
    for entry in found["failed"]:
        assert entry["statement"]
        assert entry["student"] != entry["answer"], "gold and student side by side, and they differ"
        assert entry["kind"] == "wrong"
    written = found["written"]
    assert written["drafted"] == written["accepted"] + sum(written["refused"].values())
    assert written["trained"] == found["budget"]
    assert all(entry["reason"] for entry in written["drafts"] if entry["accepted"] != "yes")


def test_the_effect_is_what_the_next_probe_says(run: RunFolder) -> None:
    first, second = diagnoses_of(run)[:2]
    still = {name for weakness in second.weaknesses for name in weakness.problem_ids}
    for weakness in first.weaknesses:
        after = cluster_detail(run, weakness.id)["after"]
        assert (after["round"], after["kept"], after["probed"]) == (1, True, weakness.failures)
        assert after["still_failing"] == len(still & set(weakness.problem_ids))
        assert after["solved"] + after["still_failing"] == after["probed"]


def test_the_last_round_was_not_probed_again(run: RunFolder) -> None:
    last = diagnoses_of(run)[-1]
    found = cluster_detail(run, last.weaknesses[0].id)
    assert found["after"]["round"] is None
    assert f"round {last.round} was the last: the problems were not probed again" in printed(found)
    assert {entry["next"] for entry in found["failed"]} == {None}


def test_refusals_of_the_whole_round_are_those_of_its_clusters(run: RunFolder) -> None:
    record = round_facts(run, 0).record
    assert record is not None
    refused: dict[str, int] = {}
    for weakness in diagnoses_of(run)[0].weaknesses:
        for reason, n in cluster_detail(run, weakness.id)["written"]["refused"].items():
            refused[reason] = refused.get(reason, 0) + n
    assert refused == record.refused


def test_wrong_ids_name_the_cure(run: RunFolder) -> None:
    for wrong, message in (("w-ffff", "Diagnosed rounds: 0, 1, 2"), ("w-", "give more of the id"), ("", "no cluster")):
        with pytest.raises(UsageError, match=message):
            cluster_detail(run, wrong)
    with pytest.raises(UsageError, match="round 9 has no diagnosis"):
        cluster_detail(run, "w-", 9)
    first = diagnoses_of(run)[0].weaknesses[0]
    with pytest.raises(UsageError, match="no cluster"):
        cluster_detail(run, first.id, 1)
    assert find_cluster(diagnoses_of(run), first.id, "run") == first


def test_both_forms_of_the_command(cli: Cli, run: RunFolder, tmp_path: Path) -> None:
    first = diagnoses_of(run)[0].weaknesses[0]
    shown = cli("clusters", "show", first.id[:10], "--run", run.path, "--limit", "2")
    assert shown.returncode == 0, shown.stderr
    assert f"... {first.failures - 2} more failed problems: --limit {first.failures} or --json" in shown.stdout
    table = cli("clusters", run.path, "--round", "2")
    assert table.returncode == 0
    assert "lineage: " in table.stdout
    (tmp_path / "show").symlink_to(run.path)
    assert cli("clusters", "./show", "--json", cwd=tmp_path).returncode == 0
    alone = cli("clusters", "show")
    assert alone.returncode == 2
    assert "Missing argument 'ID'" in alone.stderr


def test_clusters_carry_their_lineage_up_to_the_round(run: RunFolder) -> None:
    found = {}
    for at in (0, 2):
        done = CliRunner().invoke(command, ["clusters", str(run.path), "--round", str(at), "--json"])
        found[at] = json.loads(done.output)["clusters"]
    assert all("->" not in entry["lineage"] for entry in found[0])
    assert all(entry["lineage"].count("->") == 2 for entry in found[2])


def test_hostile_text_stays_text(run: RunFolder) -> None:
    found = cluster_detail(run, diagnoses_of(run)[0].weaknesses[0].id)
    evil = (
        "\x1b[2J\x1b]0;owned\x07<script>[bold]x[/bold]\u202egnp\nafter annealing\n  round 1 solves all" + "y" * 100_000
    )
    found |= {"label": evil, "misconception": evil, "note": evil}
    found["failed"][0] |= {"statement": evil, "answer": evil, "student": evil}
    found["written"]["drafts"][0] |= {"statement": evil, "answer": evil, "reason": evil, "evidence": evil}
    found["written"]["unread"] = [{"reason": evil, "evidence": evil}]
    found["written"]["refused"] = {evil: 1}
    out = printed(found)
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert "[bold]x[/bold]" in out, "not read as markup"
    assert "<script>" in out
    assert len(out) < 20_000
    assert sum(line.startswith("after annealing") for line in out.splitlines()) == 1, "no line of ours can be forged"
