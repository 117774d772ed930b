"""Pretraining: checks before it starts, a micro model that learns, determinism, a clean folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from eval.engines.chat import encode_prompt, load_tokenizer, render_prompt, to_messages
from memory.errors import ConfigError, DataError, UsageError
from memory.ids import sha256_file
from training.batches import bucketed_batches
from training.pretrain import PretrainConfig, StepLog, learning_rate_at, load_pretrain_config, pretrain, read_examples

MICRO = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "max_length": 48,
    "num_train_epochs": 4,
    "per_device_train_batch_size": 16,
    "learning_rate": 1e-2,
    "warmup_steps": 10,
    "log_every": 5,
}


def rows(n: int = 480) -> list[dict[str, str]]:
    rng = random.Random(0)
    found = []
    for index in range(n):
        name, a = rng.choice(["Ann", "Bob", "Mia"]), index % 40 + 10
        found.append(
            {"question": f"{name} has {a} pens. Say it.", "solution": f"{name}: \\boxed{{{a}}}", "answer": str(a)}
        )
    return found


def write_rows(path: Path, items: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in items), encoding="utf-8")
    return path


def config_for(path: Path, **changes: Any) -> PretrainConfig:
    return PretrainConfig(train_file=str(path), **{**MICRO, **changes})


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    file = tmp_path / "pretrain.yaml"
    file.write_text("train_file: data.jsonl\nlearning_rat: 0.1\n")
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        load_pretrain_config(file)
    file.write_text("train_file: data.jsonl\n")
    loaded = load_pretrain_config(file, ["columns.statement=problem"], seed=5)
    assert (loaded.train_file, loaded.columns.statement, loaded.seed) == (str(tmp_path / "data.jsonl"), "problem", 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "a", "solution": "b"}\n{"question": \n', r"line 2: not valid JSON"),
        ("\n[1]\n", r"line 2: a row must be a JSON object"),
        ('{"question": "a", "steps": "b"}\n', r"line 1: column 'solution' must hold a text; columns here: question, s"),
        ('{"question": "", "solution": "b"}\n', r"line 1: column 'question'"),
        ("\n", "holds no rows"),
        ('{"question": "a", "solution": "' + "12" * 40 + '"}\n', r"more than max_length 48"),
    ],
)
def test_bad_data_is_named_before_anything_is_written(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        pretrain(config_for(path), output_dir=tmp_path / "out")
    assert [item.name for item in tmp_path.iterdir()] == ["data.jsonl"]


def test_bytes_that_are_not_text_are_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"question": "\xff\xfe", "solution": "b"}\n')
    with pytest.raises(DataError, match="line 1: not valid JSON"):
        read_examples(path, PretrainConfig(train_file="x").columns)


def test_impossible_settings_and_used_folders_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.jsonl", rows(4))
    with pytest.raises(DataError, match="No training file at"):
        pretrain(config_for(tmp_path / "absent.jsonl"), output_dir=tmp_path / "out")
    with pytest.raises(UsageError, match="hidden_size 32 must be"):
        pretrain(config_for(path, num_attention_heads=3), output_dir=tmp_path / "out")
    with pytest.raises(UsageError, match="max_length 65 is above"):
        pretrain(config_for(path, max_length=65), output_dir=tmp_path / "out")
    with pytest.raises(UsageError, match="in use already"):
        pretrain(config_for(path), output_dir=tmp_path)


def test_batches_hold_every_example_once_and_waste_little() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(20, 120) for _ in range(2003)]
    batches = bucketed_batches(lengths, 40, seed=1)
    assert sorted(index for batch in batches for index in batch) == list(range(2003))
    assert batches == bucketed_batches(lengths, 40, seed=1)
    assert batches != bucketed_batches(lengths, 40, seed=2)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    config = PretrainConfig(train_file="x", learning_rate=1.0, warmup_steps=10, decay_share=0.4)
    rates = [learning_rate_at(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:61] == [1.0] * 52
    assert rates[80] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(1 / 40)


def weights_of(folder: Path) -> str:
    return sha256_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[StepLog]]:
    folder = tmp_path_factory.mktemp("pretrain")
    path = write_rows(folder / "data.jsonl", rows())
    log: list[StepLog] = []
    summary = pretrain(config_for(path), output_dir=folder / "student", progress=log.append)
    return folder, summary, log


@pytest.mark.real
def test_a_micro_model_learns_and_loads_like_any_other(trained: tuple[Path, dict[str, Any], list[StepLog]]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, summary, log = trained
    assert log[0].loss > 4.5
    assert summary["loss"] < 1.5
    assert (summary["examples"], summary["steps"], len(log)) == (480, 120, 120)
    model = AutoModelForCausalLM.from_pretrained(folder / "student")
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    assert model.config.architectures == ["LlamaForCausalLM"]
    assert model.dtype == torch.bfloat16
    assert sum(p.numel() for p in model.parameters()) == summary["parameters"]
    row = rows()[0]
    text = render_prompt(tokenizer, to_messages(row["question"]))
    prompt = encode_prompt(tokenizer, to_messages(row["question"]))
    ids = torch.tensor([[*prompt, *tokenizer(row["solution"])["input_ids"], tokenizer.eos_token_id]])
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    assert text.endswith("<|assistant|>")
    with torch.no_grad():
        assert float(model.float()(input_ids=ids, labels=labels).loss) < 2.0, "saved weights must be the trained ones"


@pytest.mark.real
def test_the_folder_is_plain_and_whole(trained: tuple[Path, dict[str, Any], list[StepLog]]) -> None:
    folder, summary, _ = trained
    names = sorted(path.name for path in (folder / "student").iterdir())
    assert names == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["data.jsonl", "student"], "no partial folder stays"
    tokenizer = json.loads((folder / "student" / "tokenizer.json").read_text())
    assert tokenizer["padding"] is None
    assert tokenizer["truncation"] is None
    generation = json.loads((folder / "student" / "generation_config.json").read_text())
    loaded = load_tokenizer(str(folder / "student"))
    assert generation["eos_token_id"] == loaded.eos_token_id != loaded.pad_token_id
    log = [json.loads(line) for line in (folder / "student" / "training_log.jsonl").read_text().splitlines()]
    assert len(log) == 24
    assert log[-1]["tokens"] == summary["tokens"]
    card = (folder / "student" / "README.md").read_text()
    assert summary["data_sha256"] in card
    assert str(folder) not in card


@pytest.mark.real
def test_same_seed_and_permuted_rows_give_the_same_bytes(
    trained: tuple[Path, dict[str, Any], list[StepLog]], tmp_path: Path
) -> None:
    folder, _, _ = trained
    mixed = rows()
    random.Random(3).shuffle(mixed)
    path = write_rows(tmp_path / "data.jsonl", mixed)
    pretrain(config_for(path), output_dir=tmp_path / "student")
    for name in sorted(item.name for item in (folder / "student").iterdir()):
        assert sha256_file(tmp_path / "student" / name) == sha256_file(folder / "student" / name), name
    pretrain(config_for(path, seed=1, num_train_epochs=1), output_dir=tmp_path / "student", overwrite=True)
    assert weights_of(tmp_path / "student") != weights_of(folder / "student")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["data.jsonl", "student"]


@pytest.mark.real
def test_bfloat16_products_train_the_same_model_about_as_well(
    trained: tuple[Path, dict[str, Any], list[StepLog]], tmp_path: Path
) -> None:
    folder, summary, _ = trained
    config = config_for(folder / "data.jsonl", matmul_dtype="bfloat16")
    half = pretrain(config, output_dir=tmp_path / "student")
    assert half["parameters"] == summary["parameters"]
    assert half["loss"] == pytest.approx(summary["loss"], rel=0.3)


@pytest.mark.real
def test_a_crash_leaves_no_model_folder(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.jsonl", rows(64))

    def crash(entry: StepLog) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        pretrain(config_for(path), output_dir=tmp_path / "student", progress=crash)
    assert [item.name for item in tmp_path.iterdir()] == ["data.jsonl"]
