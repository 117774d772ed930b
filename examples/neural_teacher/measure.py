"""Measure the neural teacher against exact truth: what it writes, and what it solves.

    python examples/neural_teacher/measure.py [--requests 600] [--model examples/neural_teacher/model] [--json FILE]
        [--base-url http://127.0.0.1:8000/v1]

Asks as the product does (the same prompts, teacher and reading of replies), with problems of the quickstart's probe
split as exemplars. Without --base-url the model runs in this process, without a JSON schema; with it, behind a server.
The truth of a statement is computed by benchmarks/truth.py from the statement alone. What --json writes can be given to
`benchmarks/verification_quality.py --drafts FILE`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.truth import Truth, truth
from eval.answers import extract
from eval.engines.base import Engine, Sampling
from eval.engines.hf import TransformersEngine
from eval.expressions import value
from memory.ids import normalise_text
from memory.records import Draft, Exemplar, Refusal, TeacherRequest
from synthesis.prompting import Prompts
from synthesis.strategies.targeted import Targeted
from synthesis.teachers.llm import LLMTeacher

HERE = Path(__file__).parent
DATA = HERE.parent / "quickstart" / "data"
NEW_TOKENS = 320


def rows_of(split: str) -> list[dict[str, str]]:
    """The rows of one of the quickstart's files."""
    return [json.loads(line) for line in (DATA / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def make_requests(count: int, seed: int) -> list[TeacherRequest]:
    """One problem each, for one or two exemplars of one skill."""
    rng = random.Random(seed)
    by_skill: dict[tuple[str, int], list[dict[str, str]]] = defaultdict(list)
    for row in rows_of("probe"):
        found = truth(row["question"])
        if found is not None:
            by_skill[found.skill, found.level].append(row)
    cells = sorted(by_skill)
    made = []
    for index in range(count):
        shown = rng.sample(by_skill[cells[index % len(cells)]], rng.choice((1, 2)))
        exemplars = tuple(Exemplar(statement=row["question"], answer=row["answer"]) for row in shown)
        fields: dict[str, Any] = {"weakness_id": "w", "strategy": "targeted", "label": "", "parents": ()}
        made.append(TeacherRequest.make(**fields, exemplars=exemplars, n=1, seed=index))
    return made


def kind_of(draft: Draft, found: Truth | None) -> str:
    """``right``, ``wrong``, ``ill_posed`` or ``other_words`` (no truth is known)."""
    if found is None:
        return "other_words"
    if found.answer is None:
        return "ill_posed"
    return "right" if value(draft.problem.answer) == found.answer else "wrong"


def written(engine: Engine, requests: Sequence[TeacherRequest], temperature: float) -> tuple[dict[str, Any], list[Any]]:
    """What the teacher writes: counts, and the drafts whose truth is known."""
    teacher = LLMTeacher(
        engine,
        Prompts(HERE / "prompts"),
        name="neural-teacher",
        temperature=temperature,
        max_new_tokens=NEW_TOKENS,
        repair=False,
    )
    strategy = Targeted()
    kinds: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    same_skill = copies = 0
    seen: Counter[str] = Counter()
    by_skill: dict[str, Counter[str]] = defaultdict(Counter)
    drafts = []
    for request, reply in zip(requests, teacher.ask(requests), strict=True):
        found_drafts, found_refusals = strategy.parse(request, reply)
        _count(refusals, found_refusals)
        for draft in found_drafts:
            known, asked = truth(draft.problem.statement), truth(request.exemplars[0].statement)
            kind = kind_of(draft, known)
            kinds[kind] += 1
            same_skill += known is not None and asked is not None and known.skill == asked.skill
            if asked is not None:
                by_skill[asked.skill][kind] += 1
            text = normalise_text(draft.problem.statement)
            copies += text in {normalise_text(item.statement) for item in request.exemplars}
            seen[text] += 1
            if known is not None:
                right = None if known.answer is None else str(known.answer)
                drafts.append({"kind": kind, "truth": right, **draft.problem.model_dump(mode="json", include=_SHOWN)})
    total = len(requests)
    return {
        "requests": total,
        "readable, one box, answer as boxed": sum(kinds.values()),
        "refused": dict(refusals),
        **{kind: kinds[kind] for kind in ("right", "wrong", "ill_posed", "other_words")},
        "of the skill shown": same_skill,
        "copies of what was shown": copies,
        "repeated statements": sum(n - 1 for n in seen.values()),
        "right by skill, in %": {
            skill: round(100 * counts["right"] / sum(counts.values())) for skill, counts in sorted(by_skill.items())
        },
    }, drafts


_SHOWN = {"statement", "solution", "answer"}


def _count(counter: Counter[str], refusals: Sequence[Refusal]) -> None:
    counter.update(refusal.reason for refusal in refusals)


def solved(engine: Engine, samples: int) -> dict[str, Any]:
    """How many of the quickstart's dev problems the teacher solves: greedy, and in samples as agreement asks."""
    rows, prompts = rows_of("dev"), Prompts(HERE / "prompts")
    messages = [prompts.render("solve", statement=row["question"]) for row in rows]
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    greedy = engine.generate(messages, Sampling(max_new_tokens=160))
    for row, (sample,) in zip(rows, greedy, strict=True):
        found = truth(row["question"])
        skill = found.skill if found else "?"
        asked[skill] += 1
        right[skill] += _equal(sample.text, row["answer"])
    sampled = engine.generate(messages, Sampling(n=samples, temperature=0.7, top_p=0.95, max_new_tokens=160))
    shares = [
        sum(_equal(sample.text, row["answer"]) for sample in found) / samples
        for row, found in zip(rows, sampled, strict=True)
    ]
    return {
        "problems": len(rows),
        "solved greedily": sum(right.values()),
        "mean share of samples": round(sum(shares) / len(shares), 3),
        "at least half of the samples": sum(share >= 0.5 for share in shares),
        "solved by skill, in %": {skill: round(100 * right[skill] / asked[skill]) for skill in sorted(asked)},
    }


def _equal(text: str, answer: str) -> bool:
    found = extract(text)
    return found is not None and value(found) == value(answer) == Fraction(answer)


def main() -> None:
    """Print both tables as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=HERE / "model")
    parser.add_argument("--base-url")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write drafts with their truth here, one a line")
    arguments = parser.parse_args()
    if arguments.base_url:
        from eval.engines.openai_http import OpenAIEngine

        engine: Engine = OpenAIEngine("neural-teacher", [arguments.base_url])
    else:
        engine = TransformersEngine(str(arguments.model))
    counts, drafts = written(engine, make_requests(arguments.requests, arguments.seed), arguments.temperature)
    print(json.dumps({"written": counts, "solved": solved(engine, arguments.samples)}, indent=2))
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(draft) + "\n" for draft in drafts), encoding="utf-8")


if __name__ == "__main__":
    main()
