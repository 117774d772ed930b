import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.engines.chat import encode_prompt, load_tokenizer, to_messages
from memory.errors import ConfigError
from training.adapters import adapter_hash, adapter_rank
from training.anneal import LoraTrainer, check_anneal, parse_config
from training.base import Example, TrainResult

real = pytest.mark.real

SETTINGS = {"learning_rate": 3e-3, "lora_r": 4, "lora_alpha": 8, "per_device_train_batch_size": 4, "max_length": 64}


def examples(n: int = 48) -> list[Example]:
    rng = random.Random(0)
    pairs = [(rng.randint(2, 99), rng.randint(2, 99)) for _ in range(n)]
    return [
        Example(f"p-{i:03d}", f"{a} plus {b}?", f"{a}+{b}={a + b}. \\boxed{{{a + b}}}")
        for i, (a, b) in enumerate(pairs)
    ]


def anneal(
    student: Path,
    folder: Path,
    *,
    adapter: Path | None = None,
    seed: int = 1,
    progress: Callable[[int], None] | None = None,
    data: list[Example] | None = None,
    **settings: Any,
) -> TrainResult:
    trainer = LoraTrainer(str(student), parse_config(SETTINGS | settings), base_name="student")
    return trainer.anneal(
        adapter,
        examples() if data is None else data,
        seed=seed,
        output_dir=folder / "adapter",
        scratch_dir=folder / "scratch",
        progress=progress,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "adapter").iterdir()}


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.fixture(scope="module")
def reference(student: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    folder = tmp_path_factory.mktemp("reference")
    return folder, anneal(student, folder)


# ---- settings


def test_a_wrong_setting_names_the_key_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        parse_config({"learning_rat": 1e-3})
    with pytest.raises(ConfigError, match="lora_r"):
        parse_config({"lora_r": 0})


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"use_dora.*start_from: base"):
        parse_config({"use_dora": True})
    assert parse_config({"use_dora": True, "start_from": "base"}).use_dora
    with pytest.raises(ConfigError, match="raise tokens_per_batch"):
        parse_config({"batching": "token_budget", "tokens_per_batch": 100, "max_length": 200})


def test_the_fingerprint_ignores_what_does_not_change_the_result(tmp_path: Path) -> None:
    def mark(**settings: Any) -> str:
        return LoraTrainer(str(tmp_path), parse_config(SETTINGS | settings)).fingerprint

    assert mark() == mark(save_steps=7)
    assert mark() != mark(learning_rate=1e-3)
    before = mark()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert mark() != before


# ---- training


@real
def test_it_learns_and_reports(
    reference: tuple[Path, TrainResult], student: Path, logits_of: Callable[..., Any]
) -> None:
    folder, result = reference
    stats = result.stats
    assert result.rank == adapter_rank(folder / "adapter") == 4
    assert stats["n_examples"] == 48
    assert stats["steps"] == 12
    assert 0 < stats["n_trained_tokens"] < stats["n_tokens"]
    assert stats["length_p50"] <= stats["length_p90"] <= stats["length_p99"] <= stats["length_max"] <= 64
    assert stats["loss_final"] < stats["loss_mean"]
    assert float((logits_of(student, folder / "adapter") - logits_of(student)).abs().max()) > 1e-3
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "student"
    assert config["target_modules"] == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )


@real
def test_the_output_folder_holds_three_plain_files(reference: tuple[Path, TrainResult]) -> None:
    folder, _ = reference
    assert set(files(folder)) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert list((folder / "scratch").iterdir()) == []


