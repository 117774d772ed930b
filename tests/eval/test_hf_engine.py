"""The transformers engine against Hugging Face ``generate``, on a tiny random model; and the scripted engine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eval.engines.base import Engine, Messages, Sample, Sampling
from eval.engines.chat import DEFAULT_CHAT_TEMPLATE, encode_prompt, load_tokenizer, render_prompt, to_messages
from eval.engines.hf import TransformersEngine, adapter_identity, model_identity
from eval.engines.scripted import ScriptedEngine
from eval.engines.side_by_side import _pool
from memory.errors import EngineError
from memory.records import Finish

WORDS = ["Ann", "has", "pens", "and", "buys", "more", "how", "many", "apples", "cost", "a", "box", "holds"]


def statements(n: int) -> list[str]:
    rng = random.Random(7)
    return [
        " ".join([*rng.choices(WORDS, k=rng.randint(3, 24)), str(rng.randint(1, 999)), f"no {i}?"]) for i in range(n)
    ]


def make_model(folder: Path, *, chat_template: bool = True, max_positions: int = 128) -> Path:
    """A random Llama whose end token is likely enough that some rows stop early."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.tokenizer import save_tokenizer, train_tokenizer

    tokenizer = train_tokenizer(statements(64), 400, max_positions)
    if not chat_template:
        tokenizer.chat_template = None
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=max_positions,
        initializer_range=0.35,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 2.0
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model_folder)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder


def chats(n: int) -> list[Messages]:
    return [to_messages(text) for text in statements(n)]


def reference(model: Any, tokenizer: Any, messages: Messages, max_new_tokens: int) -> tuple[str, int, Finish]:
    """What Hugging Face ``generate`` says to one prompt alone."""
    import torch

    ids = torch.tensor([encode_prompt(tokenizer, messages)])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, do_sample=False)
    new = out[0, ids.shape[1] :].tolist()
    finish = Finish.STOP if new[-1] == tokenizer.eos_token_id else Finish.LENGTH
    return tokenizer.decode(new, skip_special_tokens=True), len(new), finish


@pytest.mark.real
@pytest.mark.parametrize("with_adapter", [False, True])
def test_greedy_tokens_equal_those_of_generate(model_folder: Path, adapter_folder: Path, with_adapter: bool) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(str(model_folder))
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    if with_adapter:
        model = PeftModel.from_pretrained(model, str(adapter_folder))
    expected = [reference(model.eval(), tokenizer, messages, 24) for messages in chats(32)]
    engine = TransformersEngine(str(model_folder), adapter_folder if with_adapter else None, batch_tokens=700)
    found = engine.generate(chats(32), Sampling(max_new_tokens=24))
    assert [(s.text, s.n_tokens, s.finish) for (s,) in found] == expected
    finishes = {finish for _, _, finish in expected}
    assert finishes == {Finish.STOP, Finish.LENGTH}, "the test model must show both ends"


@pytest.mark.real
@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=16), Sampling(n=3, temperature=0.8, max_new_tokens=16)])
def test_results_do_not_depend_on_prompt_order_or_repetition(model_folder: Path, sampling: Sampling) -> None:
    engine = TransformersEngine(str(model_folder), batch_tokens=600)
    prompts = chats(20)
    order = list(range(20))
    random.Random(1).shuffle(order)
    straight = engine.generate(prompts, sampling)
    shuffled = engine.generate([prompts[i] for i in order] + prompts[:2], sampling)
    assert [shuffled[order.index(i)] for i in range(20)] == straight
    assert shuffled[20:] == straight[:2]


@pytest.mark.real
@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=16), Sampling(n=3, temperature=0.8, max_new_tokens=16)])
def test_answers_do_not_depend_on_the_number_of_processes(
    model_folder: Path, adapter_folder: Path, sampling: Sampling
) -> None:
    for adapter in (None, adapter_folder):
        engines = [TransformersEngine(str(model_folder), adapter, batch_tokens=300, num_workers=n) for n in (1, 2)]
        assert engines[0].fingerprint == engines[1].fingerprint
        seen: list[int] = []
        assert engines[1].generate(chats(20), sampling, seen.append) == engines[0].generate(chats(20), sampling)
        assert sum(seen) == 20


@pytest.mark.real
def test_a_helper_outlives_ctrl_c_and_its_death_is_reported(model_folder: Path) -> None:
    engine = TransformersEngine(str(model_folder), batch_tokens=300, num_workers=2)
    engine.generate(chats(20), Sampling(max_new_tokens=4))
    (helper,) = _pool(1)._processes.values()
    os.kill(helper.pid, signal.SIGINT)
    assert len(engine.generate(chats(20), Sampling(max_new_tokens=4))) == 20
    assert next(iter(_pool(1)._processes)) == helper.pid
    os.kill(helper.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="num_workers: 1"):
        engine.generate(chats(20), Sampling(max_new_tokens=4))
    assert len(engine.generate(chats(20), Sampling(max_new_tokens=4))) == 20, "the next call starts another"


