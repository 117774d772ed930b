"""Exports of the scripted demo: the right rows, nothing that is measured; of a real run: that other tools load it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.export.atlas import FILE, command
from agent.export.cards import code, model_card, text
from agent.export.formats import FORMATS, trl
from agent.export.gather import Row, Training, _refuse_measured, gather
from agent.export.write import export
from agent.report.facts import round_facts
from agent.report.reading import read_records
from memory.errors import DataError, SplitError, StoreError, UsageError
from memory.ids import canonical_json
from memory.records import Measurement, Origin, Problem, RoundRecord, Split
from memory.store import RunFolder

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(unbroken: dict[str, Any]) -> RunFolder:
    return RunFolder(Path(unbroken["run"]))


@pytest.fixture
def copy(run: RunFolder, tmp_path: Path) -> RunFolder:
    """A run of one's own to change."""
    shutil.copytree(run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def roll_back(run: RunFolder, index: int) -> None:
    """Rewrite a round as if its adapter had not been kept."""
    stage = f"round-{index:02d}"
    (record,) = read_records(run, stage, "round", RoundRecord)
    before = [item for at in range(index) for item in read_records(run, f"round-{at:02d}", "round", RoundRecord)]
    base = record.student.model_copy(update={"id": "base", "path": None, "sha256": None})
    student = before[-1].student if before else base
    record = record.model_copy(
        update={"student": student, "decision": record.decision.model_copy(update={"keep": False})}
    )
    run.begin(stage, "round")
    run.commit(stage, "round", inputs="", seed=0, lines=[canonical_json(record.model_dump(mode="json"))])


def configure(run: RunFolder, section: str, **changes: Any) -> None:
    path = run.path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config[section] |= changes
    path.write_text(yaml.safe_dump(config))


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    content = (folder / name).read_text(encoding="utf-8")
    return json.loads(content) if name.endswith(".json") else [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_rows_are_the_mixtures_in_order(run: RunFolder, tmp_path: Path, kind: str) -> None:
    found = export(kind, run, tmp_path / "out")
    data = tmp_path / "out" / ("dataset" if kind == "hf" else "") / FORMATS[kind][1]
    mixtures = [round_facts(run, at).mixture for at in range(3)]
    wanted = [(item.problem_id, item.origin.value, at) for at, mix in enumerate(mixtures) if mix for item in mix.items]
    exported = rows(data.parent, data.name)
    assert [(row["id"], row["origin"], row["round"]) for row in exported] == wanted
    assert found["counts"] == {"new": 300, "replay": 1200}
    adapter = tmp_path / "out" / "adapter"
    for path in (run.path / "round-02" / "adapter").iterdir():
        assert (adapter / path.name).read_bytes() == path.read_bytes()
    for card in (data.parent if kind != "hf" else tmp_path / "out" / "dataset", adapter):
        head = yaml.safe_load((card / "README.md").read_text(encoding="utf-8").split("---\n")[1])
        assert head["license"] == "unknown"


def test_nothing_that_is_measured_leaves(run: RunFolder, demo_config: Path, tmp_path: Path) -> None:
    import pyarrow.parquet

    def statements(split: str) -> set[str]:
        lines = (demo_config.parent / f"{split}.jsonl").read_text().splitlines()
        return {json.loads(line)["question"] for line in lines}

    sealed = statements("dev") | statements("test")
    guard = {attempt.problem_id for found in read_records(run, "base", "guard", Measurement)
             for attempt in found.attempts}  # fmt: skip
    assert len(guard) == 200
    out: list[str] = []
    for kind in (*FORMATS, "atlas"):
        export(kind, run, tmp_path / kind)
        out += [path.read_text() for path in (tmp_path / kind).rglob("*") if path.suffix in (".json", ".jsonl", ".md")]
    whole = "\n".join(out)
    training = sealed | statements("probe")
    assert not [statement for statement in training if json.dumps(statement)[1:-1] in whole]
    assert not [name for name in guard if name in whole]
    table = pyarrow.parquet.read_table(tmp_path / "atlas" / FILE).to_pylist()
    shown = {row["statement"] for row in table}
    assert shown <= statements("probe")
    assert not shown & sealed


def test_the_map_says_what_the_rounds_say(run: RunFolder, tmp_path: Path) -> None:
    import pyarrow.parquet

    found = export("atlas", run, tmp_path / "out")
    assert found["command"] == command(tmp_path / "out")
    table = pyarrow.parquet.read_table(tmp_path / "out" / FILE).to_pylist()
    for at in range(3):
        facts = round_facts(run, at)
        part = [row for row in table if row["round"] == at]
        assert len(part) == 240
        assert {row["problem_id"] for row in part if row["failed"]} == facts.failed
        assert all(bool(row["cluster_id"]) == row["failed"] for row in part)
        assert all((row["student"] == row["gold"]) != row["failed"] for row in part)
    assert all(0 <= row["x"] <= 1 and 0 <= row["y"] <= 1 for row in table)
    assert len({(row["x"], row["y"]) for row in table}) > 10


def test_a_target_that_holds_anything_is_refused_and_left_alone(run: RunFolder, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError, match="never written over anything"):
            export("trl", run, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "link"]
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert export("trl", run, tmp_path / "empty")["rows"] == 1500


def test_only_rounds_that_were_kept_count(copy: RunFolder, tmp_path: Path) -> None:
    roll_back(copy, 1)
    found = gather(copy)
    assert [facts.index for facts in found.rounds] == [0, 2]
    assert found.counts == {"new": 200, "replay": 800}


def test_from_the_base_the_last_mixture_is_all(copy: RunFolder) -> None:
    configure(copy, "anneal", start_from="base")
    assert [facts.index for facts in gather(copy).rounds] == [2]


def test_where_no_round_was_kept_only_the_map_is_left(copy: RunFolder, tmp_path: Path) -> None:
    for at in range(3):
        roll_back(copy, at)
    with pytest.raises(UsageError, match="no round was kept"):
        export("hf", copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert export("atlas", copy, tmp_path / "out")["rows"] == 720


def test_a_replay_that_changed_is_named_and_nothing_is_written(
    copy: RunFolder, demo_config: Path, tmp_path: Path
) -> None:
    lines = (demo_config.parent / "replay.jsonl").read_text().splitlines(keepends=True)
    other = tmp_path / "replay.jsonl"
    other.write_text("".join(lines[:100]))
    config = yaml.safe_load((copy.path / "config.yaml").read_text())
    configure(copy, "data", replay=config["data"]["replay"] | {"path": str(other)})
    with pytest.raises(DataError, match=r"replay\.jsonl lacks \d+ problems .*the file has changed"):
        export("trl", copy, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["replay.jsonl", "run"]


def test_a_measured_problem_in_a_mixture_is_refused(run: RunFolder) -> None:
    (probe, *_) = [item for item in read_records(run, "base", "data", Problem) if item.split is Split.PROBE]
    (test,) = read_records(run, "final", "test", Measurement)
    same_text = Problem.make(f"  {probe.statement.upper()} ", "1", source="x", split=Split.SYNTHETIC)
    same_id = same_text.model_copy(update={"id": test.attempts[0].problem_id, "statement": "other"})
    sealed = same_text.model_copy(update={"statement": "other", "split": Split.DEV})
    for problem in (same_text, same_id, sealed):
        with pytest.raises(SplitError, match=problem.id):
            _refuse_measured(run, [Row(problem, Origin.NEW, 0, 1.0)])


def test_a_changed_adapter_is_not_exported(copy: RunFolder, tmp_path: Path) -> None:
    (copy.path / "round-02" / "adapter" / "practice.json").write_text("{}")
    with pytest.raises(StoreError, match="not what was written"):
        export("hf", copy, tmp_path / "out")


def test_a_student_with_a_template_gets_conversations(copy: RunFolder, tmp_path: Path) -> None:
    student = tmp_path / "student"
    student.mkdir()
    (student / "chat_template.jinja").write_text("{{ messages }}")
    configure(copy, "student", model_name_or_path=str(student), system_prompt="Think.")
    export("axolotl", copy, tmp_path / "axolotl")
    row = rows(tmp_path / "axolotl", "train.jsonl")[0]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    (data,) = yaml.safe_load((tmp_path / "axolotl" / "axolotl.yaml").read_text())["datasets"]
    assert (data["type"], data["field_messages"]) == ("chat_template", "messages")
    export("trl", copy, tmp_path / "trl")
    row = rows(tmp_path / "trl", "train.jsonl")[0]
    assert [message["role"] for message in row["prompt"] + row["completion"]] == ["system", "user", "assistant"]
    export("llamafactory", copy, tmp_path / "llamafactory")
    (info,) = json.loads((tmp_path / "llamafactory" / "dataset_info.json").read_text()).values()
    row = rows(tmp_path / "llamafactory", info["file_name"])[0]
    assert {"instruction", "input", "output", "system"} == set(info["columns"].values())
    assert row["system"] == "Think."


def test_text_is_data(run: RunFolder) -> None:
    found = gather(run)
    evil = "---\nlicense: mit\n---\n<script>alert(1)</script> {{ 7 * 7 }} \ud800 \x1b[2J | `x`"
    problem = Problem.make(evil, "1", solution=evil, source=evil, split=Split.SYNTHETIC)
    bad = replace(found, rows=(Row(problem, Origin.NEW, 0, 1.0),), name=evil)
    content = trl(bad)["train.jsonl"]
    (line,) = content.splitlines()
    row = json.loads(line)
    assert "{{ 7 * 7 }}" in row["prompt"], "the template renders the text and does not read it"
    content.encode("utf-8")
    card = model_card(bad, "unknown")
    assert card.count("\n---\n") == 1
    assert not set(card) & {"\x1b", "\ud800"}
    assert "<script>" not in card
    assert text("a|b`<x>") == "a\\|b\\`&lt;x&gt;"
    assert code("`a|b`\n## x") == "'a/b' ## x"


def test_a_base_that_is_a_folder_of_some_machine_is_named_without_its_path(run: RunFolder) -> None:
    found = gather(run)
    away = replace(found, manifest=found.manifest | {"base_model_name_or_path": "/home/someone/models/tiny"})
    assert "/home/someone" not in model_card(away, "unknown")
    assert "`tiny`" in model_card(away, "unknown")


def test_cards_say_what_was_measured(run: RunFolder, unbroken: dict[str, Any]) -> None:
    card = model_card(gather(run), "apache-2.0")
    test = unbroken["test"]
    assert f"base {test['base']:.1f} %, with this adapter {test['final']:.1f} %" in card
    assert f"paired 95 % interval [{test['low']:+.1f}, {test['high']:+.1f}]" in card
    assert "licence: apache-2.0" in card
    for entry in unbroken["rounds"]:
        assert f"| {entry['index']} | {entry['drafted']} | {entry['accepted']} |" in card


def test_the_command(cli: Cli, run: RunFolder, tmp_path: Path) -> None:
    done = cli("export", "trl", run.path, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0] == "README.md"
    again = cli("export", "trl", run.path, "-o", tmp_path / "out")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is not empty" in again.stderr
    atlas = cli("export", "atlas", run.path, "-o", tmp_path / "atlas")
    assert f"embedding-atlas {tmp_path / 'atlas' / FILE} --text statement --x x --y y" in atlas.stdout
    wrong = cli("export", "pdf", run.path, "-o", tmp_path / "pdf")
    assert wrong.returncode == 2
    assert "'llamafactory'" in wrong.stderr


@pytest.mark.real
def test_other_tools_load_what_a_real_run_exports(cli: Cli, root: Path, tmp_path: Path) -> None:
    """`datasets` finds the data through the card, TRL trains on the same tokens as we did, peft loads the adapter."""
    student = root / "examples" / "quickstart" / "student"
    if not (student / "model.safetensors").is_file():
        pytest.skip("the quickstart student is not built; `make student` builds it")
    settings = ("allocate.new_examples=20", "data.guard_size=40", "loop.max_rounds=1", "decide.keep=always",
                "diagnose.embedder=hashing", "anneal.num_threads=1")  # fmt: skip
    small = ("--limit", "40", *(word for setting in settings for word in ("--set", setting)))
    done = cli("run", "-c", root / "examples/quickstart/config.yaml", "-o", tmp_path / "run", "--json", "-q", *small)
    assert done.returncode == 0, done.stderr
    run = RunFolder(tmp_path / "run")
    for kind in ("hf", "trl"):
        export(kind, run, tmp_path / kind)

    from datasets import load_dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    from eval.engines.chat import load_tokenizer
    from training.base import Example
    from training.encoding import encode_examples

    data = load_dataset(str(tmp_path / "hf" / "dataset"), split="train")
    found: Training = gather(run)
    assert data["id"] == [row.problem.id for row in found.rows]
    assert data["solution"][0] == found.rows[0].problem.solution

    tokenizer = load_tokenizer(str(student))
    model = AutoModelForCausalLM.from_pretrained(student)
    examples = [Example(row.problem.id, row.problem.statement, row.problem.solution or "") for row in found.rows]
    ours = encode_examples(tokenizer, examples)
    rows_ = load_dataset("json", data_files=str(tmp_path / "trl" / "train.jsonl"), split="train")
    args = SFTConfig(
        output_dir=str(tmp_path / "sft"), max_steps=1, per_device_train_batch_size=4, max_length=1024, report_to="none",
        use_cpu=True, completion_only_loss=True, save_strategy="no", bf16=False,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=args, train_dataset=rows_, processing_class=tokenizer)
    for mine, theirs in zip(ours[:50], trainer.train_dataset, strict=False):
        assert list(theirs["input_ids"])[: len(mine.ids)] == list(mine.ids)
        assert list(theirs["labels"])[: len(mine.ids)] == list(mine.labels), "the loss falls on the same tokens"
    trainer.train()

    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(student), tmp_path / "hf" / "adapter")
    assert any("lora_A" in name for name, _ in adapted.named_parameters())
