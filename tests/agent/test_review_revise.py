"""What decisions mean: merging, weighting, vetoing and accepting, as pure functions."""

import pytest

from agent.allocate import allocate
from agent.review.overrule import objection
from agent.review.revise import by_hand, revise_diagnosis, revise_verdicts, vetoed
from agent.round import after_review, within_quota
from eval.stats import wilson
from memory.records import (
    Accepted,
    Check,
    CheckOutcome,
    Diagnosis,
    Draft,
    Problem,
    Split,
    Trend,
    Verdict,
    Weakness,
)
from memory.reviews import ClusterDecision, Decisions, DraftDecision, Point


def weakness(name: str, members: str, n: int, before: int | None = None, **more: object) -> Weakness:
    low, high = wilson(len(members), n)
    fields = {
        "id": name, "round": 1, "label": f"label {name}", "keyphrases": (name, "shared"), "n": n,
        "problem_ids": tuple(f"p-{letter}" for letter in members), "failures": len(members), "low": low, "high": high,
        "failure_rate": len(members) / n, "stability": 0.9, "parent": None if before is None else f"old-{name}",
        "parent_failures": before, "trend": Trend.NEW if before is None else Trend.SHRUNK,
    }  # fmt: skip
    return Weakness.model_validate({**fields, **more})


FOUND = Diagnosis(
    round=1, triage={"wrong": 9}, k=3, k_rule="3", stability=0.9,
    weaknesses=(weakness("w-1", "abcd", 10, 8), weakness("w-2", "efg", 20, 4, note="gold answer suspect: p-e"),
                weakness("w-3", "hi", 5)),
)  # fmt: skip


def clusters(*items: ClusterDecision) -> Decisions:
    return Decisions(round=1, point=Point.DIAGNOSE, state="s", clusters=items)


def test_nothing_decided_is_the_same_object() -> None:
    assert revise_diagnosis(FOUND, None)[0] is FOUND
    assert revise_diagnosis(FOUND, clusters())[0] is FOUND


def test_merging_adds_up_through_a_chain() -> None:
    chain = clusters(
        ClusterDecision(id="w-1", action="merge", into="w-2"), ClusterDecision(id="w-2", action="merge", into="w-3"),
        ClusterDecision(id="w-3", label="all", weight=2.0),
    )  # fmt: skip
    revised, steering = revise_diagnosis(FOUND, chain)
    (only,) = revised.weaknesses
    assert (only.id, only.label, only.n, only.failures) == ("w-3", "all", 35, 9)
    assert only.problem_ids == tuple(f"p-{letter}" for letter in "abcdefghi")
    assert (only.low, only.high) == wilson(9, 35)
    assert only.failure_rate == 9 / 35
    assert only.keyphrases == ("w-3", "shared", "w-1", "w-2")
    assert (only.stability, only.parent_failures, only.trend) == (None, 12, Trend.NEW)
    assert only.note == "gold answer suspect: p-e"
    assert steering.weights == {"w-3": 2.0}
    into_first, _ = revise_diagnosis(FOUND, clusters(ClusterDecision(id="w-2", action="merge", into="w-1")))
    assert [(item.id, item.trend, item.parent_failures) for item in into_first.weaknesses] == [
        ("w-1", Trend.SHRUNK, 12), ("w-3", Trend.NEW, None),
    ]  # fmt: skip
    assert into_first.weaknesses[1] is FOUND.weaknesses[2]


def test_a_circle_is_never_followed_forever() -> None:
    circle = clusters(
        ClusterDecision(id="w-1", action="merge", into="w-2"), ClusterDecision(id="w-2", action="merge", into="w-1")
    )
    with pytest.raises(ValueError, match="in a circle"):
        revise_diagnosis(FOUND, circle)


def test_weights_multiply_claims_exactly() -> None:
    def split(weights: dict[str, float] | None) -> list[int]:
        plan = allocate(
            FOUND.weaknesses, method="uniform", budget=30, strategy="targeted", round_index=1, min_per_cluster=0,
            weights=weights,
        )  # fmt: skip
        return [item.n for item in plan.allotments]

    assert split(None) == split({}) == split({"w-1": 1.0}) == [10, 10, 10]
    assert split({"w-1": 0.1, "w-2": 0.2}) == [2, 5, 23]  # 30 x 1/13, 2/13, 10/13
    assert split({"w-1": 4.0}) == [20, 5, 5]


