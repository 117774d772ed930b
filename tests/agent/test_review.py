"""The review gate, round trip: what is decided about clusters and drafts is what the round goes on with."""

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from agent.allocate import largest_remainder
from agent.report.drafts import round_funnel
from agent.report.status import status
from agent.report.story import story
from agent.review.desk import apply_waiting, prepare, submit_file
from agent.review.gate import Gate
from agent.review.pending import pending
from agent.review.submit import default_author, submit
from memory.errors import StoreError, UsageError
from memory.records import Allocation, CheckOutcome, Diagnosis, DraftBatch, Mixture, RoundRecord, Verdict
from memory.reviews import ClusterDecision, DraftDecision, Point, ReviewRecord
from memory.store import RunFolder
from tests.agent.review_runs import artifacts, go, listen, records, waiting

TWO_ROUNDS = ("loop.max_rounds=2",)
#: A check that a person may overrule: the scripted student finds some drafts too easy and some too hard.
SOFT = ("loop.max_rounds=1", "verify.verifiers=[algebra, duplicate, contamination, difficulty]")


@pytest.fixture(scope="module")
def at_clusters(demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that waits after its first diagnosis. Copy it."""
    folder = tmp_path_factory.mktemp("clusters") / "run"
    assert go(demo_config, folder, "diagnose", overrides=TWO_ROUNDS)
    return folder


@pytest.fixture(scope="module")
def at_drafts(demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one round that waits after its drafts are verified. Copy it."""
    folder = tmp_path_factory.mktemp("drafts") / "run"
    assert go(demo_config, folder, "verify", overrides=SOFT)
    return folder


def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "run"))


def test_a_paused_run_says_what_it_waits_for(at_clusters: Path) -> None:
    run = RunFolder(at_clusters)
    found = waiting(at_clusters)
    assert (found.round, found.point, len(found.clusters), found.drafts) == (0, Point.DIAGNOSE, 6, ())
    assert sum(item.planned or 0 for item in found.clusters) == found.budget == 100
    assert all(item.examples[0].student != item.examples[0].answer for item in found.clusters)
    assert [item.id for item in found.decisions.clusters] == [item.id for item in found.clusters]
    seen = status(run)
    assert (seen["state"], seen["stop_reason"]) == ("paused", "review")
    assert seen["review"] == {"round": 0, "point": "diagnose", "file": None}
    paused = run.events()[-1]
    assert (paused["event"], paused["reason"], paused["point"]) == ("run.paused", "review", "diagnose")
    assert run.marker("round-00", "allocate") is None


