"""The envelope around a teacher's problems: what is forgiven, what is refused, and the misconception sentence."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.records import Finish, TeacherReply
from synthesis.strategies.envelope import MAX_REPLY, Envelope, Fault, misconception_of, read_envelope
from synthesis.strategies.replies import is_final, read_reply

GOOD = {"statement": "What is 2 + 3?", "solution": "2+3=5. \\boxed{5}", "answer": "5"}
BODY = json.dumps({"misconception": "It forgets to carry.", "problems": [GOOD]})


def reply(text: str, **fields: object) -> TeacherReply:
    return TeacherReply(request_id="q", teacher="t", text=text, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"```json\n{BODY}\n```",
        f"Here you are:\n\n```json\n{BODY}\n```\nI hope this helps! {{smile}}",
        f"Sure. {BODY} Done.",
        f'<think>I could write {{"problems": [1]}} or not.</think>\n{BODY}',
        f"reasoning without an opening tag {{ }} </think>\n\n```\n{BODY}\n```",
        f'The form is {{"misconception": "...", "problems": [{{"statement": "..."}}]}}. So:\n{BODY}',
        BODY.replace('"misconception"', '\n  "misconception"'),
    ],
)
def test_usual_wrappings_are_forgiven(text: str) -> None:
    found = read_envelope(reply(text))
    assert isinstance(found, Envelope)
    assert found.problems == [GOOD]
    assert found.misconception == "It forgets to carry."


def test_a_think_tag_inside_a_string_does_not_lose_the_reply() -> None:
    body = json.dumps({"problems": [{**GOOD, "statement": "What does </think> mean?"}]})
    found = read_envelope(reply(body))
    assert isinstance(found, Envelope)
    assert "</think>" in found.problems[0]["statement"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  It\nforgets\tto carry. ", "It forgets to carry."),
        ("x" * 1000, "x" * 300),
        ("a\u0007b\u202ec\ud800", "abc"),
        ("", None),
        (5, None),
        (None, None),
        (["a"], None),
    ],
)
def test_the_misconception_is_one_clean_line(value: object, expected: str | None) -> None:
    text = json.dumps({"misconception": value, "problems": [GOOD]})
    assert misconception_of(reply(text)) == expected


def test_there_may_be_no_misconception() -> None:
    assert misconception_of(reply(json.dumps({"problems": [GOOD]}))) is None
    assert misconception_of(reply("nonsense")) is None
    assert misconception_of(reply("", error="503")) is None


@pytest.mark.parametrize(
    ("solution", "final"),
    [
        ("2+3=5. \\boxed{5}", True),
        ("2+3=5.\nSo she has \\boxed{5} apples.", True),
        ("The answer is $\\boxed{5}$.", True),
        ("So:\n\\[\n\\boxed{5}\n\\]\n", True),
        ("It is \\boxed{5} (i.e. five).", True),
        ("\\boxed{5}. But wait, it may be 6.", False),
        ("\\boxed{5}\nNow the second part.", False),
        ("No box.", False),
    ],
)
def test_the_box_stands_at_the_end(solution: str, final: bool) -> None:
    assert is_final(solution) is final


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**GOOD, "solution": "2+3=5. \\boxed{5}. But wait."}, "not_final"),
        ({**GOOD, "statement": "What is 2 + 3?<|im_end|>"}, "chat_mark"),
        ({**GOOD, "solution": "2+3=5.</s> \\boxed{5}"}, "chat_mark"),
        ({**GOOD, "solution": "It is \\boxed{blue}", "answer": "blue"}, "untyped"),
        ({**GOOD, "solution": "It is \\boxed{impossible}", "answer": "impossible"}, "untyped"),
    ],
)
def test_more_reasons_to_refuse_a_problem(row: dict[str, str], reason: str) -> None:
    (found,) = read_reply(reply(json.dumps({"problems": [row]})), 1)
    assert isinstance(found, Fault)
    assert found.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        '{"problems"' * (MAX_REPLY // 12),
        "{" + " " * (MAX_REPLY - 2),
        '{"problems":[' * (MAX_REPLY // 14),
        "</think>" * (MAX_REPLY // 8),
        '{"problems": [' + '{"a": "' * 100_000,
        '{"problems": "' + "\\" * (MAX_REPLY - 20),
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    started = time.process_time()
    assert isinstance(read_envelope(reply(text)), Fault)
    assert time.process_time() - started < 3


@given(st.text(max_size=300), st.sampled_from(list(Finish)))
@settings(max_examples=150, deadline=None)
def test_no_text_raises(text: str, finish: Finish) -> None:
    for candidate in (text, f"{{{text}}}", f'{{"problems": [{text}]}}'):
        found = read_envelope(reply(candidate, finish=finish))
        assert isinstance(found, Fault | Envelope)
