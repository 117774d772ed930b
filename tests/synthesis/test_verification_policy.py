"""Verdicts from checks, and verifiers that must earn their place."""

import random
from collections.abc import Callable, Sequence

import pytest

from eval.engines.base import Sample
from eval.engines.scripted import ScriptedEngine
from memory.errors import ConfigError, LabelError, SplitError
from memory.records import Accepted, Check, CheckOutcome, Draft, Finish, Problem, Split
from synthesis.prompting import Prompts
from synthesis.verification.algebra import Algebra
from synthesis.verification.contamination import Contamination
from synthesis.verification.duplicate import Duplicate
from synthesis.verification.earning import earn_place, earn_place_asking, raise_box, raise_step
from synthesis.verification.policy import judge
from synthesis.verification.sandbox import Ran
from synthesis.verification.table import VERIFIERS, VerifyContext, make_verifiers

PASS, FAIL, ABSTAIN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.ABSTAIN


class Scripted:
    """A verifier that does what a function says."""

    version = "1"
    fingerprint = "scripted"

    def __init__(
        self,
        say: Callable[[Draft], CheckOutcome],
        *,
        name: str = "scripted",
        independent: bool = True,
        costly: bool = False,
    ) -> None:
        self.name = name
        self.independent = self.judges_answer = independent
        self.costly = costly
        self._say = say
        self.batches: list[int] = []

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        self.batches.append(len(drafts))
        outcomes = [self._say(draft) for draft in drafts]
        return [
            Check(verifier=self.name, version="1", outcome=item, reason="no" if item is FAIL else "")
            for item in outcomes
        ]


def always(
    outcome: CheckOutcome, *, name: str = "scripted", independent: bool = True, costly: bool = False
) -> Scripted:
    return Scripted(lambda _: outcome, name=name, independent=independent, costly=costly)


def gold(n: int = 40, split: Split = Split.REPLAY) -> list[Problem]:
    return [
        Problem.make(
            f"Add {k} and 15.", str(k + 15), solution=f"{k}+15={k + 15}. \\boxed{{{k + 15}}}", source="t", split=split
        )
        for k in range(10, 10 + n)
    ]


def draft(problem: Problem) -> Draft:
    return Draft.make(problem=problem, weakness_id="w", strategy="s", teacher="t", prompt_hash="h", seed=0)


def drafts(n: int = 3) -> list[Draft]:
    return [draft(problem) for problem in gold(n, Split.SYNTHETIC)]


@pytest.mark.parametrize(
    ("verifiers", "min_independent", "accepted", "reason"),
    [
        ([always(PASS)], 1, Accepted.YES, ""),
        ([always(PASS), always(FAIL, name="b")], 1, Accepted.NO, "b:no"),
        ([always(FAIL, name="b", independent=False), always(PASS)], 1, Accepted.NO, "b:no"),
        ([always(ABSTAIN)], 1, Accepted.UNDECIDED, "no_independent_check"),
        ([always(PASS, independent=False)], 1, Accepted.UNDECIDED, "no_independent_check"),
        ([always(PASS, independent=False)], 0, Accepted.YES, ""),
        ([always(PASS)], 2, Accepted.UNDECIDED, "no_independent_check"),
        ([always(PASS), always(ABSTAIN), always(PASS)], 2, Accepted.YES, ""),
        ([], 1, Accepted.UNDECIDED, "no_independent_check"),
    ],
)
def test_the_rule(verifiers: list[Scripted], min_independent: int, accepted: Accepted, reason: str) -> None:
    batch = drafts()
    verdicts = judge(batch, verifiers, min_independent=min_independent)
    assert [verdict.draft_id for verdict in verdicts] == [item.id for item in batch]
    assert {verdict.accepted for verdict in verdicts} == {accepted}
    assert {verdict.reason for verdict in verdicts} == {reason}
    assert all([check.verifier for check in verdict.checks] == [v.name for v in verifiers] for verdict in verdicts)
    assert all(verifier.batches == [3] for verifier in verifiers)


def test_costly_verifiers_come_last_and_see_what_can_still_be_accepted() -> None:
    batch = drafts(4)
    cheap = Scripted(lambda item: FAIL if item == batch[0] else ABSTAIN if item == batch[1] else PASS, name="cheap")
    agreement = Scripted(
        lambda item: FAIL if item == batch[2] else PASS, name="agreement", independent=False, costly=True
    )
    free = Scripted(lambda item: PASS, name="free", independent=False)
    verdicts = judge(batch, [agreement, cheap, free])
    # The first has failed; the second has no independent pass and cannot get one any more.
    assert (cheap.batches, free.batches, agreement.batches) == ([4], [4], [2])
    assert [item.reason for item in verdicts] == ["cheap:no", "no_independent_check", "agreement:no", ""]
    assert [[check.verifier for check in item.checks] for item in verdicts] == [
        ["cheap", "free"], ["cheap", "free"], ["agreement", "cheap", "free"], ["agreement", "cheap", "free"],
    ]  # fmt: skip
    assert verdicts[1].missing == ("agreement", "independent")
    assert {item.policy for item in verdicts} == {"no failing check; agreement and 1 independent"}


