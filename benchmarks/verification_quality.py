"""How good verification is, measured against exact truth on drafts with planted errors of six kinds.

    python benchmarks/verification_quality.py [--drafts-n 2400] [--seed 0] [--sensitivity] [--json]
    python benchmarks/verification_quality.py --drafts FILE.jsonl

Real: the prompts, the LLM teacher with its repair, the reply reader, every verifier, the policy, the grader.
Simulated: the model that writes (drafts of the symbolic world with errors planted) and the two models that solve,
whose assumptions are the `Solver` class and are printed. What the table says about the checks that ask a model is as
good as these assumptions; what it says about the others is not touched by them.

With --drafts the drafts come from a file, of a real teacher: one JSON object a line with statement, solution, answer,
``truth`` (the right answer, or null where the problem has none) and, if known, ``kind``. Only the solvers are
simulated.

The exit code is 1 where fewer than 99 % of the accepted drafts are right or more than 5 % of the right ones are
dropped.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from eval.engines.base import Messages, Sample, Sampling
from eval.engines.scripted import ScriptedEngine
from eval.grading import Grader
from eval.overlap import OverlapIndex, TwinKind
from memory.ids import canonical_json, derive_seed
from memory.records import Accepted, Draft, DraftBatch, Exemplar, Finish, Problem, Split, TeacherRequest, Verdict
from synthesis.prompting import Prompts
from synthesis.strategies.targeted import Targeted
from synthesis.teachers.llm import LLMTeacher
from synthesis.verification.earning import raise_step
from synthesis.verification.funnel import as_text, funnel
from synthesis.verification.policy import judge
from synthesis.verification.table import VerifyContext, make_verifiers
from synthesis.world.base import NAMES, Generated
from synthesis.world.skills import LEVELS, SKILLS

#: Shares of what the simulated teacher writes.
MIX = {
    "right": 0.56, "wrong_answer": 0.12, "wrong_step": 0.08, "ill_posed": 0.08, "duplicate": 0.06, "near_copy": 0.05,
    "wrong_format": 0.05,
}  # fmt: skip
COPIES = (TwinKind.SAME_TEXT, TwinKind.RENAMED, TwinKind.NGRAM, TwinKind.SAME_NUMBERS)
PER_REQUEST = 8
RIGHT_OF_ACCEPTED, DROPPED_OF_RIGHT = 0.99, 0.05
CHEAP = ("algebra", "duplicate", "contamination")
EVERY = (*CHEAP, "agreement", "second_family")
#: Checks, accuracy of both solvers, share of traps the second falls for, samples, share of them that must agree.
SENSITIVITY = (
    (CHEAP, 0.95, 0.25, 4, 0.75),
    ((*CHEAP, "agreement"), 0.95, 0.25, 4, 0.75),
    (("duplicate", "contamination", "agreement", "second_family"), 0.95, 0.25, 4, 0.75),
    (EVERY, 0.95, 0.0, 4, 0.75),
    (EVERY, 0.95, 0.5, 4, 0.75),
    (EVERY, 0.95, 1.0, 4, 0.75),
    (EVERY, 0.98, 0.25, 4, 0.75),
    (EVERY, 0.9, 0.25, 4, 0.75),
    (EVERY, 0.9, 0.25, 4, 0.5),
    (EVERY, 0.9, 0.25, 8, 0.625),
    (EVERY, 0.8, 0.25, 8, 0.5),
)
_FENCED = re.compile(r"<(data-[0-9a-f]{16})>\n(.*?)\n</\1>", re.DOTALL)
_NUMBER = re.compile(r"(?<![\d.,:/])\d+(?![\d:/]|[.,]\d)")


@dataclass(frozen=True)
class Truth:
    """What is known of a statement: the right answer (None: it has none), and what one arrives at by misreading it."""

    answer: str | None
    misread: str
    trap: bool


def coin(share: float, *parts: object) -> bool:
    """Heads with this probability, always the same for the same parts."""
    return derive_seed(*map(str, parts)) / 2**31 < share


def plus(answer: str, n: int) -> str:
    return str(Fraction(answer) + n)


@dataclass(frozen=True)
class Solver:
    """The assumptions about a model that solves.

    Well-posed statements: each sample is right with ``accuracy``; half of the wrong ones are the misreading, the others
    are scattered. Some statements are traps that invite the misreading (``Truth.trap``); a model falls for a trap with
    ``falls``, and then 85 % of its samples are the misreading. Ill-posed statements: half of the samples say that
    there is no answer, 15 % fill in what is missing as the writer did, the rest is scattered; a share ``fills`` of
    these statements is one that the model does not see to be ill-posed, and then 80 % of the samples are the writer's
    answer.
    """

    name: str
    accuracy: float
    falls: float
    fills: float

    def sample(self, statement: str, truth: Truth | None, index: int) -> str:
        rng = random.Random(derive_seed(self.name, statement, index))
        scattered = f"\\boxed{{{rng.randint(1, 999)}}}"
        if truth is None:
            return "I do not know this problem."
        if truth.answer is None:
            unseen = coin(self.fills, "fills", self.name, statement)
            drawn = rng.random()
            if drawn < (0.8 if unseen else 0.15):
                return f"\\boxed{{{truth.misread}}}"
            return "\\boxed{impossible}" if not unseen and drawn < 0.65 else scattered
        if truth.trap and coin(self.falls, "falls", self.name, statement):
            return f"\\boxed{{{truth.misread if rng.random() < 0.85 else truth.answer}}}"
        if rng.random() < self.accuracy:
            return f"Step by step. \\boxed{{{truth.answer}}}"
        return f"\\boxed{{{truth.misread}}}" if rng.random() < 0.5 else scattered


def solver_engine(solver: Solver, truths: dict[str, Truth]) -> ScriptedEngine:
    def answer(messages: Messages, sampling: Sampling, index: int) -> Sample:
        match = _FENCED.search(messages[-1]["content"])
        statement = match.group(2) if match else ""
        return Sample(solver.sample(statement, truths.get(statement), index), 30, Finish.STOP)

    return ScriptedEngine(answer, canonical_json([solver.name, solver.accuracy, solver.falls, solver.fills]))


class Writer:
    """The simulated teacher: problems of the world as JSON, with errors of the six kinds planted; knows the truth."""

    def __init__(self, seed: int, sealed: Sequence[Problem], replay: Sequence[Problem], traps: float = 0.04) -> None:
        self.seed, self.traps = seed, traps
        self.truths: dict[str, Truth] = {}
        self.kinds: dict[tuple[str, str, str], str] = {}
        self.written: Counter[str] = Counter()
        self._copied = [(item, "near_copy") for item in sealed]
        self._known = OverlapIndex([*sealed, *replay])
        self._good: list[Generated] = []
        self._by_id = {item.id: item for item in (*sealed, *replay)}

    def engine(self) -> ScriptedEngine:
        def answer(messages: Messages, sampling: Sampling, index: int) -> Sample:
            key = canonical_json(messages)
            repairing = "could not be read" in messages[0]["content"]
            rng = random.Random(derive_seed("writer", self.seed, key, index))
            if not repairing and rng.random() < 0.03:  # then the repair is asked for
                return Sample("Sure, here are the problems you asked for!", 10, Finish.STOP)
            rows = [self._row(rng) for _ in range(PER_REQUEST)]
            text = json.dumps({"misconception": "It mixes up the steps.", "problems": rows})
            if rng.random() < 0.3:
                text = f"<think>Let me see {{...}}</think>\n```json\n{text}\n```"
            return Sample(text, len(text) // 4, Finish.STOP)

        return ScriptedEngine(answer, f"writer/{self.seed}")

    def _row(self, rng: random.Random) -> dict[str, str]:
        kind = rng.choices(list(MIX), list(MIX.values()))[0]
        if kind == "duplicate" and not self._good:
            kind = "right"
        statement, solution, answer = getattr(self, f"_{kind}")(rng)
        self.written[kind] += 1
        self.kinds[statement, solution, answer] = kind
        return {"statement": statement, "solution": solution, "answer": answer}

    def _fresh(self, rng: random.Random, trap: bool | None = None) -> tuple[Generated, Generated]:
        """A problem that copies nothing known, and another of its skill, which one takes it for by misreading."""
        while True:
            skill, level = rng.choice(sorted(SKILLS)), rng.choice(LEVELS)
            item, other = SKILLS[skill].generate(rng, level), SKILLS[skill].generate(rng, level)
            problem = Problem.make(item.statement, item.answer, source="w", split=Split.SYNTHETIC)
            trapped = coin(self.traps, "trap", item.statement)
            if trap is not None and trapped is not trap:
                continue
            if other.answer != item.answer and self._known.find(item.statement, item.answer, COPIES) is None:
                self._known.add(problem)
                self.truths[item.statement] = Truth(item.answer, other.answer, trapped)
                return item, other

    def _right(self, rng: random.Random) -> tuple[str, str, str]:
        """The writer falls for three of four traps itself, so that few of its right drafts are one."""
        item, _ = self._fresh(rng)
        if self.truths[item.statement].trap and rng.random() < 0.75:
            item, _ = self._fresh(rng, trap=False)
        self._good.append(item)
        return item.statement, item.solution, item.answer

    def _wrong_answer(self, rng: random.Random) -> tuple[str, str, str]:
        """A third each: another answer at the end, a slip that is carried on, right sums for another question."""
        way = rng.randrange(3)
        item, other = self._fresh(rng, trap=True if way == 2 and rng.random() < 1 / 3 else None)
        if way == 2:
            return item.statement, other.solution, other.answer
        wrong = plus(item.answer, rng.choice((-10, -1, 1, 2, 10, 100)))
        body = item.solution.removesuffix(f"\\boxed{{{item.answer}}}")
        if way == 1:  # every later mention of the last result carries the slip
            head, sep, tail = body.rpartition(f"={item.answer}")
            body = f"{head}={wrong}{tail}" if sep else body
        return item.statement, f"{body}\\boxed{{{wrong}}}", wrong

    def _wrong_step(self, rng: random.Random) -> tuple[str, str, str]:
        while True:
            item, _ = self._fresh(rng)
            problem = Problem.make(
                item.statement, item.answer, solution=item.solution, source="w", split=Split.SYNTHETIC
            )
            changed = raise_step(problem)
            if changed is not None and changed.solution is not None:
                return item.statement, changed.solution, item.answer

    def _ill_posed(self, rng: random.Random) -> tuple[str, str, str]:
        """Half lack a number, half contradict one."""
        while True:
            item, _ = self._fresh(rng)
            spots = list(_NUMBER.finditer(item.statement))
            if not spots:
                continue
            spot = rng.choice(spots)
            if rng.random() < 0.5:
                statement = f"{item.statement[: spot.start()]}some{item.statement[spot.end() :]}"
            else:
                statement = f"{item.statement} It is not {spot.group()} but {int(spot.group()) + rng.randint(1, 9)}."
                statement += f" It is {spot.group()} all the same."
            self.truths[statement] = Truth(None, item.answer, False)
            return statement, item.solution, item.answer

    def _duplicate(self, rng: random.Random) -> tuple[str, str, str]:
        item = rng.choice(self._good)
        statement = self._disguised(item.statement, rng)
        self.truths[statement] = Truth(item.answer, plus(item.answer, 1), False)
        return statement, item.solution, item.answer

    def _near_copy(self, rng: random.Random) -> tuple[str, str, str]:
        item, _ = rng.choice(self._copied)
        statement = self._disguised(item.statement, rng)
        self.truths[statement] = Truth(item.answer, plus(item.answer, 1), False)
        return statement, item.solution or "", item.answer

    def _disguised(self, statement: str, rng: random.Random) -> str:
        """The same text with other names, spelling or padding; at most the first letters' case stays."""
        for name in NAMES:
            statement = re.sub(rf"\b{name}\b", rng.choice(NAMES), statement)
        way = rng.randrange(3)
        if way == 0:
            return statement.replace(". ", ".  ").rstrip("?.")
        return f"Read carefully. {statement}" if way == 1 and len(statement.split()) > 12 else statement.upper()

    def _wrong_format(self, rng: random.Random) -> tuple[str, str, str]:
        item, _ = self._fresh(rng)
        body = item.solution.removesuffix(f"\\boxed{{{item.answer}}}")
        way = rng.randrange(5)
        if way == 0:
            return item.statement, f"{body}The answer is {item.answer}.", item.answer
        if way == 1:
            return item.statement, f"\\boxed{{{item.answer}}} {item.solution}", item.answer
        if way == 2:
            return item.statement, item.solution, f"{item.answer} of them"
        if way == 3:
            return item.statement, f"{body}\\boxed{{several}}", "several"
        return item.statement, f"{item.solution}. But check it again: {item.answer}.", item.answer


