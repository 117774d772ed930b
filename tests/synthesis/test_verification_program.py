"""The program verifier: what it reads of a reply and of an output, and when it abstains."""

import pytest

from eval.answers import compare
from eval.engines.base import Sample
from eval.engines.scripted import ScriptedEngine
from memory.records import Check, CheckOutcome, Draft, Finish, Problem, Split
from synthesis.prompting import Prompts
from synthesis.verification.program import Program, find_program
from synthesis.verification.sandbox import Ran

PASS, FAIL, ABSTAIN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.ABSTAIN


class Box:
    level = "scripted"

    def __init__(self, ran: Ran) -> None:
        self.ran, self.seen = ran, ""

    def run(self, source: str) -> Ran:
        self.seen = source
        return self.ran

    def close(self) -> None: ...


def check(reply: str | Sample, ran: Ran, claimed: str = "5") -> Check:
    sample = reply if isinstance(reply, Sample) else Sample(reply, 9, Finish.STOP)
    problem = Problem.make(
        "What is 2 + 3?", claimed, solution=f"\\boxed{{{claimed}}}", source="t", split=Split.SYNTHETIC
    )
    draft = Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)
    engine = ScriptedEngine(lambda messages, sampling, index: sample, "e")
    verifier = Program(engine, Prompts(), sandbox=Box(ran), grade=lambda a, b: compare(a, b) is True)
    (found,) = verifier.check([draft])
    return found


CODE = "```python\nprint(2 + 3)\n```"


@pytest.mark.parametrize(
    ("reply", "ran", "outcome", "reason"),
    [
        (CODE, Ran("5\n", None), PASS, ""),
        (CODE, Ran("working\n5.0\n", None), PASS, ""),
        (CODE, Ran("6\n", None), FAIL, "other_answer"),
        (CODE, Ran("impossible\n", None), FAIL, "unsolvable"),
        (CODE, Ran("\n", None), ABSTAIN, "no_output"),
        (CODE, Ran("5\n", "TimeoutError"), ABSTAIN, "program_failed"),
        ("I would add them.", Ran("5\n", None), ABSTAIN, "no_program"),
        (Sample(CODE, 9, Finish.LENGTH), Ran("5\n", None), ABSTAIN, "no_program"),
        (Sample("", 0, Finish.ERROR, error="503"), Ran("5\n", None), ABSTAIN, "engine_error"),
    ],
)
def test_what_it_says(reply: str | Sample, ran: Ran, outcome: CheckOutcome, reason: str) -> None:
    found = check(reply, ran)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert found.evidence.startswith("scripted:")


def test_what_is_printed_is_hostile() -> None:
    found = check(CODE, Ran("\ud800" * 500 + "\n" + "9" * 9000, None))
    assert found.outcome is FAIL
    assert len(found.evidence) <= 200
    found.model_dump_json().encode("utf-8")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (CODE, "print(2 + 3)\n"),
        ("First try:\n```\nprint(1)\n```\nBetter:\n```py\nprint(2)\n```\nDone.", "print(2)\n"),
        ("<think>```python\nprint(0)\n```</think>```python\nprint(2)\n```", "print(2)\n"),
        ("```python\nprint(2)", "print(2)\n"),
        ("no code", None),
        ("```python\n```", None),
        ("", None),
    ],
)
def test_the_last_block_is_the_program(text: str, source: str | None) -> None:
    assert find_program(text) == source