def test_agreement_is_required_where_it_is_configured_and_proves_nothing_alone() -> None:
    agreement = always(PASS, name="agreement", independent=False)
    assert [item.reason for item in judge(drafts(1), [agreement])] == ["no_independent_check"]
    silent = always(ABSTAIN, name="agreement", independent=False)
    assert [item.reason for item in judge(drafts(1), [silent, always(PASS)])] == ["no_agreement"]
    assert [item.accepted for item in judge(drafts(1), [silent, always(PASS)], require=())] == [Accepted.YES]
    assert [item.reason for item in judge(drafts(1), [always(PASS), always(ABSTAIN, name="b")], require=("b",))] == [
        "no_b"
    ]
    with pytest.raises(ConfigError, match=r"verify\.require: b is not one of verify.verifiers"):
        judge(drafts(1), [always(PASS)], require=("b",))


def test_nothing_is_asked_where_nothing_stands() -> None:
    costly = always(PASS, name="agreement", independent=False, costly=True)
    judge(drafts(2), [always(FAIL), costly])
    judge([], [always(PASS), costly])
    assert costly.batches == []


def claims(right: float, *, name: str = "second_family") -> Scripted:
    """Passes this share of right answers (by the problem's number) and no wrong ones."""

    def say(item: Draft) -> CheckOutcome:
        k = int(item.problem.statement.split()[1])
        return PASS if item.problem.answer == str(k + 15) and k % 10 < 10 * right else FAIL

    return Scripted(say, name=name, costly=True)


def test_verifiers_that_ask_a_model_earn_their_place_on_gold_and_corrupted_answers() -> None:
    free = always(PASS)
    hard = always(FAIL, name="difficulty", independent=False, costly=True)
    (earned,) = earn_place_asking([free, claims(0.8), hard], gold(20))
    assert (earned.verifier, earned.gold, earned.passed, earned.corrupted, earned.refused) == (
        "second_family", 20, 16, 20, 20,
    )  # fmt: skip
    assert (free.batches, hard.batches) == ([], [])
    assert earn_place_asking([claims(1)], []) == []
    with pytest.raises(ConfigError, match=r"verify.second_family: it passes 8 of 20 gold .*stronger model"):
        earn_place_asking([claims(0.4)], gold(20))
    with pytest.raises(ConfigError, match=r"verify.program: it passes 20 of 20 answers raised by one"):
        earn_place_asking([always(PASS, name="program", costly=True)], gold(20))
    earn_place([claims(0.0)], gold(20))  # not asked where nothing may be spent


def test_judging_does_not_depend_on_the_order_of_drafts() -> None:
    batch = drafts(12) + [draft(p.model_copy(update={"answer": "1"})) for p in gold(3, Split.SYNTHETIC)]
    verifiers = [Algebra(), Duplicate(gold(2)), Contamination(gold(20)[18:])]
    expected = {verdict.draft_id: verdict for verdict in judge(batch, verifiers)}
    for seed in range(5):
        random.Random(seed).shuffle(batch)
        assert {verdict.draft_id: verdict for verdict in judge(batch, verifiers)} == expected


@pytest.mark.parametrize("split", [Split.DEV, Split.TEST, Split.GUARD])
def test_sealed_problems_are_refused_as_drafts(split: Split) -> None:
    with pytest.raises(SplitError, match="sealed split"):
        judge([draft(gold(1, split)[0])], [always(PASS)])


def test_labels_are_refused_in_drafts() -> None:
    labelled = gold(1, Split.SYNTHETIC)[0].model_copy(update={"tags": ("label:add",)})
    with pytest.raises(LabelError):
        judge([draft(labelled)], [always(PASS)])


def test_a_verifier_that_loses_drafts_is_found() -> None:
    broken = always(PASS)
    broken.check = lambda drafts: []  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="0 checks for 3 drafts"):
        judge(drafts(), [broken])


def test_algebra_earns_its_place() -> None:
    earn_place([Algebra(), always(FAIL, independent=False)], gold())
    earn_place([Algebra()], [])
    unsolved = [problem.model_copy(update={"solution": None}) for problem in gold()]
    earn_place([always(FAIL)], unsolved)


