"""Agreement, second family and difficulty: shares, reasons, hostile answers, failed requests, and what is paid for."""

import pytest

from eval.answers import compare
from eval.engines.base import Messages, Sample, Sampling
from eval.engines.scripted import ScriptedEngine
from memory.errors import ConfigError, EngineError
from memory.ledger import Usage
from memory.records import Check, CheckOutcome, Draft, Finish, Problem, Split
from synthesis.prompting import Prompts
from synthesis.verification.agreement import Agreement
from synthesis.verification.difficulty import Difficulty
from synthesis.verification.second_family import SecondFamily

PASS, FAIL, ABSTAIN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.ABSTAIN


def draft(statement: str = "What is 2 + 3?", answer: str = "5") -> Draft:
    problem = Problem.make(
        statement, answer, solution=f"It is 2+3=5. \\boxed{{{answer}}}", source="t", split=Split.SYNTHETIC
    )
    return Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)


class Engine(ScriptedEngine):
    """Gives the samples in turn, to whoever asks; remembers the prompts."""

    def __init__(self, *samples: str | Sample) -> None:
        self.asked: list[list[Messages]] = []

        def answer(messages: Messages, sampling: Sampling, index: int) -> Sample:
            found = samples[index % len(samples)]
            return found if isinstance(found, Sample) else Sample(found, 3, Finish.STOP, Usage(completion_tokens=3))

        super().__init__(answer, f"e{samples}")

    def generate(self, prompts, sampling, progress=None):  # type: ignore[no-untyped-def]
        self.asked.append(list(prompts))
        return super().generate(prompts, sampling, progress)


def equal(answer: str, gold: str) -> bool:
    return compare(answer, gold) is True


def agree(*samples: str | Sample, claimed: str = "5", **settings: object) -> Check:
    settings = {"num_samples": len(samples), **settings}
    (check,) = Agreement(Engine(*samples), Prompts(), grade=equal, **settings).check([draft(answer=claimed)])  # type: ignore[arg-type]
    return check


RIGHT, WRONG = "So \\boxed{5}", "So \\boxed{6}"
CUT = Sample("So \\boxed{5}", 9, Finish.LENGTH)
FAILED = Sample("", 0, Finish.ERROR, error="503")


@pytest.mark.parametrize(
    ("samples", "outcome", "reason"),
    [
        ([RIGHT] * 4, PASS, ""),
        ([RIGHT] * 3 + [WRONG], PASS, ""),
        ([RIGHT] * 2 + [WRONG] * 2, FAIL, "scattered"),
        ([WRONG] * 4, FAIL, "other_answer"),
        ([WRONG] * 3 + [RIGHT], FAIL, "other_answer"),
        (["So \\boxed{1}", "So \\boxed{2}", "So \\boxed{3}", RIGHT], FAIL, "scattered"),
        (["I do not know."] * 4, FAIL, "no_answer"),
        ([CUT] * 4, FAIL, "no_answer"),
        ([RIGHT, RIGHT, CUT, CUT], FAIL, "scattered"),
        (["\\boxed{impossible}"] * 2 + [RIGHT] * 2, FAIL, "unsolvable"),
        (["The answer is: it cannot be determined."] * 3 + [RIGHT], FAIL, "unsolvable"),
        (["The answer is \\boxed{5.0}"] * 2 + ["#### 5"] * 2, PASS, ""),
        ([RIGHT] * 3 + [FAILED], PASS, ""),
        ([RIGHT] * 2 + [FAILED] * 2, ABSTAIN, "engine_error"),
        ([WRONG] * 2 + [FAILED, RIGHT], FAIL, "scattered"),
        ([FAILED] * 4, ABSTAIN, "engine_error"),
        (["5"] * 4, FAIL, "no_answer"),  # the last number of a text is no answer
    ],
)
def test_the_share_decides_and_the_reason_says_how(
    samples: list[str | Sample], outcome: CheckOutcome, reason: str
) -> None:
    check = agree(*samples)
    assert (check.outcome, check.reason) == (outcome, reason)


def test_the_evidence_counts_what_was_found() -> None:
    assert agree(RIGHT, RIGHT, WRONG, CUT).evidence == "2 of 4 equal; 5 x2, 6 x1, no answer x1"
    check = agree(*(f"\\boxed{{{'x' * n}\ud800\n{n}}}" for n in range(100, 110)))
    assert len(check.evidence) < 300
    check.model_dump_json().encode("utf-8")