def test_drop_merge_rename_weight_and_note(
    demo_config: Path, at_clusters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(at_clusters, tmp_path)
    asked = listen(monkeypatch)
    found = waiting(folder)
    big, second, third, fourth, dropped, small = (item.id for item in found.clusters)
    path = prepare(RunFolder(folder), found)
    text = path.read_text(encoding="utf-8")
    for name, old, new in (
        (dropped, "action: keep", "action: drop"),
        (small, "action: keep", f"action: merge\n    into: {second}"),
        (third, "weight: 1", "weight: 2.5"),
        (big, 'note: ""', "note: |\n      Metres, please.\n      Not feet: 3 % fail there."),
        (fourth, "label: ", "label: Buying tickets #"),
    ):
        head, sign, tail = text.partition(f'id: "{name}"')
        assert sign
        text = head + sign + tail.replace(old, new, 1)
    path.write_text(text.replace('comment: ""', "comment: first look"), encoding="utf-8")
    record = submit_file(folder, path, "Ada <ada@example.org>")
    assert pending(RunFolder(folder)) is None
    assert not path.exists()
    assert not go(demo_config, folder, "none", overrides=TWO_ROUNDS)

    (stored,) = records(folder, "round-00", "review-diagnose", ReviewRecord)
    assert stored == record
    assert (stored.author, stored.decisions.comment) == ("Ada <ada@example.org>", "first look")
    assert stored.time.endswith("+00:00")
    (diagnosis,) = records(folder, "round-00", "diagnose", Diagnosis)
    was = {item.id: item for item in diagnosis.weaknesses}
    (plan,) = records(folder, "round-00", "allocate", Allocation)
    got = {item.weakness_id: item.n for item in plan.allotments}
    assert got.keys() == {big, second, third, fourth}
    failures = {name: was[name].failures for name in got}
    failures[second] += was[small].failures
    claims = {name: Fraction(n) for name, n in failures.items()}
    claims[third] *= Fraction(5, 2)
    names = sorted(got, key=lambda name: (-failures[name], name))
    assert [got[name] for name in names] == largest_remainder([claims[name] for name in names], names, 100)

    of = {name: [request for request in asked if request.weakness_id == name] for name in got}
    first_round = [request for name in got for request in of[name]]
    assert {request.note for request in of[big]} == {"Metres, please.\nNot feet: 3 % fail there."}
    assert all(request.note is None for name in (second, third, fourth) for request in of[name])
    assert {request.label for request in of[fourth]} == {"Buying tickets"}
    shown = {name for request in of[second] for name in request.parents}
    assert shown & set(was[small].problem_ids)
    assert shown <= {*was[second].problem_ids, *was[small].problem_ids}
    assert not {name for request in first_round for name in request.parents} & set(was[dropped].problem_ids)

    (later,) = records(folder, "round-01", "diagnose", Diagnosis)  # matched with the clusters as they were found
    assert {item.parent for item in later.weaknesses if item.parent} <= was.keys()
    assert any(item.parent == big for item in later.weaknesses)
    (review,) = story(RunFolder(folder))["rounds"][0]["reviews"]
    assert f"dropped {dropped}" in review["changes"]
    assert f"merged {small} into {second}" in review["changes"]
    assert len(review["changes"]) == 5


def test_approving_changes_nothing(demo_config: Path, at_clusters: Path, tmp_path: Path) -> None:
    folder = copy(at_clusters, tmp_path)
    plain = tmp_path / "plain"
    assert not go(demo_config, plain, overrides=TWO_ROUNDS)
    pauses = 0
    while pending(RunFolder(folder)) is not None:
        pauses += 1
        submit(folder, waiting(folder).decisions, default_author())
        go(demo_config, folder, "diagnose", "verify", overrides=TWO_ROUNDS)
    assert pauses == 4  # two rounds, two points each
    assert artifacts(folder) == artifacts(plain)
    assert len(RunFolder(folder).artifacts()) == len(artifacts(plain)) + pauses
    assert status(RunFolder(folder))["state"] == "finished"


def test_veto_and_accept_by_hand(demo_config: Path, at_drafts: Path, tmp_path: Path) -> None:
    folder = copy(at_drafts, tmp_path)
    found = waiting(folder)
    assert found.point is Point.VERIFY
    accepted = [item for item in found.drafts if item.accepted]
    soft = [item for item in found.drafts if not item.accepted and item.objection is None]
    assert {item.reason for item in soft} <= {"difficulty:too_easy", "difficulty:too_hard"}
    assert len(accepted) > 3
    assert len(soft) > 1
    vetoed, chosen = accepted[0].id, soft[0].id
    path = prepare(RunFolder(folder), found)
    text = path.read_text(encoding="utf-8")
    for name, action in ((vetoed, "veto"), (chosen, "accept")):
        text = text.replace(f'id: "{name}"\n    action: keep', f'id: "{name}"\n    action: {action}')
    path.write_text(text, encoding="utf-8")
    with RunFolder(folder) as run:
        record = apply_waiting(run, "Bea")
    assert record is not None
    assert [item.action for item in record.decisions.drafts] == [
        {vetoed: "veto", chosen: "accept"}[name] for name in sorted((vetoed, chosen))
    ]
    assert not go(demo_config, folder, overrides=SOFT)

    steps = [f"draft{suffix}" for suffix in ("", "-1", "-2")]
    drafts = {
        draft.id: draft
        for step in steps
        for batch in records(folder, "round-00", step, DraftBatch)
        for draft in batch.drafts
    }
    (mixture,) = records(folder, "round-00", "mix", Mixture)
    trained = {item.problem_id for item in mixture.items}
    assert drafts[vetoed].problem.id not in trained
    assert drafts[chosen].problem.id in trained
    (done,) = records(folder, "round-00", "round", RoundRecord)
    assert done.accepted == len(accepted)
    assert done.refused["review:veto"] == 1
    rows = round_funnel(RunFolder(folder), "round-00")
    assert rows is not None
    assert rows[-2] == {
        "name": "review", "entered": len(accepted) + 1, "left": len(accepted), "abstained": len(accepted) - 1,
        "reasons": {"veto": 1},
    }  # fmt: skip
    assert rows[-1]["left"] == done.accepted
    stored = [verdict for step in ("verify", "verify-1") for verdict in records(folder, "round-00", step, Verdict)]
    assert not any(check.verifier == "review" for verdict in stored for check in verdict.checks)  # never rewritten


def test_a_copy_of_a_measured_problem_is_never_accepted_by_hand(at_drafts: Path, tmp_path: Path) -> None:
    folder = copy(at_drafts, tmp_path)
    found = waiting(folder)
    copies = [item for item in found.drafts if item.reason.startswith("contamination")]
    assert copies
    for item in copies:
        assert (item.statement, item.solution, item.answer, item.withheld) == ("", None, "", True)
        assert all(check.evidence == "" for check in item.checks)
        assert any(check.outcome is CheckOutcome.FAIL for check in item.checks)
    asked = found.decisions.model_copy(update={"drafts": (DraftDecision(id=copies[0].id, action="accept"),)})
    with pytest.raises(
        UsageError, match=r"can't be accepted by hand: contamination:.*copies a problem that is measured"
    ):
        submit(folder, asked, "Bea")
    assert pending(RunFolder(folder)) == found


def test_a_decision_stands(demo_config: Path, at_clusters: Path, tmp_path: Path) -> None:
    folder = copy(at_clusters, tmp_path)
    found = waiting(folder)
    with RunFolder(folder), pytest.raises(StoreError, match="is being written by process"):
        submit(folder, found.decisions, "Ada")
    drop = ClusterDecision(id=found.clusters[0].id, action="drop")
    submit(folder, found.decisions.model_copy(update={"clusters": (drop,)}), "Ada")
    with pytest.raises(UsageError, match=r"was decided by Ada at .* which stands"):
        submit(folder, found.decisions, "Bea")
    assert go(demo_config, folder, overrides=TWO_ROUNDS)  # the choice to pause is kept
    assert waiting(folder).round == 1
    stale = waiting(folder).decisions.model_copy(update={"state": found.state})
    with pytest.raises(UsageError, match="made for other clusters than the run waits with now"):
        submit(folder, stale, "Ada")


def test_a_run_that_has_gone_on_is_not_stopped_behind(demo_config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert not go(demo_config, folder, overrides=("loop.max_rounds=1",))
    before = RunFolder(folder).artifacts()
    assert not go(demo_config, folder, "diagnose", "verify", overrides=("loop.max_rounds=1",))
    assert RunFolder(folder).artifacts() == before


def test_ending_a_paused_run(demo_config: Path, at_clusters: Path, tmp_path: Path) -> None:
    folder = copy(at_clusters, tmp_path)
    assert not go(demo_config, folder, overrides=TWO_ROUNDS, finish=True)
    assert pending(RunFolder(folder)) is None
    assert status(RunFolder(folder))["state"] == "finished"


def test_a_damaged_choice_is_told(at_clusters: Path, tmp_path: Path) -> None:
    folder = copy(at_clusters, tmp_path)
    (folder / "review" / "gate.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match=r"gate\.json is damaged"):
        Gate.opened(RunFolder(folder))
    with pytest.raises(UsageError, match="none stands beside another point"):
        Gate.opened(RunFolder(folder), ("none", "verify"))
