"""The world: every step true by a checker of its own, enough variety, and data that the script reproduces."""

import ast
import json
import operator
import random
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest

from eval.overlap import number_signatures
from memory.ids import canonical_json, sha256_text
from synthesis.world.base import Generated
from synthesis.world.skills import LEVELS, SKILLS, drill
from training.pretrain import PretrainColumns, read_examples

CELLS = [(name, level) for name in SKILLS for level in LEVELS]
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COLUMNS = {"question", "solution", "answer"}


def value(text: str, x: Fraction) -> Fraction:
    """Exact value of an expression in x: walks the syntax tree, shares nothing with the package's parser."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return Fraction(node.value)
        if isinstance(node, ast.Name) and node.id == "x":
            return x
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -of(node.operand)
        assert isinstance(node, ast.BinOp), f"{text}: {ast.dump(node)}"
        return OPERATORS[type(node.op)](of(node.left), of(node.right))

    return of(ast.parse(re.sub(r"(\d)x", r"\1*x", text.strip()), mode="eval").body)


def false_steps(item: Generated) -> list[str]:
    """Steps that are no equation or whose sides differ; the answer stands for x."""
    steps, _, box = item.solution.partition("\\boxed{")
    assert box == item.answer + "}", item
    found = [step for step in re.split(r"[.;]\s", steps) if step.strip()]
    assert found, item
    bad = []
    for step in found:
        sides = step.split("=")
        if len(sides) < 2 or len({value(side, Fraction(item.answer)) for side in sides}) > 1:
            bad.append(step)
    return bad


def test_enough_skills_levels_and_wordings():
    assert len(SKILLS) >= 24
    for skill in SKILLS.values():
        assert set(skill.wordings) == set(LEVELS)
        assert all(len(set(texts)) == len(texts) >= 3 for texts in skill.wordings.values()), skill.name


def test_two_thousand_problems_are_exactly_true():
    rng = random.Random(7)
    items = [SKILLS[name].generate(rng, level) for name, level in CELLS * 40]
    assert len(items) >= 2000
    assert [(item.statement, bad) for item in items if (bad := false_steps(item))] == []


def test_drills_are_exactly_true_and_five_long():
    rng = random.Random(8)
    items = [drill(rng) for _ in range(500)]
    assert [(item.statement, bad) for item in items if (bad := false_steps(item))] == []
    assert all(len(item.statement.split("; ")) == 5 for item in items)


@pytest.mark.parametrize(
    ("solution", "bad"),
    [
        ("3+4=7*2=14. \\boxed{14}", ["3+4=7*2=14"]),
        ("20+7=28. 28/2=14. \\boxed{14}", ["20+7=28"]),
        ("3x=21. x=21/3=7. \\boxed{14}", ["3x=21", "x=21/3=7"]),
        ("2*7=14. \\boxed{14}", []),
    ],
)
def test_the_checker_sees_false_steps(solution, bad):
    assert false_steps(Generated("", solution, "14", "", 1, 0)) == bad


def test_same_seed_same_problem_and_wording_is_obeyed():
    for name, level in CELLS:
        texts = SKILLS[name].wordings[level]
        for wording in range(len(texts)):
            one, two = (SKILLS[name].generate(random.Random(3), level, wording) for _ in range(2))
            assert one == two
            assert (one.skill, one.level, one.wording) == (name, level, wording)
            assert "{" not in one.statement
    with pytest.raises(KeyError):
        SKILLS["add"].generate(random.Random(0), 9)


@pytest.mark.parametrize(("name", "level"), CELLS)
def test_numbers_vary(name, level):
    rng = random.Random(5)
    items = [SKILLS[name].generate(rng, level) for _ in range(1500)]
    seen = {(tuple(sorted(re.findall(r"\d+", item.statement))), item.answer) for item in items}
    assert len(seen) >= 200
    assert len({item.answer for item in items}) >= 8
    assert max(len(item.statement) + len(item.solution) for item in items) < 400


def test_fractions_are_reduced():
    rng = random.Random(6)
    answers = [SKILLS["fraction"].generate(rng, 2).answer for _ in range(300)]
    assert any("/" in answer for answer in answers)
    assert all(str(Fraction(answer)) == answer for answer in answers)


SKILLS_USED = 25  # of the world's skills in the quickstart


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def data(root):
    folder = root / "examples/quickstart/data"
    return {name: rows(folder / f"{name}.jsonl") for name in ("probe", "dev", "test", "replay")}


def test_problem_files_are_balanced_clean_and_apart(data):
    texts = {name: [" ".join(row["question"].lower().split()) for row in found] for name, found in data.items()}
    everything = [text for found in texts.values() for text in found]
    assert len(everything) == len(set(everything))
    sizes = {name: len(found) for name, found in data.items()}
    assert (sizes["probe"], sizes["test"], sizes["replay"]) == (24 * SKILLS_USED, 24 * SKILLS_USED, 12_000)
    assert 47 * SKILLS_USED < sizes["dev"] <= 48 * SKILLS_USED
    assert all(set(row) == COLUMNS for found in data.values() for row in found)


def test_labels_are_balanced_and_cover_what_is_measured(root, data):
    labels = rows(root / "examples/quickstart/data/labels.jsonl")
    assert len({row["statement"] for row in labels}) == sum(len(data[name]) for name in ("probe", "dev", "test"))
    counts = Counter((row["skill"], row["level"]) for row in labels)
    assert len(counts) == 2 * SKILLS_USED
    assert min(counts.values()) >= 40
    assert max(counts.values()) == 48


def digits_and_answer(row):
    """A signature of the test's own: a fraction such as 3/4 is one number."""
    return tuple(sorted(re.findall(r"\d+(?:/\d+)?", row["question"]))), row["answer"]


