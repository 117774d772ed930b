"""A finished round written into a run folder without running anything: for views, at any size and with any texts.

The records are real ones in the places where a run puts them; the numbers say nothing about any model.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from eval.stats import wilson
from memory.ids import canonical_json, short_id
from memory.records import (
    Accepted,
    Allocation,
    Allotment,
    Attempt,
    Check,
    CheckOutcome,
    Diagnosis,
    Draft,
    DraftBatch,
    Finish,
    Outcome,
    Problem,
    Record,
    Refusal,
    Split,
    Verdict,
    Weakness,
)
from memory.store import CONFIG, MANIFEST, RunFolder

#: One failure: statement, gold answer, what the student wrote, the answer read from it.
Failure = tuple[str, str, str, str | None]

COMMON = "the a of and how many each has buys sells more than left total after gives another then costs"

_CONFIG = """\
student: {engine: scripted, model_name_or_path: student}
teacher: {kind: scripted}
data:
  probe: {path: probe.jsonl}
  dev: {path: dev.jsonl}
  test: {path: test.jsonl}
  replay: {path: replay.jsonl}
diagnose: {embedder: hashing}
"""


def make_run(
    folder: Path, failures: Sequence[Failure], *, clusters: int, labels: Sequence[str] = (), drafts: Sequence[str] = ()
) -> RunFolder:
    """Write a run whose round 0 was diagnosed, drafted for and verified.

    Args:
        folder: where; it must not exist.
        failures: the failed problems; cluster i takes every ``clusters``-th from i on.
        clusters: how many clusters.
        labels: names of the first clusters.
        drafts: statements of drafts for the first cluster; all are refused but the first.
    """
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(_CONFIG, encoding="utf-8")
    manifest = {"run_id": "made", "seed": 0, "plan": {"student": "made", "teacher": "made"}, "versions": {}}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    run = RunFolder(folder)
    problems = [
        Problem.make(statement, answer, source="made.jsonl", split=Split.PROBE, solution=f"It is {answer}.")
        for statement, answer, _, _ in failures
    ]
    attempts = [
        Attempt.make(
            problem_id=problem.id, student="made", sample_index=0, seed=0, text=text, n_tokens=len(text) // 4,
            finish=Finish.STOP, outcome=Outcome.WRONG if read is not None else Outcome.UNPARSED, extracted=read,
        )
        for problem, (_, _, text, read) in zip(problems, failures, strict=True)
    ]  # fmt: skip
    weaknesses = [
        _weakness(
            tuple(problem.id for problem in problems[at::clusters]), labels[at] if at < len(labels) else f"topic {at}"
        )
        for at in range(clusters)
    ]
    diagnosis = Diagnosis(
        round=0,
        weaknesses=tuple(weaknesses),
        triage={"wrong": len(failures)},
        k=clusters,
        k_rule="made",
        stability=None,
    )
    plan = Allocation(
        round=0, method="made", budget=len(drafts),
        allotments=(Allotment(weakness_id=weaknesses[0].id, strategy="targeted", n=len(drafts)),),
    )  # fmt: skip
    batch, verdicts = _written(weaknesses[0].id, drafts)
    for stage, step, records in (
        ("base", "data", problems), ("round-00", "probe", attempts), ("round-00", "diagnose", [diagnosis]),
        ("round-00", "allocate", [plan]), ("round-00", "draft", [batch]), ("round-00", "verify", verdicts),
    ):  # fmt: skip
        _commit(run, stage, step, records)
    return run


def _weakness(names: tuple[str, ...], label: str) -> Weakness:
    n = 2 * len(names)
    low, high = wilson(len(names), n)
    return Weakness(
        id=short_id("w", names), round=0, label=label, keyphrases=(label,), problem_ids=names, n=n, failures=len(names),
        failure_rate=0.5, low=low, high=high,
    )  # fmt: skip


def _written(weakness: str, statements: Sequence[str]) -> tuple[DraftBatch, list[Verdict]]:
    drafts = [
        Draft.make(
            problem=Problem.make(text, "4", source="made", split=Split.SYNTHETIC, solution=text),
            prompt_hash=str(at), weakness_id=weakness, strategy="targeted", teacher="made", seed=at,
        )
        for at, text in enumerate(statements)
    ]  # fmt: skip
    verdicts = [
        Verdict(
            draft_id=draft.id,
            accepted=Accepted.NO if at else Accepted.YES,
            checks=(
                Check(
                    verifier="algebra", version="1", outcome=CheckOutcome.FAIL if at else CheckOutcome.PASS,
                    reason="wrong_answer" if at else "", evidence=draft.problem.statement if at else "",
                ),
            ),
        )
        for at, draft in enumerate(drafts)
    ]  # fmt: skip
    refusals = tuple(
        Refusal(request_id="q", strategy="targeted", weakness_id=weakness, reason="no_json", evidence=text)
        for text in statements[:1]
    )
    return DraftBatch(
        drafts=tuple(drafts), refusals=refusals, misconception=statements[0] if statements else None
    ), verdicts


def _commit(run: RunFolder, stage: str, step: str, records: Sequence[Record]) -> None:
    run.begin(stage, step)
    lines = [canonical_json(record.model_dump(mode="json")) for record in records]
    run.commit(stage, step, inputs="made", seed=0, lines=lines, facts={"seconds": 1.0, "records": len(lines)})


def wordy_failures(n: int, topics: int, seed: int) -> list[Failure]:
    """``n`` failures like those of a 1B model on word problems: about 250 characters of question, 1,200 of answer."""
    rng = random.Random(seed)
    words = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("ck", "ll", "nt", "rd", "st", "mp", "sh")]
    common = COMMON.split()
    own = [rng.sample(words, 12) for _ in range(topics)]

    def text(topic: int, length: int) -> str:
        parts: list[str] = []
        size = 0
        while size < length:
            kind = rng.random()
            word = str(rng.randint(2, 9999)) if kind < 0.18 else rng.choice(own[topic] if kind < 0.55 else common)
            parts.append(word)
            size += len(word) + 1
        return " ".join(parts)

    found = []
    for at in range(n):
        topic = at % topics
        read = str(rng.randint(1, 99999))
        question = text(topic, rng.randint(120, 380)) + "?"
        answer = text(topic, rng.randint(600, 1800)) + f" so $x^2 = {read}$ and \\boxed{{{read}}}"
        found.append((question, str(rng.randint(1, 99999)), answer, read))
    return found
