"""The funnel adds up, whatever was asked or not."""

from memory.records import Check, CheckOutcome, Draft, DraftBatch, Problem, Refusal, Split
from synthesis.verification.funnel import as_text, funnel
from synthesis.verification.policy import judge

PASS, FAIL, ABSTAIN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.ABSTAIN


class Scripted:
    version = fingerprint = "1"

    def __init__(self, name: str, words: dict[str, CheckOutcome], independent: bool, costly: bool) -> None:
        self.name, self.words, self.independent, self.costly = name, words, independent, costly
        self.judges_answer = independent
        self.seen: list[str] = []

    def check(self, drafts: list[Draft]) -> list[Check]:
        self.seen += [item.problem.answer for item in drafts]
        outcomes = [self.words.get(item.problem.answer, PASS) for item in drafts]
        return [
            Check(verifier=self.name, version="1", outcome=word, reason=f"not_{self.name}" if word is FAIL else "")
            for word in outcomes
        ]


def draft(answer: str) -> Draft:
    problem = Problem.make(f"q{answer}", answer, source="t", split=Split.SYNTHETIC)
    return Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)


def test_rows_from_replies_to_accepted() -> None:
    drafts = [draft(str(n)) for n in range(6)]
    refusals = tuple(
        Refusal(request_id="q", strategy="s", weakness_id="w", reason=reason, evidence="")
        for reason in ("not_json", "no_box", "no_box")
    )
    batches = [DraftBatch(drafts=tuple(drafts[:2]), refusals=refusals), DraftBatch(drafts=tuple(drafts[2:]))]
    algebra = Scripted("algebra", {"0": FAIL, "1": FAIL, "2": ABSTAIN, "5": ABSTAIN}, True, False)
    agreement = Scripted("agreement", {"3": FAIL, "1": FAIL}, False, True)
    second = Scripted("second_family", {"2": FAIL, "5": ABSTAIN}, True, True)
    verdicts = judge(drafts, [agreement, algebra, second])
    assert agreement.seen == ["2", "3", "4", "5"]
    assert second.seen == ["2", "4", "5"]
    stages = funnel(batches, verdicts)
    assert [(stage.name, stage.entered, stage.left, stage.reasons) for stage in stages] == [
        ("read", 9, 6, {"no_box": 2, "not_json": 1}),
        ("agreement", 6, 5, {"not_agreement": 1}),
        ("algebra", 5, 3, {"not_algebra": 2}),
        ("second_family", 3, 2, {"not_second_family": 1}),
        ("policy", 2, 1, {"no_independent_check": 1}),
    ]
    assert all(stage.entered - stage.left == sum(stage.reasons.values()) for stage in stages)
    assert as_text(stages).splitlines()[2] == "| read | 9 | 6 | 0 | no_box 2, not_json 1 |"


def test_an_empty_round_has_a_funnel_too() -> None:
    assert [(stage.name, stage.entered, stage.left) for stage in funnel([], [])] == [("read", 0, 0), ("policy", 0, 0)]