def test_to_abstain_on_what_is_corrupted_is_not_to_accept_it() -> None:
    """As with units: 3 feet = 37 inches may be a slip or another unit, and is no evidence either way."""
    whole = {problem.solution for problem in gold()}
    earn_place([Scripted(lambda item: PASS if item.problem.solution in whole else ABSTAIN)], gold())


def refuses_box(item: Draft) -> CheckOutcome:
    return PASS if f"boxed{{{item.problem.answer}}}" in (item.problem.solution or "") else FAIL


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        (always(PASS), r"scripted lets through 40 of 40 solutions with a boxed answer raised by one"),
        (always(FAIL), r"scripted refuses 40 of 40 gold solutions.*no"),
        (always(ABSTAIN), r"scripted decides none of 40 gold solutions"),
        (Scripted(refuses_box), r"scripted lets through 40 of 40 solutions with a number in a step raised"),
    ],
)
def test_others_do_not_and_the_error_says_why(verifier: Scripted, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        earn_place([Algebra(), verifier], gold())
    assert "p-" in str(caught.value)
    assert "verify.verifiers" in str(caught.value)


def test_a_few_bad_gold_solutions_are_borne_but_not_many() -> None:
    def with_bad(n: int) -> list[Problem]:
        problems = gold()
        return [
            problem.model_copy(update={"solution": "1+1=3. \\boxed{3}"}) if at < n else problem
            for at, problem in enumerate(problems)
        ]

    earn_place([Algebra()], with_bad(2))
    with pytest.raises(ConfigError, match=r"algebra refuses 3 of 40 gold solutions.*false_equation: 1"):
        earn_place([Algebra()], with_bad(3))


def test_corruptions_change_one_number() -> None:
    (problem,) = gold(1)
    assert problem.solution == "10+15=25. \\boxed{25}"
    boxed, stepped = raise_box(problem), raise_step(problem)
    assert boxed is not None
    assert boxed.solution == "10+15=25. \\boxed{26}"
    assert stepped is not None
    assert stepped.solution in {"11+15=25. \\boxed{25}", "10+16=25. \\boxed{25}", "10+15=26. \\boxed{25}"}
    assert raise_step(problem) == stepped
    assert (boxed.statement, boxed.answer) == (problem.statement, problem.answer)
    prose = problem.model_copy(update={"solution": "It is \\boxed{blue}"})
    assert raise_box(prose) is None
    assert raise_step(prose) is None


class Still:
    level = "none"

    def run(self, source: str) -> Ran:
        return Ran("", "not run")

    def close(self) -> None: ...


def context(**settings: object) -> VerifyContext:
    return VerifyContext(replay=gold(5), accepted_before=(), sealed=gold(5, Split.TEST), **settings)  # type: ignore[arg-type]


def test_the_table_makes_every_verifier_by_name() -> None:
    names = tuple(VERIFIERS)
    assert names == ("algebra", "duplicate", "contamination", "agreement", "second_family", "difficulty", "program")
    engine = ScriptedEngine(lambda messages, sampling, index: Sample("\\boxed{1}", 1, Finish.STOP), "e")
    asked = {"teacher_engine": engine, "second_engine": engine, "student_engine": engine, "sandbox": Still()}
    full = context(**asked, prompts=Prompts(), grade=lambda a, b: a == b, settings={"agreement": {"num_samples": 7}})
    verifiers = make_verifiers(names, full)
    assert [verifier.name for verifier in verifiers] == list(names)
    assert [verifier.independent for verifier in verifiers] == [True, False, False, False, True, False, True]
    assert [verifier.costly for verifier in verifiers] == [False, False, False, True, True, True, True]
    assert len({verifier.fingerprint for verifier in verifiers}) == 7
    assert verifiers[3].sampling.n == 7  # type: ignore[attr-defined]
    assert make_verifiers((), context()) == []


@pytest.mark.parametrize("name", ["agreement", "second_family", "difficulty", "program"])
def test_a_verifier_without_its_model_names_its_key(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"verify\.{name}: it needs .*verify\.verifiers"):
        make_verifiers((name,), context())


def test_same_template_reaches_both_verifiers() -> None:
    other = [draft(Problem.make("Add 77 and 15.", "92", source="t", split=Split.SYNTHETIC))]
    for name in ("duplicate", "contamination"):
        (strict,) = make_verifiers((name,), context())
        (lenient,) = make_verifiers((name,), context(same_template="allow"))
        assert strict.check(other)[0].reason == "same_template"
        assert lenient.check(other)[0].outcome is PASS


def test_unknown_and_repeated_names() -> None:
    with pytest.raises(ConfigError, match=r"'algebr'; known are algebra, duplicate, contamination, .*Did you mean alg"):
        make_verifiers(("duplicate", "algebr"), context())
    with pytest.raises(ConfigError, match="given twice"):
        make_verifiers(("algebra", "algebra"), context())
