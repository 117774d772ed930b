"""The targeted strategy: exact amounts, every member shown, sealed splits refused, hostile replies survived."""

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.errors import ConfigError, LabelError, SplitError
from memory.records import Attempt, Cost, Exemplar, Finish, Outcome, Problem, Split, TeacherReply, Weakness
from synthesis.strategies.envelope import MAX_REPLY
from synthesis.strategies.replies import MAX_ANSWER, MAX_SOLUTION, MAX_STATEMENT, boxes
from synthesis.strategies.table import STRATEGIES, make_strategy
from synthesis.strategies.targeted import Targeted

GOOD = {"statement": "What is 2 + 3?", "solution": "2+3=5. \\boxed{5}", "answer": "5"}


def pair(index, split=Split.PROBE, tags=(), extracted="0"):
    problem = Problem.make(f"What is {index} + 1?", str(index + 1), source="t", split=split, tags=tags)
    attempt = Attempt.make(
        problem_id=problem.id, student="s", sample_index=0, seed=0, text="0", n_tokens=1, finish=Finish.STOP,
        outcome=Outcome.WRONG, extracted=extracted,
    )  # fmt: skip
    return problem, attempt


def weakness(members):
    ids = tuple(problem.id for problem, _ in members)
    n = len(ids)
    return Weakness(
        id="w-1", round=0, label="sums", keyphrases=("sums",), problem_ids=ids, n=n, failures=n, failure_rate=1.0,
        low=0.5, high=1.0,
    )  # fmt: skip


def requests(members, n, seed=0, **settings_):
    return Targeted(**settings_).requests(weakness(members), members, n, seed)


ASKED = requests([pair(1), pair(2)], 4)[0]


def parse(text, request=ASKED, **fields):
    return Targeted().parse(request, TeacherReply(request_id=request.id, teacher="t", text=text, **fields))


def rows(*items):
    return json.dumps({"problems": list(items)})


def reasons(text, **fields):
    drafts, refusals = parse(text, **fields)
    return len(drafts), [refusal.reason for refusal in refusals]


@given(n=st.integers(0, 200), members=st.integers(1, 60), shown=st.integers(1, 9), asked=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_amounts_are_exact_and_every_member_is_shown(n, members, shown, asked):
    failed = [pair(index) for index in range(members)]
    made = requests(failed, n, exemplars_per_request=shown, problems_per_request=asked)
    assert sum(request.n for request in made) == n
    assert all(1 <= request.n <= asked for request in made)
    assert all(1 <= len(set(request.parents)) == len(request.exemplars) <= shown for request in made)
    seen = {parent for request in made for parent in request.parents}
    # Each request shows `shown` members; only where n allows fewer requests than that takes may some be left out.
    assert len(seen) == min(members, len(made) * shown)
    if n >= math.ceil(members / shown):
        assert len(seen) == members


def test_requests_do_not_depend_on_order_but_on_the_seed():
    failed = [pair(index) for index in range(11)]
    assert requests(failed, 20) == requests(failed[::-1], 20)
    assert [r.parents for r in requests(failed, 20)] != [r.parents for r in requests(failed, 20, seed=1)]
    assert len({request.id for request in requests(failed, 40)}) == len(requests(failed, 40))


def test_a_teacher_sees_text_and_no_id_of_ours():
    (request,) = requests([pair(1)], 1)
    assert request.exemplars == (Exemplar(statement="What is 1 + 1?", answer="2", wrong_answer="0"),)
    assert requests([pair(1, extracted=None)], 1)[0].exemplars[0].wrong_answer is None


@pytest.mark.parametrize("split", [Split.DEV, Split.TEST, Split.GUARD])
def test_sealed_splits_are_refused(split):
    with pytest.raises(SplitError, match=split.value):
        requests([pair(1), pair(2, split=split)], 4)


def test_hidden_labels_are_refused():
    with pytest.raises(LabelError):
        requests([pair(1), pair(2, tags=("label:add",))], 4)


def test_a_draft_carries_where_it_came_from():
    drafts, refusals = parse(rows(GOOD), cost=Cost(prompt_tokens=7, completion_tokens=9))
    assert refusals == []
    (draft,) = drafts
    assert (draft.problem.statement, draft.problem.solution, draft.problem.answer) == tuple(GOOD.values())
    assert draft.problem.split is Split.SYNTHETIC
    assert draft.problem.source == "targeted:t"
    assert draft.problem.parents == ASKED.parents
    assert (draft.weakness_id, draft.strategy, draft.teacher, draft.seed) == ("w-1", "targeted", "t", ASKED.seed)
    assert draft.cost == Cost(prompt_tokens=7, completion_tokens=9)


def test_costs_add_up_to_the_reply_s():
    items = [{**GOOD, "statement": f"What is {i} more than 2?"} for i in range(3)]
    drafts, _ = parse(rows(*items), cost=Cost(prompt_tokens=10, completion_tokens=11))
    assert sum(draft.cost.prompt_tokens for draft in drafts) == 10
    assert sum(draft.cost.completion_tokens for draft in drafts) == 11


@pytest.mark.parametrize(
    "text",
    [
        rows(GOOD),
        "```json\n" + rows(GOOD) + "\n```",
        "  ```\n" + rows(GOOD) + "```  \n",
        rows(GOOD).replace("\\\\boxed", "\\boxed"),  # the backslash not doubled
        rows({**GOOD, "solution": "2+3=5.\n\\boxed{5}", "note": 1}),
        rows(GOOD).replace("2+3=5. ", "2+3=5.\n"),  # a raw line break in a string
        rows({**GOOD, "solution": "\\boxed{ 5 }"}),
    ],
)
def test_usual_slips_are_forgiven(text):
    drafts, refusals = parse(text)
    assert refusals == []
    assert drafts[0].problem.answer == "5"
    assert boxes(drafts[0].problem.solution) == ["5"]


def test_latex_with_single_backslashes_is_kept():
    half, product = "\\frac{3}{2}", "Take \\frac{1}{2} \\times 3"
    item = f'{{"statement": "{product}", "solution": "\\boxed{{{half}}}", "answer": "{half}"}}'
    text = f'{{"problems": [{item}]}}'
    drafts, refusals = parse(text)
    assert refusals == []
    assert drafts[0].problem.statement == "Take \\frac{1}{2} \\times 3"
    assert drafts[0].problem.answer == "\\frac{3}{2}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["empty"]),
        ("I am sorry, I cannot.", ["not_json"]),
        ('{"problems": [', ["not_json"]),
        ("[" * 200_000, ["not_json"]),
        ('{"problems": ' + "9" * 10_000 + "}", ["not_json"]),
        ("[]", ["wrong_schema"]),
        ("null", ["wrong_schema"]),
        ("NaN", ["wrong_schema"]),
        ('{"problems": {"0": 1}}', ["wrong_schema"]),
        ('{"problem": []}', ["wrong_schema"]),
        ('{"problems": []}', ["empty"]),
        (rows(1, None, "x", []), ["wrong_schema"] * 4),
        (rows({**GOOD, "answer": 5}), ["wrong_schema"]),
        (rows({"statement": "a", "answer": "5"}), ["wrong_schema"]),
        (rows({**GOOD, "statement": " \n"}), ["empty"]),
        (rows({**GOOD, "answer": ""}), ["empty"]),
        (rows({**GOOD, "statement": "a\u0000b"}), ["wrong_schema"]),
        (rows({**GOOD, "solution": "\u0007 \\boxed{5}"}), ["wrong_schema"]),
        (rows({**GOOD, "statement": "\ud800"}), ["wrong_schema"]),
        (rows({**GOOD, "solution": "5"}), ["no_box"]),
        (rows({**GOOD, "solution": "\\boxed 5"}), ["no_box"]),
        (rows({**GOOD, "solution": "\\boxed{5} \\boxed{5}"}), ["many_boxes"]),
        (rows({**GOOD, "solution": "\\boxed{6}"}), ["box_differs"]),
        (rows({**GOOD, "solution": "\\boxed{5"}), ["box_differs"]),
        (rows({**GOOD, "statement": "a" * (MAX_STATEMENT + 1)}), ["too_long"]),
        (rows({**GOOD, "solution": "a" * (MAX_SOLUTION + 1)}), ["too_long"]),
        (rows({**GOOD, "answer": "5" * (MAX_ANSWER + 1)}), ["too_long"]),
        ("x" * (MAX_REPLY + 1), ["too_long"]),
    ],
)
def test_what_cannot_be_used_has_a_reason(text, expected):
    drafts, found = reasons(text)
    assert (drafts, found) == (0, expected)


