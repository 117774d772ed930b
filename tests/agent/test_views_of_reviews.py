"""What clusters show, show and export say of a run in which a person decided something."""

from pathlib import Path
from typing import Any

import pytest

from agent.export.gather import gather
from agent.report.cluster_detail import cluster_detail
from agent.report.lineage import diagnoses_of
from agent.report.show import show
from agent.review.submit import submit
from memory.records import CheckOutcome, DraftBatch, Verdict
from memory.reviews import ClusterDecision, Decisions, DraftDecision, Point
from memory.store import RunFolder
from tests.agent.review_runs import go, records, waiting

#: The scripted student finds some drafts too easy, a check that a person may overrule.
SOFT = ("loop.max_rounds=1", "verify.verifiers=[algebra, duplicate, contamination, difficulty]", "decide.keep=always")


@pytest.fixture(scope="module")
def reviewed(demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of one round: a cluster dropped, another renamed with a note, one draft vetoed and one accepted by hand."""
    folder = tmp_path_factory.mktemp("reviewed") / "run"
    assert go(demo_config, folder, "diagnose", "verify", overrides=SOFT)
    at = waiting(folder)
    dropped, noted = at.clusters[0].id, at.clusters[1].id
    changes = (ClusterDecision(id=dropped, action="drop"), ClusterDecision(id=noted, label="squares", note="carry"))
    submit(folder, Decisions(round=0, point=Point.DIAGNOSE, state=at.state, clusters=changes), "Ada")
    assert go(demo_config, folder, "diagnose", "verify", overrides=SOFT)
    verdicts = [
        item for step in ("verify", "verify-1", "verify-2") for item in records(folder, "round-00", step, Verdict)
    ]
    vetoed = next(item.draft_id for item in verdicts if item.accepted.value == "yes")
    soft = next(item.draft_id for item in verdicts
                if [check.verifier for check in item.checks if check.outcome is CheckOutcome.FAIL] == ["difficulty"]
                and not item.missing)  # fmt: skip
    words = (DraftDecision(id=vetoed, action="veto"), DraftDecision(id=soft, action="accept"))
    submit(folder, Decisions(round=0, point=Point.VERIFY, state=waiting(folder).state, drafts=words), "Ada")
    assert not go(demo_config, folder, "diagnose", "verify", overrides=SOFT)
    return {"run": RunFolder(folder), "dropped": dropped, "noted": noted, "vetoed": vetoed, "soft": soft}


def test_a_cluster_says_what_was_decided_about_it(reviewed: dict[str, Any]) -> None:
    dropped = cluster_detail(reviewed["run"], reviewed["dropped"])
    assert (dropped["review"]["author"], dropped["review"]["action"]) == ("Ada", "drop")
    assert (dropped["budget"], dropped["written"]["drafted"]) == (0, 0)
    noted = cluster_detail(reviewed["run"], reviewed["noted"])
    assert (noted["review"]["label"], noted["review"]["note"]) == ("squares", "carry")
    others = [item.id for item in diagnoses_of(reviewed["run"])[0].weaknesses]
    assert len(others) == 6, "what is dropped still fails"


def test_a_lineage_ends_where_a_person_ended_it(reviewed: dict[str, Any]) -> None:
    vetoed = show(reviewed["run"], reviewed["vetoed"])["lineage"]
    assert vetoed[-1]["what"] == "checks"
    assert vetoed[-1]["records"][0]["reason"] == "review:veto"
    accepted = show(reviewed["run"], reviewed["soft"])["lineage"]
    assert [step["what"] for step in accepted][-2:] == ["mixture", "adapter"]


def test_exports_hold_what_was_trained_on(reviewed: dict[str, Any]) -> None:
    run = reviewed["run"]
    problem = {draft.id: draft.problem.id for step in ("draft", "draft-1", "draft-2")
               for batch in records(run.path, "round-00", step, DraftBatch) for draft in batch.drafts}  # fmt: skip
    exported = {row.problem.id for row in gather(run).rows}
    assert problem[reviewed["soft"]] in exported
    assert problem[reviewed["vetoed"]] not in exported