def test_no_replay_problem_shares_numbers_and_answer_with_a_measured_one(data):
    measured = {digits_and_answer(row) for name in ("probe", "dev", "test") for row in data[name]}
    assert [row["question"] for row in data["replay"] if digits_and_answer(row) in measured] == []


def test_no_two_measured_problems_share_numbers_and_answer(data):
    counts = Counter(digits_and_answer(row) for name in ("probe", "dev", "test") for row in data[name])
    assert [key for key, n in counts.items() if n > 1] == []


@pytest.mark.real
def test_no_training_problem_is_a_twin_of_a_measured_one(root, data):
    path = root / "examples/quickstart/data/pretrain.jsonl"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the repository; examples/quickstart/make_data.py writes it")

    def signatures(row):
        return number_signatures(row["question"], row["answer"])

    measured = {key for name in ("probe", "dev", "test") for row in data[name] for key in signatures(row)}
    found = [row["question"] for row in (*rows(path), *data["replay"]) if not measured.isdisjoint(signatures(row))]
    assert found == []


def test_the_script_reproduces_the_data(root, tmp_path):
    for seed in ("1", "2"):  # of Python's hashes
        make_data(root, tmp_path, seed, "--pretrain-examples", "100")
        for name in ("probe", "test", "replay"):
            made = (tmp_path / f"{name}.jsonl").read_bytes()
            assert made == (root / f"examples/quickstart/data/{name}.jsonl").read_bytes(), name
    assert len(rows(tmp_path / "pretrain.jsonl")) >= 100


@pytest.mark.real
def test_the_corpus_is_the_one_the_student_was_trained_on(root, tmp_path):
    """Dev is made last and avoids the whole corpus, so it needs the whole corpus too."""
    make_data(root, tmp_path, "3")
    for name in ("probe", "dev", "test", "replay", "labels"):
        made = (tmp_path / f"{name}.jsonl").read_bytes()
        assert made == (root / f"examples/quickstart/data/{name}.jsonl").read_bytes(), name
    pairs = read_examples(tmp_path / "pretrain.jsonl", PretrainColumns())
    card = (root / "examples/quickstart/student/README.md").read_text(encoding="utf-8")
    assert sha256_text(canonical_json(pairs)) in card


def make_data(root, folder, hash_seed, *arguments):
    script = root / "examples/quickstart/make_data.py"
    command = [sys.executable, str(script), *arguments, "--out", str(folder)]
    env = {"PYTHONPATH": str(root), "PYTHONHASHSEED": hash_seed, "PATH": ""}
    subprocess.run(command, check=True, env=env, cwd=folder, capture_output=True, timeout=300)
