"""`show ID`: the lineage of every kind of record, in order, and no more parsed than needed."""

import json
import re
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.report.facts import round_facts
from agent.report.lineage import diagnoses_of
from agent.report.show import STEPS, show
from agent.report.show_view import print_record
from agent.report.trail import Trail
from memory.errors import UsageError
from memory.ids import canonical_json
from memory.records import Accepted, Attempt, Finish, Outcome
from memory.store import RunFolder


@pytest.fixture(scope="module")
def run(unbroken: dict[str, Any]) -> RunFolder:
    return RunFolder(Path(unbroken["run"]))


def steps(found: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(step["what"], step["round"]) for step in found["lineage"]]


def records(found: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [entry for step in found["lineage"] if step["what"] == what for entry in step["records"]]


def drafts(run: RunFolder, accepted: bool) -> list[Any]:
    facts = round_facts(run, 0)
    trained = {item.problem_id for item in facts.mixture.items} if facts.mixture else set()
    return [
        draft
        for batch in facts.batches
        for draft in batch.drafts
        if (facts.verdicts[draft.id].accepted is Accepted.YES) is accepted
        and (not accepted or draft.problem.id in trained)
    ]


def test_a_trained_draft_goes_from_problem_to_adapter(run: RunFolder) -> None:
    draft = drafts(run, accepted=True)[0]
    found = show(run, draft.id)
    assert steps(found) == [("problem", None), *((what, 0) for what in STEPS[1:])]
    assert {entry["id"] for entry in records(found, "problem")} == set(draft.problem.parents)
    assert {entry["problem_id"] for entry in records(found, "attempt")} == set(draft.problem.parents)
    assert {entry["outcome"] for entry in records(found, "attempt")} == {"wrong"}
    assert [entry["id"] for entry in records(found, "cluster")] == [draft.weakness_id]
    (verdict,) = records(found, "checks")
    assert (verdict["draft_id"], verdict["accepted"]) == (draft.id, "yes")
    (mixture,) = records(found, "mixture")
    (position,) = mixture["positions"]
    whole = round_facts(run, 0).mixture
    assert whole is not None
    assert whole.items[position].problem_id == draft.problem.id
    (adapter,) = records(found, "adapter")
    assert (adapter["path"], adapter["kept"], adapter["final"]) == ("round-00/adapter", True, False)


def test_a_refused_draft_ends_at_its_checks(run: RunFolder) -> None:
    draft = drafts(run, accepted=False)[0]
    found = show(run, draft.id)
    assert steps(found)[-1] == ("checks", 0)
    assert records(found, "checks")[0]["reason"].startswith("contamination:")


def test_a_practice_problem_is_found_inside_its_draft(run: RunFolder) -> None:
    draft = drafts(run, accepted=True)[0]
    found = show(run, draft.problem.id)
    assert found["record"]["statement"] == draft.problem.statement
    assert found["place"] == "round-00/draft"
    assert steps(found)[-1] == ("adapter", 0)


def test_a_probe_problem_over_all_rounds(run: RunFolder) -> None:
    last = diagnoses_of(run)[-1]
    name = last.weaknesses[0].problem_ids[0]
    found = show(run, name)
    assert (found["kind"], found["place"], found["record"]["split"]) == ("problem", "base/data", "probe")
    attempts = [entry["place"] for entry in records(found, "attempt")]
    assert attempts == ["round-00/probe", "round-01/probe", "round-02/probe"]
    assert all(name in entry["problem_ids"] for entry in records(found, "cluster"))
    assert all(name in entry["problem"]["parents"] for entry in records(found, "draft"))


def test_an_attempt_leads_to_its_round_only(run: RunFolder) -> None:
    attempt = records(show(run, diagnoses_of(run)[1].weaknesses[0].problem_ids[0]), "attempt")[1]
    found = show(run, attempt["id"])
    assert found["record"]["text"] == attempt["text"]
    assert {step["round"] for step in found["lineage"]} == {None, 1}
    assert [entry["id"] for entry in records(found, "attempt")] == [attempt["id"]]


def test_cluster_mixture_and_adapter(run: RunFolder) -> None:
    facts = round_facts(run, 0)
    weakness = diagnoses_of(run)[0].weaknesses[0]
    of_cluster = show(run, weakness.id)
    assert {entry["id"] for entry in records(of_cluster, "problem")} == set(weakness.problem_ids)
    assert all(entry["weakness_id"] == weakness.id for entry in records(of_cluster, "draft"))
    assert facts.mixture is not None
    of_mixture = show(run, facts.mixture.id)
    assert len(records(of_mixture, "draft")) == facts.mixture.counts["new"]
    adapter = show(run, records(of_mixture, "adapter")[0]["id"])
    assert adapter["kind"] == "adapter"
    assert [step["what"] for step in adapter["lineage"]] == list(STEPS)
    assert len(records(adapter, "checks")) == facts.mixture.counts["new"]


def test_problems_without_text_say_why(run: RunFolder) -> None:
    mixture = round_facts(run, 0).mixture
    assert mixture is not None
    replay = next(item.problem_id for item in mixture.items if item.origin.value == "replay")
    found = show(run, replay)
    assert found["record"] is None
    assert "problem of the replay" in found["note"]
    assert steps(found)[0] == ("mixture", 0)
    tested = re.search(r'"problem_id":"(p-[0-9a-f]{16})"', run.read("final", "test")[0])
    assert tested
    assert "sealed test" in show(run, tested[1])["note"]


def test_ids_in_a_model_s_text_are_no_records(run: RunFolder) -> None:
    trail = Trail(run)
    said = 'see "d-ffffffffffffffff" and "d-ffffffffffffffff'
    attempt = Attempt.make(
        problem_id="p-" + "1" * 16, student="s", sample_index=0, seed=0, text=said, n_tokens=1, finish=Finish.STOP,
        outcome=Outcome.WRONG,
    )  # fmt: skip
    trail._lines["round-00", "probe"] = [canonical_json(attempt.model_dump(mode="json"))]
    assert trail.resolve(attempt.id[:8]) == attempt.id
    with pytest.raises(UsageError, match="has no record"):
        trail.resolve("d-fffffffff")


def test_hostile_text_on_the_terminal(run: RunFolder) -> None:
    found = show(run, drafts(run, accepted=True)[0].id)
    evil = "\x1b[2J\u202e[bold]\nlineage\nproblem"
    found["record"]["teacher"] = evil
    for step in found["lineage"]:
        for entry in step["records"]:
            for key in ("statement", "answer", "label", "reason", "teacher", "decision", "extracted"):
                if key in entry:
                    entry[key] = evil
    out = StringIO()
    print_record(found, Console(file=out, width=100, color_system=None))
    text = out.getvalue()
    assert not set(text) & {"\x1b", "\u202e"}
    assert "[bold]" in text
    assert sum(line == "lineage" for line in text.splitlines()) == 1


def test_forty_thousand_records_are_not_parsed(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = RunFolder(tmp_path / "big")
    (draft,) = drafts(run, accepted=True)[:1]
    for stage in ("base", "round-00"):
        for marker in sorted((run.path / stage).glob("*.done")):
            step = marker.name.removesuffix(".done")
            lines = run.read(stage, step)
            if step == "probe":
                record = json.loads(lines[0])
                lines += [
                    canonical_json(record | {"id": f"a-{at:016x}", "problem_id": f"p-{at:016x}"})
                    for at in range(40_000)
                ]
            big.begin(stage, step)
            big.commit(stage, step, inputs="", seed=0, lines=lines)
    parsed = []
    real = Attempt.model_validate_json
    monkeypatch.setattr(Attempt, "model_validate_json", lambda line: (parsed.append(line), real(line))[1])
    started = time.process_time()
    found = show(big, draft.id)
    seconds = time.process_time() - started
    assert steps(found)[0] == ("problem", None)
    assert len(parsed) == len(draft.problem.parents)
    assert seconds < 5
