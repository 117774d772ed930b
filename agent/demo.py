"""Scripted parts for the demo and for tests: a simulated student whose skill grows with practice, and its world.

The student knows a family of problems with some probability, decided by a hash of the problem's text, so that
it is the same on every machine; practice of a family (see `training.scripted`) raises the probability. Records,
checks, statistics and decisions around it are the real ones. Numbers from a demo say nothing about any model.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

from eval.engines.base import Engine, Messages, Sample, Sampling
from eval.engines.scripted import ScriptedEngine
from memory.errors import ConfigError
from memory.ids import derive_seed, sha256_file, sha256_text
from memory.records import Finish, TeacherRequest
from synthesis.teachers.base import Teacher
from synthesis.teachers.scripted import ScriptedTeacher
from training.scripted import practice_of, template_of

#: Family: statement with two numbers, its worked step, the answer, and how often the base knows it.
Family = tuple[str, str, Callable[[int, int], int], float]
FAMILIES: tuple[Family, ...] = (
    ("What is {a} plus {b}?", "{a}+{b}={c}", lambda a, b: a + b, 0.95),
    ("What is {a} minus {b}?", "{a}-{b}={c}", lambda a, b: a - b, 0.9),
    ("A box holds {a} pens. How many pens do {b} boxes hold?", "{a}*{b}={c}", lambda a, b: a * b, 0.15),
    ("A field is {a} m long and {b} m wide. How many metres of fence go around it?", "2*({a}+{b})={c}",
     lambda a, b: 2 * (a + b), 0.1),
    ("Find the square of the sum of {a} and {b}.", "({a}+{b})*({a}+{b})={c}", lambda a, b: (a + b) ** 2, 0.2),
    ("A ticket costs {a} coins, a snack {b} coins. What do three tickets and a snack cost?", "3*{a}+{b}={c}",
     lambda a, b: 3 * a + b, 0.3),
)  # fmt: skip
#: Practice that lifts a family to 63 % of what is missing.
HALF_LIFE = 60
SIZES = {"probe": 240, "dev": 300, "test": 300, "replay": 1200}


def problem(rng: random.Random, family: Family) -> dict[str, str]:
    """A JSONL row with question, solution and answer."""
    text, step, compute, _ = family
    a, b = rng.randint(20, 899), rng.randint(2, 19)
    c = compute(a, b)
    shown = {"a": a, "b": b, "c": c}
    return {
        "question": text.format(**shown),
        "solution": step.format(**shown) + f". \\boxed{{{c}}}",
        "answer": str(c),
    }


def write_demo(folder: Path) -> Path:
    """Write the demo's data, student and config; the same files every time. Returns the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(derive_seed("demo"))
    seen: set[tuple[str, str]] = set()
    for name, size in SIZES.items():
        rows: list[dict[str, str]] = []
        while len(rows) < size:
            # The validated mix is skewed: it is mostly what the student knows already.
            known = name == "replay" and rng.random() < 0.9
            row = problem(rng, rng.choice(FAMILIES[:2] if known else FAMILIES))
            key = (row["question"], row["answer"])
            if key not in seen:
                seen.add(key)
                rows.append(row)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    student = folder / "student"
    student.mkdir(exist_ok=True)
    knows = {template_of(text.format(a=1, b=1)): share for text, _, _, share in FAMILIES}
    (student / "scripted.json").write_text(json.dumps(knows, indent=1, sort_keys=True), encoding="utf-8")
    config = folder / "config.yaml"
    config.write_text(_CONFIG, encoding="utf-8")
    return config


_CONFIG = """\
# The scripted demo: a simulated student and teacher around the real loop.
name: demo
student: {engine: scripted, model_name_or_path: student}
teacher: {kind: scripted}
data:
  probe: {path: probe.jsonl}
  dev: {path: dev.jsonl}
  test: {path: test.jsonl}
  replay: {path: replay.jsonl}
  guard_size: 200
diagnose: {embedder: hashing}
allocate: {new_examples: 100}
verify: {same_template: allow}
loop: {max_rounds: 3}
"""


def check_student(folder: str) -> None:
    """The scripted student's file is there.

    Raises:
        ConfigError: it is not.
    """
    if not (Path(folder) / "scripted.json").is_file():
        raise ConfigError(f"student.model_name_or_path: {folder} holds no scripted.json, as a scripted student must.")


def scripted_student(folder: str, adapter: Path | None) -> Engine:
    """The simulated student with the practice its adapter records."""
    path = Path(folder) / "scripted.json"
    knows: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    practice = practice_of(adapter) if adapter is not None else {}
    marks = sha256_text(json.dumps([sha256_file(path), practice], sort_keys=True))

    def answer(messages: Messages, sampling: Sampling, sample_index: int) -> Sample:
        statement = messages[-1]["content"]
        template = template_of(statement)
        known = 1 - (1 - knows.get(template, 0.0)) * math.exp(-practice.get(template, 0) / HALF_LIFE)
        drawn = int(sha256_text(f"{statement} {sample_index if sampling.temperature else 0}")[:8], 16) / 0xFFFF_FFFF
        right = gold(statement)
        if right is None:
            return Sample("I do not know.", 4, Finish.STOP)
        shown = right if drawn < known else right + 1 + int(drawn * 10)
        return Sample(f"The answer is \\boxed{{{shown}}}", 6, Finish.STOP)

    return ScriptedEngine(answer, fingerprint=marks)


def gold(statement: str) -> int | None:
    """The right answer to a demo problem, None for any other text."""
    numbers = [int(word) for word in statement.replace("?", " ").replace(".", " ").split() if word.isdigit()]
    for text, _, compute, _ in FAMILIES:
        if len(numbers) == 2 and template_of(text.format(a=1, b=1)) == template_of(statement):
            return compute(numbers[0], numbers[1])
    return None


def demo_teacher() -> Teacher:
    """A teacher that recognises the family of each exemplar by its text and writes fresh problems of it."""

    def respond(request: TeacherRequest) -> str:
        rng = random.Random(request.seed)
        by_template = {template_of(family[0].format(a=1, b=1)): family for family in FAMILIES}
        shown = [by_template[key] for item in request.exemplars if (key := template_of(item.statement)) in by_template]
        rows = [problem(rng, shown[i % len(shown)]) for i in range(request.n)] if shown else []
        problems = [
            {"statement": row["question"], "solution": row["solution"], "answer": row["answer"]} for row in rows
        ]
        return json.dumps({"problems": problems})

    return ScriptedTeacher(respond)
