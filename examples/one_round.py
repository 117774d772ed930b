"""One round of Remedial in about a hundred lines: no options, no resume, no files but the adapter's.

The real steps on scripted parts (a simulated student and teacher), so it runs in a second:
    python examples/one_round.py
The full version of this is agent/round.py, with agent/step.py for everything that has effects.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

from agent.allocate import allocate
from agent.config import DecideConfig, DiagnoseConfig, LoopConfig
from agent.decide import decide
from agent.demo import FAMILIES, demo_teacher, problem, scripted_student, write_demo
from agent.diagnose import diagnose
from agent.round import failed_pairs
from eval.benchmarks.jsonl import ProblemSet
from eval.engines.base import Sampling
from eval.grading import Grader
from eval.measure import measure
from memory.embedding import HashingEmbedder
from memory.records import Accepted, Problem, Split
from synthesis.strategies.table import make_strategy
from synthesis.verification.policy import judge
from synthesis.verification.table import VerifyContext, make_verifiers
from training.base import Example
from training.mixing import mix
from training.scripted import ScriptedTrainer

NEW = 120  # accepted new examples this round


def problems(split: Split, n: int) -> list[Problem]:
    """``n`` problems of the demo's world; replay is mostly what the student knows."""
    rng, found = random.Random(f"{split}"), {}
    while len(found) < n:
        known = split is Split.REPLAY and rng.random() < 0.9
        row = problem(rng, rng.choice(FAMILIES[:2] if known else FAMILIES))
        made = Problem.make(row["question"], row["answer"], solution=row["solution"], source="demo", split=split)
        found[made.id] = made
    return sorted(found.values(), key=lambda item: item.id)


def one_round(folder: Path) -> None:
    """Probe, diagnose, allocate, draft, verify, mix, anneal, measure, decide."""
    write_demo(folder)
    greedy, grader = Sampling(), Grader()
    probe, dev = (ProblemSet(split.value, problems(split, 300), grader) for split in (Split.PROBE, Split.DEV))
    replay = problems(Split.REPLAY, 1000)

    # probe: the student answers, and every answer is graded
    student = scripted_student(str(folder / "student"), None)
    before = measure(dev, student, greedy)
    attempts = measure(probe, student, greedy).attempts
    print("probe   ", dict(Counter(attempt.outcome.value for attempt in attempts)))

    # diagnose: cluster what failed
    diagnosis = diagnose(
        probe.problems(), attempts, HashingEmbedder(), config=DiagnoseConfig(), round_index=0, previous=None, seed=0
    )
    print("diagnose", [f"{item.label}: {item.failures}/{item.n}" for item in diagnosis.weaknesses])

    # allocate: more practice where more fails
    plan = allocate(
        diagnosis.weaknesses,
        method="error_mass",
        budget=NEW,
        strategy="targeted",
        round_index=0,
        min_per_cluster=0,
    )
    print("allocate", [allotment.n for allotment in plan.allotments])

    # draft: the strategy shows the teacher failed problems of each cluster, and reads its replies
    strategy, failed = make_strategy("targeted"), failed_pairs(probe.problems(), attempts)
    requests = []
    for weakness, allotment in zip(diagnosis.weaknesses, plan.allotments, strict=True):
        requests += strategy.requests(weakness, [failed[i] for i in weakness.problem_ids], allotment.n, seed=1)
    replies = demo_teacher().ask(requests)
    drafts = [
        draft for request, reply in zip(requests, replies, strict=True) for draft in strategy.parse(request, reply)[0]
    ]

    # verify: every draft is accepted or refused with a reason
    sealed = (*probe.problems(), *dev.problems())
    context = VerifyContext(replay=tuple(replay), accepted_before=(), sealed=sealed, same_template="allow")
    verdicts = judge(drafts, make_verifiers(("algebra", "duplicate", "contamination"), context), min_independent=1)
    accepted = [
        draft.problem for draft, verdict in zip(drafts, verdicts, strict=True) if verdict.accepted is Accepted.YES
    ]
    print("verify  ", len(accepted), "accepted,", dict(Counter(v.reason for v in verdicts if v.reason)), "refused")

    # mix: exactly 20 % new, 80 % replay
    mixture = mix(accepted, replay, new_share=0.2, replay_share=0.8, seed=0)
    print("mix     ", mixture.counts)

    # anneal: train an adapter on it
    by_id = {item.id: item for item in (*accepted, *replay)}
    chosen = [by_id[item.problem_id] for item in mixture.items]
    examples = [Example(item.id, item.statement, item.solution or "") for item in chosen]
    adapter = folder / "adapter"
    ScriptedTrainer().anneal(None, examples, seed=0, output_dir=adapter, scratch_dir=folder / "scratch")

    # measure and decide: paired with the incumbent, item by item
    after = measure(dev, scripted_student(str(folder / "student"), adapter), greedy, incumbent=before)
    print("measure ", f"dev {before.report.accuracy:.1%} -> {after.report.accuracy:.1%}")
    decision = decide(after.report, [], round_index=0, history=[], config=DecideConfig(), loop=LoopConfig(max_rounds=3))
    print("decide  ", "keep:" if decision.keep else "roll back:", decision.reason)
    grader.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        one_round(Path(name))