def test_errors_and_cut_replies_are_told_apart():
    assert reasons("", error="503") == (0, ["teacher_error"])
    assert reasons('{"problems": [{"state', finish=Finish.LENGTH) == (0, ["truncated"])
    assert reasons("", finish=Finish.LENGTH) == (0, ["truncated"])
    assert reasons(rows(GOOD), finish=Finish.LENGTH) == (1, [])


def test_one_bad_problem_does_not_cost_the_others():
    assert reasons(rows(GOOD, 5, {**GOOD, "answer": "4"}, {**GOOD, "statement": "b"})) == (
        2,
        ["wrong_schema", "box_differs"],
    )


def test_repetitions_and_surplus_are_refused():
    assert reasons(rows(GOOD, {**GOOD, "statement": "what is  2 + 3?"})) == (1, ["repeated"])
    many = [{**GOOD, "statement": f"Number {i}"} for i in range(ASKED.n + 50)]
    assert reasons(rows(*many)) == (ASKED.n, ["too_long"])


@pytest.mark.parametrize(
    "text",
    [
        "```\n" + " " * (MAX_REPLY - 10),
        "```" * (MAX_REPLY // 3 - 1),
        "```json\n" + ("\n" + " " * 99) * (MAX_REPLY // 100 - 1),
        "\\" * MAX_REPLY,
        rows({**GOOD, "solution": "\\boxed{" * 1700}),
        rows({**GOOD, "solution": ("\\boxed" + " " * 50) * 200}),
        rows(*[GOOD] * 10_000),
        '{"problems": ' + '{"a":' * 100_000,
    ],
)
def test_hostile_text_takes_no_time(text):
    started = time.process_time()
    drafts, refusals = parse(text)
    assert time.process_time() - started < 3
    assert len(drafts) + len(refusals) >= 1
    assert all(len(refusal.evidence) < 2000 for refusal in refusals)


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_text_raises(text):
    drafts, refusals = parse(text)
    assert len(drafts) + len(refusals) >= 1
    drafts, refusals = parse(rows({**GOOD, "statement": text}))
    assert len(drafts) + len(refusals) == 1
    for record in (*drafts, *refusals):
        record.model_dump_json().encode("utf-8")


def test_the_table_names_the_known_ones():
    assert isinstance(make_strategy("targeted", problems_per_request=3), STRATEGIES["targeted"])
    with pytest.raises(ConfigError, match=r"'targetted'.*targeted"):
        make_strategy("targetted")