def verdict(*checks: tuple[str, CheckOutcome, str], accepted: Accepted = Accepted.NO, clean: bool = True) -> Verdict:
    all_checks = [*checks, ("contamination", CheckOutcome.PASS, "")] if clean else list(checks)
    made = tuple(Check(verifier=a, version="1", outcome=b, reason=c) for a, b, c in all_checks)
    return Verdict(draft_id="d-1", accepted=accepted, checks=made)


FAIL, PASS, ABSTAIN = CheckOutcome.FAIL, CheckOutcome.PASS, CheckOutcome.ABSTAIN


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (verdict(("difficulty", FAIL, "too_easy")), None),
        (verdict(("agreement", FAIL, "scattered"), ("second_family", FAIL, "other_answer")), None),
        (verdict(("duplicate", FAIL, "near_template")), None),
        (verdict(("algebra", ABSTAIN, "units"), accepted=Accepted.UNDECIDED), None),
        (verdict(("duplicate", FAIL, "same_text")), "trained on already"),
        (verdict(("duplicate", FAIL, "renamed")), "trained on already"),
        (verdict(("algebra", FAIL, "false_equation")), "wrong by exact arithmetic"),
        (verdict(("difficulty", FAIL, "too_easy"), ("algebra", FAIL, "box_differs")), "wrong by exact arithmetic"),
        (verdict(("contamination", FAIL, "near_template"), clean=False), "copies a problem that is measured"),
        (verdict(("contamination", ABSTAIN, ""), clean=False), "has not compared it"),
        (verdict(("difficulty", FAIL, "too_easy"), clean=False), "has not compared it"),
        (verdict(("own", FAIL, "x")), "cannot be overruled"),
    ],
)
def test_what_a_person_may_overrule(found: Verdict, why: str | None) -> None:
    said = objection(found)
    assert (said is None) if why is None else (said is not None and why in said)


def test_vetoed_and_accepted_verdicts_keep_their_checks() -> None:
    good = verdict(("algebra", PASS, ""), accepted=Accepted.YES)
    hard = verdict(("difficulty", FAIL, "too_hard")).model_copy(update={"draft_id": "d-2", "missing": ("independent",)})
    asked = Decisions(
        round=1, point=Point.VERIFY, state="s",
        drafts=(DraftDecision(id="d-1", action="veto"), DraftDecision(id="d-2", action="accept")),
    )  # fmt: skip
    first, second = revise_verdicts([good, hard], asked)
    assert (first.accepted, first.reason, vetoed(first), by_hand(first)) == (Accepted.NO, "review:veto", True, False)
    assert first.checks[:-1] == good.checks
    assert (second.accepted, second.reason, vetoed(second), by_hand(second)) == (Accepted.YES, "", False, True)
    assert [(check.outcome, check.reason) for check in second.checks] == [
        (ABSTAIN, "too_hard_overruled"), (PASS, ""), (PASS, "accepted_by_hand"),
    ]  # fmt: skip
    assert second.missing == ()
    assert revise_verdicts([good, hard], None) == [good, hard]
    wrong = verdict(("algebra", FAIL, "false_equation")).model_copy(update={"draft_id": "d-2"})
    with pytest.raises(ValueError, match="cannot be overruled"):
        revise_verdicts([wrong], asked)


def test_vetoed_drafts_stay_known_and_chosen_ones_come_first() -> None:
    drafts = [
        Draft.make(
            problem=Problem.make(f"What is {at}+1?", str(at + 1), source="t", split=Split.SYNTHETIC), prompt_hash="h",
            weakness_id="w-1", strategy="targeted", teacher="t", seed=0,
        )
        for at in range(6)
    ]  # fmt: skip
    drafts.sort(key=lambda item: item.id)
    words = [Accepted.YES] * 4 + [Accepted.NO] * 2
    checks = (Check(verifier="difficulty", version="1", outcome=FAIL, reason="too_easy"),)
    verdicts = [
        Verdict(draft_id=draft.id, accepted=word, checks=() if word is Accepted.YES else checks)
        for draft, word in zip(drafts, words, strict=True)
    ]
    actions = (DraftDecision(id=drafts[0].id, action="veto"), DraftDecision(id=drafts[5].id, action="accept"))
    reviewed = revise_verdicts(verdicts, Decisions(round=1, point=Point.VERIFY, state="s", drafts=actions))
    accepted, known = after_review(drafts, reviewed)
    assert accepted == [*drafts[1:4], drafts[5]]
    assert known == [*drafts[:4], drafts[5]]
    first = {found.draft_id for found in reviewed if by_hand(found)}
    assert within_quota(accepted, {"w-1": 2}, first) == (drafts[5].problem, drafts[1].problem)
    assert within_quota(accepted, {"w-1": 2}) == (drafts[1].problem, drafts[2].problem)