@dataclass
class Measured:
    """One run of the whole verification."""

    kinds: dict[str, dict[str, object]]
    right_of_accepted: float
    dropped_of_right: float
    drafts: int
    accepted: int
    funnel: str


def items(count: int, seed: str, split: Split) -> list[Problem]:
    rng = random.Random(derive_seed(seed))
    made: dict[str, Problem] = {}
    while len(made) < count:
        item = SKILLS[rng.choice(sorted(SKILLS))].generate(rng, rng.choice(LEVELS))
        problem = Problem.make(item.statement, item.answer, solution=item.solution, source="w", split=split)
        made[problem.id] = problem
    return list(made.values())


def write(
    count: int, seed: int, sealed: Sequence[Problem], replay: Sequence[Problem]
) -> tuple[list[DraftBatch], Writer]:
    """Drafts through the real teacher, its prompts, and the reply reader."""
    writer = Writer(seed, sealed, replay)
    shown = items(-(-count // PER_REQUEST), "probe", Split.PROBE)
    requests = [
        TeacherRequest.make(
            weakness_id=f"w-{at % 9}", strategy="targeted", label="sums",
            exemplars=(Exemplar(statement=item.statement, answer=item.answer, wrong_answer="0"),),
            parents=(item.id,), n=PER_REQUEST, seed=at,
        )
        for at, item in enumerate(shown)
    ]  # fmt: skip
    strategy = Targeted()
    replies = LLMTeacher(writer.engine(), Prompts(), name="planted").ask(requests)
    batches = []
    for request, reply in zip(requests, replies, strict=True):
        drafts, refusals = strategy.parse(request, reply)
        batches.append(DraftBatch(drafts=tuple(drafts), refusals=tuple(refusals), cost=reply.cost))
    return batches, writer


def load(path: Path) -> tuple[list[DraftBatch], dict[str, Truth], dict[str, str]]:
    """Drafts of a real teacher, with their truth, and their kind by draft id."""
    drafts, truths, kinds = [], {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        problem = Problem.make(
            row["statement"], row["answer"], solution=row["solution"], source=path.name, split=Split.SYNTHETIC
        )
        draft = Draft.make(
            problem=problem, weakness_id="w", strategy="file", teacher="file", prompt_hash=str(len(drafts)), seed=0
        )
        drafts.append(draft)
        truths[row["statement"]] = Truth(row["truth"], row["answer"], False)
        kinds[draft.id] = row.get("kind") or ""
    return [DraftBatch(drafts=tuple(drafts))], truths, kinds


def measure(
    batches: Sequence[DraftBatch],
    truths: dict[str, Truth],
    kind_of: dict[str, str],
    names: Sequence[str],
    solvers: tuple[Solver, Solver],
    pools: tuple[Sequence[Problem], Sequence[Problem]],
    min_share: float = 0.75,
    num_samples: int = 4,
) -> Measured:
    """Judge all drafts in one batch and count by kind."""
    drafts = [draft for batch in batches for draft in batch.drafts]
    kind_of = dict(kind_of)
    sealed, replay = pools
    asking = {"num_samples": num_samples, "min_share": min_share}
    with Grader() as grader:
        context = VerifyContext(
            replay=replay, accepted_before=(), sealed=sealed, same_template="allow",
            teacher_engine=solver_engine(solvers[0], truths), second_engine=solver_engine(solvers[1], truths),
            prompts=Prompts(), grade=grader.equal, settings={"agreement": asking, "second_family": asking},
        )  # fmt: skip
        verdicts = judge(drafts, make_verifiers(names, context))
        _swap_twins(drafts, verdicts, kind_of)
        sound = [_sound(draft, truths, kind_of[draft.id], grader) for draft in drafts]
    rows: dict[str, dict[str, object]] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    accepted: Counter[str] = Counter()
    for draft, verdict in zip(drafts, verdicts, strict=True):
        kind = kind_of[draft.id]
        accepted[kind] += verdict.accepted is Accepted.YES
        if verdict.accepted is not Accepted.YES:
            counts[kind][verdict.reason] += 1
    for batch in batches:
        for refusal in batch.refusals:
            kind = "duplicate" if refusal.reason == "repeated" else "wrong_format"  # they have no draft to ask
            counts[kind][f"reply:{refusal.reason}"] += 1
    for kind in dict.fromkeys([*MIX, *kind_of.values()]):
        drafted = accepted[kind] + counts[kind].total()
        if drafted:
            rows[kind] = {"drafted": drafted, "accepted": accepted[kind], "refused": dict(counts[kind].most_common())}
    yes = [verdict.accepted is Accepted.YES for verdict in verdicts]
    right = [kind_of[draft.id] == "right" for draft in drafts]
    good = sum(is_yes and is_sound for is_yes, is_sound in zip(yes, sound, strict=True))
    lost = sum(is_right and not is_yes for is_yes, is_right in zip(yes, right, strict=True))
    return Measured(
        kinds=rows, right_of_accepted=good / max(1, sum(yes)), dropped_of_right=lost / max(1, sum(right)),
        drafts=len(drafts) + sum(len(batch.refusals) for batch in batches), accepted=sum(yes),
        funnel=as_text(funnel(batches, verdicts)),
    )  # fmt: skip


def _swap_twins(drafts: Sequence[Draft], verdicts: Sequence[Verdict], kind_of: dict[str, str]) -> None:
    """Of a draft and its planted duplicate either may be kept: the one refused for the other is the duplicate."""
    accepted = {verdict.draft_id for verdict in verdicts if verdict.accepted is Accepted.YES}
    for draft, verdict in zip(drafts, verdicts, strict=True):
        check = next((check for check in verdict.checks if f"{check.verifier}:{check.reason}" == verdict.reason), None)
        twin = check.evidence.split(" ")[0] if check is not None and check.verifier == "duplicate" else ""
        if kind_of[draft.id] == "right" and twin in accepted and kind_of[twin] == "duplicate":
            kind_of[draft.id], kind_of[twin] = "duplicate", "right"


def _sound(draft: Draft, truths: dict[str, Truth], kind: str, grader: Grader) -> bool:
    """Well-posed, with the right answer and no wrong step."""
    truth = truths[draft.problem.statement]
    return truth.answer is not None and kind != "wrong_step" and grader.equal(draft.problem.answer, truth.answer)


def kinds_of(batches: Sequence[DraftBatch], known: dict[tuple[str, str, str], str]) -> dict[str, str]:
    return {
        draft.id: known[draft.problem.statement, draft.problem.solution or "", draft.problem.answer]
        for batch in batches
        for draft in batch.drafts
    }


def guessed(batches: Sequence[DraftBatch], truths: dict[str, Truth], kinds: dict[str, str]) -> dict[str, str]:
    """Kinds of a real teacher's drafts where the file does not say: right, wrong answer or ill-posed."""
    found = {}
    with Grader() as grader:
        for draft in (draft for batch in batches for draft in batch.drafts):
            answer = truths[draft.problem.statement].answer
            right = answer is not None and grader.equal(draft.problem.answer, answer)
            found[draft.id] = kinds[draft.id] or (
                "right" if right else "ill_posed" if answer is None else "wrong_answer"
            )
    return found


def show(title: str, found: Measured) -> None:
    print(f"\n{title}\n")
    print("| kind | drafted | accepted | refused by |\n|---|---|---|---|")
    for kind, row in found.kinds.items():
        refused = row["refused"]
        assert isinstance(refused, dict)
        print(
            f"| {kind} | {row['drafted']} | {row['accepted']} | {', '.join(f'{k} {v}' for k, v in refused.items())} |"
        )
    print(
        f"\n{found.drafts} drafts, {found.accepted} accepted, {100 * found.right_of_accepted:.2f} % of the accepted "
        f"are right; {100 * found.dropped_of_right:.2f} % of the right ones are dropped"
    )


def main(args: argparse.Namespace) -> int:
    sealed, replay = items(400, "sealed", Split.TEST), items(2000, "replay", Split.REPLAY)
    sealed_ids = {item.id for item in sealed}
    replay = [item for item in replay if item.id not in sealed_ids]
    if args.drafts:
        batches, truths, kinds = load(args.drafts)
        kind_of = guessed(batches, truths, kinds)
    else:
        batches, writer = write(args.drafts_n, args.seed, sealed, replay)
        truths = writer.truths
        kind_of = kinds_of(batches, writer.kinds)
        # What is refused while reading has no identity; it must be what was written in a wrong format, or repeated.
        unread = Counter(refusal.reason for batch in batches for refusal in batch.refusals)
        assert unread.total() - unread["repeated"] == writer.written["wrong_format"], unread
    solvers = (Solver("teacher", args.accuracy, 1.0, 0.1), Solver("second", args.accuracy, 0.25, 0.05))
    pools = (sealed, replay)
    found = measure(batches, truths, kind_of, EVERY, solvers, pools)
    if args.json:
        print(json.dumps(found.__dict__))
    else:
        print(f"Assumptions about the solvers (see class Solver): {solvers}; 4 % of statements are traps")
        print(
            "(1 % of the right drafts'), and a ninth of the wrong answers are what a trap invites. Verifiers: "
            + ", ".join(EVERY)
        )
        show("All checks, 4 samples, share 0.75", found)
        print(f"\n{found.funnel}")
    if args.sensitivity:
        print("\n| checks | accuracy | second falls for traps | samples | share | accepted | right of accepted | "
              "dropped of right |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
        for names, accuracy, falls, samples, share in SENSITIVITY:
            pair = (Solver("teacher", accuracy, 1.0, 0.1), Solver("second", accuracy, falls, 0.05))
            one = measure(batches, truths, kind_of, names, pair, pools, share, samples)
            print(
                f"| {', '.join(names)} | {accuracy} | {falls} | {samples} | {share} | {one.accepted} | "
                f"{100 * one.right_of_accepted:.2f} % | {100 * one.dropped_of_right:.2f} % |"
            )
    good = found.right_of_accepted >= RIGHT_OF_ACCEPTED and found.dropped_of_right <= DROPPED_OF_RIGHT
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drafts", type=Path, default=None, help="drafts of a real teacher instead of planted ones")
    parser.add_argument("--drafts-n", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accuracy", type=float, default=0.95, help="of a solver's sample on a well-posed problem")
    parser.add_argument("--sensitivity", action="store_true", help="other checks, accuracies, samples and shares too")
    parser.add_argument("--json", action="store_true")
    sys.exit(main(parser.parse_args()))
