"""The symbolic and the scripted teacher: what they are shown, what they write, and what they refuse."""

import json
import random
import time

import pytest

from memory.errors import ConfigError, LabelError
from memory.ids import normalise_text, sha256_text
from memory.records import Exemplar, TeacherRequest
from synthesis.strategies.replies import Item, read_reply
from synthesis.teachers.scripted import ScriptedTeacher
from synthesis.teachers.symbolic import SymbolicTeacher
from synthesis.world.skills import LEVELS, SKILLS


@pytest.fixture(scope="module")
def teacher():
    return SymbolicTeacher()


def shown(skill, level, seed=0):
    item = SKILLS[skill].generate(random.Random(seed), level)
    return Exemplar(statement=item.statement, answer=item.answer, wrong_answer="1")


def request(*exemplars, n=8, seed=1, **fields):
    base = {"weakness_id": "w", "strategy": "targeted", "label": "boxes, books", "parents": ("p-1",)}
    return TeacherRequest.make(**{**base, "exemplars": exemplars, "n": n, "seed": seed, **fields})


def written(reply):
    assert reply.error is None
    return json.loads(reply.text)["problems"]


def cells(teacher, problems):
    return [teacher.recogniser.nearest(item["statement"], item["answer"]).cell for item in problems]


def test_replies_pass_the_strategy_s_reader_and_name_no_skill(teacher):
    asked = [request(shown(skill, level), n=10) for skill in SKILLS for level in LEVELS]
    for ask, reply in zip(asked, teacher.ask(asked), strict=True):
        read = read_reply(reply, ask.n)
        assert len(read) == 10
        assert all(isinstance(item, Item) for item in read), read
        assert all(set(row) == {"statement", "solution", "answer"} for row in written(reply))
        assert reply.request_id == ask.id
        assert reply.cost.completion_tokens == len(reply.text) // 4
        assert reply.cost.prompt_tokens > 0


def test_every_kind_shown_is_written(teacher):
    (reply,) = teacher.ask([request(shown("add", 2), shown("gcd", 2), shown("interest", 1), n=9)])
    found = [cell.skill for cell in cells(teacher, written(reply))]
    assert found == ["add", "gcd", "interest"] * 3


def test_probe_skills_are_recognised_from_text(teacher, root):
    # The wordings are those of the library: this is recognition of known kinds, not of new words.
    folder = root / "examples/quickstart/data"
    labels = {row["statement"]: row for row in map(json.loads, (folder / "labels.jsonl").open())}
    rows = list(map(json.loads, (folder / "probe.jsonl").open()))
    skill_hits = cell_hits = 0
    for row in rows:
        label = labels[sha256_text(normalise_text(row["question"]))]
        cell = teacher.recogniser.nearest(row["question"], row["answer"]).cell
        skill_hits += cell.skill == label["skill"]
        cell_hits += (cell.skill, cell.level) == (label["skill"], label["level"])
    assert skill_hits / len(rows) > 0.97
    assert cell_hits / len(rows) > 0.9


def test_names_do_not_matter(teacher):
    known = shown("change", 1, seed=3)
    other = known.statement
    for name in ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivy", "Jack", "Kate", "Leo"):
        other = other.replace(name, "Xenophon")
    one, two = (teacher.recogniser.nearest(text, known.answer) for text in (known.statement, other))
    assert one.cell == two.cell
    assert two.similarity == pytest.approx(one.similarity)


def test_level_jitter_writes_easier_ones():
    ask = request(shown("change", 2), n=60)
    levels = {}
    for share in (0.0, 0.3, 1.0):
        teacher = SymbolicTeacher(level_jitter=share)
        levels[share] = [cell.level for cell in cells(teacher, written(teacher.ask([ask])[0]))]
    assert set(levels[0.0]) == {2}
    assert set(levels[1.0]) == {1}
    assert 8 <= levels[0.3].count(1) <= 30
    easy = SymbolicTeacher(level_jitter=1.0)
    assert {cell.level for cell in cells(easy, written(easy.ask([request(shown("change", 1))])[0]))} == {1}