@real
def test_a_repetition_is_bit_identical_and_silent(
    reference: tuple[Path, TrainResult], student: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    torch.manual_seed(123)  # the state of the process does not matter
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    seen: list[int] = []
    again = anneal(student, tmp_path, progress=seen.append)
    folder, first = reference
    assert files(tmp_path) == files(folder)
    assert again == first
    assert sum(seen) == 48
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    out, err = capfd.readouterr()
    assert out == ""
    assert "it/s" not in err


@real
def test_the_seed_matters(reference: tuple[Path, TrainResult], student: Path, tmp_path: Path) -> None:
    anneal(student, tmp_path, seed=2)
    assert adapter_hash(tmp_path / "adapter") != adapter_hash(reference[0] / "adapter")


@real
@pytest.mark.parametrize("damage", ["none", "truncated", "marker", "partial"])
def test_a_killed_training_resumes_to_the_same_bytes(student: Path, tmp_path: Path, damage: str) -> None:
    settings: dict[str, Any] = {"lora_dropout": 0.1, "save_steps": 3, "num_train_epochs": 2}
    unbroken = anneal(student, tmp_path / "whole", **(settings | {"save_steps": 0}))
    done: list[int] = []

    def kill(n: int) -> None:
        done.append(n)
        if sum(done) == 4 * 17:  # in epoch two, behind the checkpoints of steps 12 and 15
            raise Killed

    with pytest.raises(Killed):
        anneal(student, tmp_path / "broken", progress=kill, **settings)
    scratch = tmp_path / "broken" / "scratch" / "anneal"
    assert sorted(path.name for path in scratch.iterdir()) == ["checkpoint-12", "checkpoint-15"]
    last = scratch / "checkpoint-15"
    if damage == "truncated":
        weights = last / "optimizer.pt"
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "marker":
        (last / "complete.json").unlink()
    elif damage == "partial":
        last.rename(scratch / "partial-15")
    seen: list[int] = []
    resumed = anneal(student, tmp_path / "broken", progress=seen.append, **settings)
    assert seen[0] == 4 * (15 if damage == "none" else 12)
    assert sum(seen) == 2 * 48
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert resumed == unbroken


@real
def test_checkpoints_of_another_training_are_not_used(
    reference: tuple[Path, TrainResult], student: Path, tmp_path: Path
) -> None:
    done: list[int] = []

    def late(n: int) -> None:
        done.append(n)
        if len(done) == 9:
            raise Killed

    with pytest.raises(Killed):
        anneal(student, tmp_path, seed=7, save_steps=2, progress=late)
    assert list((tmp_path / "scratch" / "anneal").glob("checkpoint-*"))
    seen: list[int] = []
    anneal(student, tmp_path, save_steps=2, progress=seen.append)
    assert seen[0] == 4
    assert files(tmp_path) == files(reference[0])


@real
def test_on_top_of_the_last_adapter_gives_one_folder_on_the_base(
    reference: tuple[Path, TrainResult], student: Path, tmp_path: Path, logits_of: Callable[..., Any]
) -> None:
    last = reference[0] / "adapter"
    result = anneal(student, tmp_path, adapter=last, lora_r=6, use_rslora=True, seed=9)
    assert result.rank == 10
    assert result.stats["loss_mean"] < reference[1].stats["loss_mean"]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (10, 10, False)
    # what was trained (a fresh LoRA on the base with the last adapter merged in) is what the folder gives on the base
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    merged = tmp_path / "merged"
    shutil.copytree(student, merged)
    base = AutoModelForCausalLM.from_pretrained(student)
    PeftModel.from_pretrained(base, str(last)).merge_and_unload().save_pretrained(merged)
    anneal(merged, tmp_path / "alone", lora_r=6, use_rslora=True, seed=9)
    whole = logits_of(student, tmp_path / "adapter", merge=False)
    trained = logits_of(merged, tmp_path / "alone" / "adapter", merge=False)
    assert float((whole - trained).abs().max()) < 1e-4
    assert float((whole - logits_of(student, last)).abs().max()) > 1e-3


@real
def test_starting_from_the_base_leaves_the_incumbent_alone(
    reference: tuple[Path, TrainResult], student: Path, tmp_path: Path
) -> None:
    anneal(student, tmp_path, adapter=reference[0] / "adapter", start_from="base")
    # the same as without an incumbent
    assert adapter_hash(tmp_path / "adapter") == adapter_hash(reference[0] / "adapter")


@real
@pytest.mark.parametrize(
    "settings",
    [
        {"batching": "token_budget", "tokens_per_batch": 128},
        {"gradient_accumulation_steps": 3, "optim": "adamw_torch", "lr_scheduler_type": "cosine"},
        {"loraplus_lr_ratio": 8.0},
        {"use_dora": True, "start_from": "base"},
        {"dtype": "bfloat16"},
        {"lora_target_modules": ["q_proj", "v_proj"], "use_rslora": True, "lora_r": 1},
    ],
    ids=["token budget", "accumulation", "lora+", "dora", "bfloat16", "small rank"],
)
def test_other_settings_train_too(
    reference: tuple[Path, TrainResult], student: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    result = anneal(student, tmp_path, **settings)
    assert result.stats["loss_final"] < 5.6  # ln 261 = 5.56 is where it starts
    assert result.stats["n_tokens"] == reference[1].stats["n_tokens"]
    assert adapter_hash(tmp_path / "adapter") != adapter_hash(reference[0] / "adapter")


@real
def test_accumulated_steps_are_one_large_batch(student: Path, tmp_path: Path) -> None:
    # Four rows twice, weighed by tokens, or eight rows at once: the same gradient, so nearly the same losses.
    data = [Example(f"p{i}", "1 plus 1?", "=" * (1 + 5 * i)) for i in range(8)]
    small = anneal(student, tmp_path / "a", data=data, gradient_accumulation_steps=2, num_train_epochs=3)
    large = anneal(student, tmp_path / "b", data=data, per_device_train_batch_size=8, num_train_epochs=3)
    assert small.stats["steps"] == large.stats["steps"] == 3
    assert small.stats["loss_mean"] == pytest.approx(large.stats["loss_mean"], rel=1e-5)


# ---- what is trained


@real
def test_loss_falls_on_the_completion_and_one_end_token(student: Path) -> None:
    from training.encoding import encode_examples
    from training.sft import collate

    tokenizer = load_tokenizer(str(student))
    data = [*examples(4), Example("ended", "Say it.", "So: 4<|end|>")]
    encoded = encode_examples(tokenizer, data, system_prompt="Be brief.")
    batch = collate(encoded, tokenizer.pad_token_id)
    for row, item in zip(range(5), data, strict=True):
        ids, labels = batch["input_ids"][row].tolist(), batch["labels"][row].tolist()
        trained = [token for token in labels if token != -100]
        assert tokenizer.decode(trained) == item.completion.removesuffix("<|end|>") + "<|end|>"
        assert trained.count(tokenizer.eos_token_id) == 1
        prompt = encode_prompt(tokenizer, to_messages(item.prompt, "Be brief."))
        assert ids[: len(prompt)] == prompt
        assert labels[: len(prompt)] == [-100] * len(prompt)
        assert [label for label in labels[len(prompt) :] if label != -100] == ids[
            len(prompt) : len(prompt) + len(trained)
        ]


@real
def test_the_white_space_of_a_template_belongs_to_the_completion(student: Path) -> None:
    from eval.engines.chat import DEFAULT_CHAT_TEMPLATE
    from training.encoding import encode_examples

    tokenizer = load_tokenizer(str(student))
    tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE
    (row,) = encode_examples(tokenizer, [Example("x", "1+1?", "2")])
    assert tokenizer.decode(row.ids) == "Problem: 1+1?\nSolution: 2<|end|>"
    assert tokenizer.decode(row.ids[row.n_prompt :]) == " 2<|end|>"


@real
def test_the_end_is_the_templates_own_where_generation_stops_on_it(student: Path) -> None:
    from training.encoding import completion_frame

    tokenizer = load_tokenizer(str(student))
    tokenizer.eos_token = "<|pad|>"
    turn_end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert completion_frame(tokenizer, None, [turn_end]) == ("", turn_end)
    assert completion_frame(tokenizer, None, []) == ("", tokenizer.convert_tokens_to_ids("<|pad|>"))


@real
def test_the_loss_is_the_models_own(student: Path, tmp_path: Path) -> None:
    # The first step's loss, before any update, against transformers' loss on the same rows.
    import torch
    from transformers import AutoModelForCausalLM

    from training.encoding import encode_examples
    from training.sft import collate

    data = examples(4)
    tokenizer = load_tokenizer(str(student))
    batch = collate(encode_examples(tokenizer, data), tokenizer.pad_token_id)
    with torch.no_grad():
        wanted = AutoModelForCausalLM.from_pretrained(student)(**batch).loss.item()
    assert anneal(student, tmp_path, data=data).stats["loss_mean"] == pytest.approx(wanted, rel=1e-5)


@real
def test_both_heads_give_the_same_loss(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.sft

    plain = anneal(student, tmp_path / "a")
    monkeypatch.setattr(training.sft, "MAX_LOGITS", 0)
    tiled = anneal(student, tmp_path / "b")
    assert tiled.stats["loss_mean"] == pytest.approx(plain.stats["loss_mean"], rel=1e-5)


@real
def test_one_product_is_the_same_function_as_pefts(student: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from training.sft import speed_up_lora

    def run(fast: bool, **lora: Any) -> tuple[int, torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(0)
        settings = {"r": 8, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False, **lora}
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(student), LoraConfig(**settings))
        changed = speed_up_lora(model) if fast else 0
        logits = model(input_ids=torch.arange(5, 45).view(2, 20)).logits
        logits.square().mean().backward()
        return changed, logits.detach(), [p.grad for p in model.parameters() if p.grad is not None]

    _, slow, slow_grads = run(False)
    changed, fast, fast_grads = run(True)
    assert changed == 4
    assert float((fast - slow).abs().max()) < 1e-5
    assert len(fast_grads) == len(slow_grads) == 8
    for one, two in zip(slow_grads, fast_grads, strict=True):
        assert float((one - two).abs().max()) <= 1e-4 * max(1e-6, float(one.abs().max()))
    # where it would not be the same, or not faster, peft's own stays
    assert run(True, lora_dropout=0.1)[0] == run(True, use_dora=True)[0] == run(True, r=1)[0] == 0


# ---- what is refused


@real
def test_too_long_examples_are_counted_before_any_weights_are_loaded(student: Path, tmp_path: Path) -> None:
    data = [*examples(6), Example("long-1", "x" * 80, "y"), Example("long-2", "x" * 90, "y")]
    shutil.copytree(student, tmp_path / "no-weights", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ConfigError, match=r"max_length is 64 tokens, but 2 of 8.*long-2, has 94"):
        anneal(tmp_path / "no-weights", tmp_path, data=data)
    with pytest.raises(ConfigError, match=r"max_length is 64 tokens, but 2 of 8"):
        check_anneal(str(tmp_path / "no-weights"), parse_config(SETTINGS), data)
    with pytest.raises(ConfigError, match="mixture is empty"):
        anneal(student, tmp_path, data=[])


@real
@pytest.mark.parametrize("targets", [["query"], ["q_proj", "query"], ["lm_head"], ["embed_tokens"], []])
def test_targets_that_match_nothing_list_what_exists(student: Path, tmp_path: Path, targets: list[str]) -> None:
    wrong = parse_config(SETTINGS | {"lora_target_modules": targets})
    shutil.copytree(student, tmp_path / "no-weights", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ConfigError, match=r"lora_target_modules.*down_proj, gate_proj, k_proj.*all-linear"):
        check_anneal(str(tmp_path / "no-weights"), wrong, examples(2))
    with pytest.raises(ConfigError, match="lora_target_modules"):
        anneal(student, tmp_path, lora_target_modules=targets)


@real
def test_a_check_that_passes_gives_the_lengths(student: Path) -> None:
    found = check_anneal(str(student), parse_config(SETTINGS), examples())
    assert found["n_examples"] == 48
    assert found["length_max"] <= 64


@real
def test_a_diverging_loss_is_an_error_not_an_adapter(student: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lower anneal\.learning_rate"):
        anneal(student, tmp_path, learning_rate=1e25, max_grad_norm=0.0, warmup_steps=0.0, num_train_epochs=3)
    assert not (tmp_path / "adapter").exists()