@pytest.mark.real
def test_helpers_end_when_their_parent_is_killed(model_folder: Path) -> None:
    code = (
        "import sys, os, signal\n"
        "from eval.engines.base import Sampling\nfrom eval.engines.chat import to_messages\n"
        "from eval.engines.hf import TransformersEngine\nfrom eval.engines.side_by_side import _pool\n"
        "TransformersEngine(sys.argv[1], batch_tokens=64, num_workers=2).generate("
        "[to_messages(f'Ann has {i} pens') for i in range(9)], Sampling(max_new_tokens=4))\n"
        "print(*_pool(1)._processes, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model_folder)], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.real
def test_sampling_follows_the_seed_and_not_the_company(model_folder: Path) -> None:
    engine = TransformersEngine(str(model_folder))
    prompts = chats(12)
    first = engine.generate(prompts, Sampling(n=4, temperature=1.0, max_new_tokens=12, seed=1))
    alone = engine.generate(prompts[3:4], Sampling(n=2, temperature=1.0, max_new_tokens=12, seed=1))
    other = engine.generate(prompts, Sampling(n=4, temperature=1.0, max_new_tokens=12, seed=2))
    assert alone[0] == first[3][:2]
    assert other != first
    assert len({sample.text for sample in first[0]}) > 1


@pytest.mark.real
def test_sampled_frequencies_match_the_model(model_folder: Path) -> None:
    """One-token samples follow softmax(logits / temperature), cut at top_p."""
    import torch

    from eval.engines.decoding import _sample

    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    grid = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    counts = torch.bincount(_sample(logits.expand(1000, -1), grid, 1.0, 1.0), minlength=4)
    assert counts.tolist() == pytest.approx([500, 300, 150, 50], abs=1)
    cut = torch.bincount(_sample(logits.expand(1000, -1), grid, 1.0, 0.75), minlength=4)
    assert cut.tolist() == pytest.approx([625, 375, 0, 0], abs=1)
    cold = _sample(logits.expand(1000, -1), grid, 0.01, 1.0)
    assert set(cold.tolist()) == {0}


@pytest.mark.real
def test_greedy_samples_repeat_and_progress_sums_to_the_prompts(model_folder: Path) -> None:
    seen: list[int] = []
    engine = TransformersEngine(str(model_folder), batch_tokens=400)
    prompts = [*chats(9), *chats(2)]
    found = engine.generate(prompts, Sampling(n=3, max_new_tokens=8), progress=seen.append)
    assert sum(seen) == len(prompts)
    assert len(seen) > 1
    assert all(len(samples) == 3 and samples[0] == samples[1] == samples[2] for samples in found)


@pytest.mark.real
def test_a_prompt_without_room_is_an_error_sample_and_the_rest_goes_on(model_folder: Path) -> None:
    engine = TransformersEngine(str(model_folder))
    long = to_messages("pens " * 200)
    found = engine.generate([long, *chats(2)], Sampling(n=2, max_new_tokens=8))
    assert found[0] == [Sample("", 0, Finish.ERROR)] * 2
    assert all(sample.finish is not Finish.ERROR for samples in found[1:] for sample in samples)
    assert engine.generate([], Sampling()) == []


@pytest.mark.real
def test_fingerprint_follows_weights_adapter_and_settings(
    model_folder: Path, adapter_folder: Path, tmp_path: Path
) -> None:
    name = str(model_folder)
    prints = [
        TransformersEngine(name).fingerprint,
        TransformersEngine(name, adapter_folder).fingerprint,
        TransformersEngine(name, system_prompt="Be brief.").fingerprint,
        TransformersEngine(name, dtype="bfloat16").fingerprint,
    ]
    assert len(set(prints)) == 4
    assert TransformersEngine(name).fingerprint == prints[0]
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in adapter_folder.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "elsewhere"}))
    assert TransformersEngine(name, moved).fingerprint == prints[1]
    weights = bytearray((moved / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "adapter_model.safetensors").write_bytes(bytes(weights))
    assert TransformersEngine(name, moved).fingerprint != prints[1]


def test_missing_models_and_adapters_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no \.safetensors"):
        model_identity(str(tmp_path))
    with pytest.raises(EngineError, match="not a peft folder"):
        adapter_identity(tmp_path)
    with pytest.raises(EngineError, match="No tokenizer can be loaded"):
        TransformersEngine(str(tmp_path)).generate([to_messages("1+1?")], Sampling())


@pytest.mark.real
def test_a_tokenizer_without_chat_template_gets_the_default_one(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "plain", chat_template=False)
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.chat_template == DEFAULT_CHAT_TEMPLATE
    assert render_prompt(tokenizer, to_messages("1+1?", "Add.")) == "Add.\n\nProblem: 1+1?\nSolution:"
    own = TransformersEngine(str(folder), chat_template="{{ messages[0]['content'] }}=")
    assert own.generate([to_messages("1+1")], Sampling(max_new_tokens=4))[0][0].n_tokens > 0


def test_rendered_prompts_are_not_padded_cut_or_prefixed(model_folder: Path) -> None:
    tokenizer = load_tokenizer(str(model_folder))
    text = render_prompt(tokenizer, to_messages("Ann has 12 pens"))
    assert text == "<|user|>Ann has 12 pens<|assistant|>"
    ids = encode_prompt(tokenizer, to_messages("Ann has 12 pens"))
    assert tokenizer.decode(ids) == text
    assert tokenizer.convert_ids_to_tokens(ids)[0] == "<|user|>"
    assert {"1", "2"} <= set(tokenizer.convert_ids_to_tokens(ids))


def test_scripted_engine_keeps_order_and_repeats_greedy_samples() -> None:
    calls: list[int] = []

    def answer(messages: Messages, sampling: Sampling, index: int) -> Sample:
        calls.append(index)
        return Sample(f"{messages[-1]['content']}/{index}", 1, Finish.STOP)

    engine: Engine = ScriptedEngine(answer, "upper-v1")
    prompts = [to_messages("b"), to_messages("a")]
    assert [[s.text for s in row] for row in engine.generate(prompts, Sampling(n=2))] == [["b/0"] * 2, ["a/0"] * 2]
    assert calls == [0, 0]
    sampled = engine.generate(prompts, Sampling(n=2, temperature=1.0))
    assert [[s.text for s in row] for row in sampled] == [["b/0", "b/1"], ["a/0", "a/1"]]
    assert engine.fingerprint == "upper-v1"
    engine.close()