def test_the_share_is_a_setting() -> None:
    assert agree(RIGHT, WRONG, min_share=0.5).outcome is PASS
    assert agree(RIGHT, RIGHT, WRONG, min_share=2 / 3).outcome is PASS
    assert agree(RIGHT, RIGHT, RIGHT, WRONG, min_share=1.0).outcome is FAIL
    for wrong in ({"min_share": 0.0}, {"min_share": 1.2}, {"num_samples": 0}):
        with pytest.raises(ConfigError, match=r"verify\.agreement"):
            agree(RIGHT, **wrong)


def test_the_solver_sees_the_statement_alone_in_a_fresh_context() -> None:
    engine = Engine(RIGHT)
    Agreement(engine, Prompts(), grade=equal).check([draft("How many eggs? 77", "5")])
    ((messages,),) = engine.asked
    text = " ".join(message["content"] for message in messages)
    assert "How many eggs? 77" in text
    assert "It is" not in text
    assert "5" not in text.replace(messages[1]["content"].split(">")[0], "").split("How many")[0].split("data-")[0]


def test_equal_statements_are_paid_for_once_and_everything_is_recorded() -> None:
    heard: list[tuple[str, str]] = []
    engine = Engine(RIGHT, WRONG)
    batch = [draft(), draft(answer="6"), draft("What is 1 + 4?")]
    checks = SecondFamily(
        engine, Prompts(), grade=equal, num_samples=2, min_share=0.5,
        record=lambda item, name, sample: heard.append((item.id, name)),
    ).check(batch)  # fmt: skip
    assert [check.outcome for check in checks] == [PASS, PASS, PASS]
    assert [len(prompts) for prompts in engine.asked] == [2]
    assert heard == [(batch[0].id, "second_family")] * 2 + [(batch[2].id, "second_family")] * 2


def test_a_solver_that_loses_samples_is_found() -> None:
    engine = Engine(RIGHT)
    engine.generate = lambda prompts, sampling, progress=None: []  # type: ignore[method-assign, assignment]
    with pytest.raises(EngineError, match="agreement"):
        Agreement(engine, Prompts(), grade=equal).check([draft()])
    assert Agreement(engine, Prompts(), grade=equal).check([]) == []


def test_who_counts_as_independent() -> None:
    assert (Agreement.independent, SecondFamily.independent, Difficulty.independent) == (False, True, False)
    one, two = (kind(Engine(RIGHT), Prompts(), grade=equal) for kind in (Agreement, SecondFamily))
    assert one.costly
    assert two.costly
    assert len({one.fingerprint, two.fingerprint, Agreement(Engine(WRONG), Prompts(), grade=equal).fingerprint}) == 3


def attempt(right: int, n: int = 8, **settings: object) -> Check:
    samples = [RIGHT] * right + [WRONG] * (n - right)
    (check,) = Difficulty(Engine(*samples), grade=equal, num_samples=n, **settings).check([draft()])  # type: ignore[arg-type]
    return check


@pytest.mark.parametrize(
    ("mode", "kept", "below", "above"),
    [("band", range(1, 8), "too_hard", "too_easy"), ("hardest_only", range(1), "", "too_easy")],
)
def test_the_band(mode: str, kept: range, below: str, above: str) -> None:
    for right in range(9):
        check = attempt(right, mode=mode)
        expected = "" if right in kept else below if right < kept.start else above
        assert (check.reason, check.outcome is PASS) == (expected, right in kept)
        assert check.evidence.startswith(f"{right} of 8 equal")


def test_off_asks_nothing_and_costs_nothing() -> None:
    engine = Engine(RIGHT)
    verifier = Difficulty(engine, grade=equal, mode="off")
    assert verifier.check([draft()])[0].outcome is PASS
    assert (engine.asked, verifier.costly) == ([], False)


def test_the_student_is_asked_as_it_is_measured() -> None:
    engine = Engine(RIGHT, WRONG)
    Difficulty(engine, grade=equal).check([draft()])
    assert engine.asked == [[[{"role": "user", "content": "What is 2 + 3?"}]]]


def test_a_failed_attempt_is_no_failure_of_the_student() -> None:
    (check,) = Difficulty(Engine(RIGHT, FAILED), grade=equal, num_samples=2).check([draft()])
    assert (check.outcome, check.reason) == (ABSTAIN, "engine_error")


def test_wrong_settings_name_their_key() -> None:
    for settings in ({"mode": "hard"}, {"low": 0.9, "high": 0.1}, {"num_samples": 0}, {"high": 1.5}):
        with pytest.raises(ConfigError, match=r"verify\.difficulty"):
            Difficulty(Engine(RIGHT), grade=equal, **settings)  # type: ignore[arg-type]