def test_a_reply_depends_on_its_request_alone(teacher):
    asked = [request(shown("add", 1)), request(shown("lcm", 2)), request(shown("add", 1), seed=2)]
    forward, backward = teacher.ask(asked), teacher.ask(asked[::-1])
    assert forward == backward[::-1]
    assert forward == SymbolicTeacher().ask(asked)
    assert forward[0].text != forward[2].text
    assert forward[0].text != SymbolicTeacher(seed=1).ask(asked[:1])[0].text


def test_nothing_is_written_twice_or_copied(teacher):
    exemplar = shown("multiply", 1)
    (reply,) = teacher.ask([request(exemplar, n=200)])
    texts = [row["statement"] for row in written(reply)]
    assert len(set(texts)) == 200
    assert exemplar.statement not in texts


def test_the_fingerprint_follows_the_settings():
    prints = {
        SymbolicTeacher(*args, **kwargs).fingerprint
        for args, kwargs in [((), {}), ((1,), {}), ((), {"level_jitter": 0.1}), ((), {"min_similarity": 0.5})]
    }
    assert len(prints) == 4
    assert SymbolicTeacher().fingerprint in prints
    with pytest.raises(ConfigError, match="level_jitter"):
        SymbolicTeacher(level_jitter=1.5)


STRANGE = (
    "Prove that every group of prime order is cyclic.",
    "Janet's ducks lay sixteen eggs; she bakes muffins for her friends every day with four.",
    "",
    "\x00\x07" * 3000,
    "a" * 300_000,
    "9" * 300_000,
    "Ω≠∅ " * 50_000,
)


@pytest.mark.parametrize("text", STRANGE)
def test_what_resembles_nothing_is_skipped_or_said(teacher, text):
    started = time.process_time()
    strange = Exemplar(statement=text, answer=text[:1000])
    alone, beside = teacher.ask([request(strange), request(strange, shown("ages", 1))])
    assert time.process_time() - started < 3
    assert (alone.text, bool(alone.error)) == ("", True)
    assert "resembles" in alone.error
    assert {cell.skill for cell in cells(teacher, written(beside))} == {"ages"}


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "label:skill=add"},
        {"weakness_id": "label:add"},
        {"parents": ("p-1", "label:add")},
        {"exemplars": (Exemplar(statement="What is 1 plus 2? label:add", answer="3"),)},
        {"exemplars": (Exemplar(statement="What is 1 plus 2?", answer="label:3"),)},
    ],
)
def test_hidden_labels_are_refused(teacher, fields):
    done = []
    with pytest.raises(LabelError, match="hidden label"):
        teacher.ask([request(shown("add", 1)), request(**{"exemplars": (shown("add", 1),), **fields})], done.append)
    assert done == []


def test_the_student_s_words_and_ordinary_prose_stop_nothing(teacher):
    plain = shown("add", 1)
    loud = plain.model_copy(update={"wrong_answer": "label:x"})
    said = plain.model_copy(update={"statement": "Read the label: " + plain.statement})
    assert teacher.ask([request(loud)])[0].error is None
    assert teacher.ask([request(said)])[0].error is None


def test_progress_and_order(teacher):
    done = []
    asked = [request(shown("add", 1), seed=seed) for seed in range(3)]
    assert [reply.request_id for reply in teacher.ask(asked, done.append)] == [ask.id for ask in asked]
    assert done == [1, 1, 1]


def test_scripted_teacher_says_what_it_is_told():
    done = []
    teacher = ScriptedTeacher(lambda ask: f"{ask.n} of {ask.seed}")
    asked = [request(shown("add", 1), n=n) for n in (3, 5)]
    replies = teacher.ask(asked, done.append)
    assert [reply.text for reply in replies] == ["3 of 1", "5 of 1"]
    assert [reply.request_id for reply in replies] == [ask.id for ask in asked]
    assert [reply.teacher for reply in replies] == ["scripted", "scripted"]
    assert done == [1, 1]
