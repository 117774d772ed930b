"""vLLM in process: the same answers as the transformers engine, samples of their own, schemas, and clear errors."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from eval.engines.base import Messages, Sampling
from eval.engines.hf import TransformersEngine
from eval.engines.vllm import VLLMEngine
from memory.errors import ConfigError
from tests.servers.adapters import write_adapter
from tests.servers.vllm_server import ENVIRONMENT

ENGINE = {
    "max_model_len": 512,
    "dtype": "float32",
    "max_lora_rank": 16,
    "extra": {"enforce_eager": True, "distributed_executor_backend": "uni", "max_num_seqs": 64},
}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 8}}, "required": ["answer"]}


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Messages]:
    lines = (root / "examples/quickstart/data/dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines[::60]]


def in_process(python: Path, root: Path, engine: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), "-m", "tests.servers.in_process"],
        input=json.dumps({"engine": engine, "calls": calls}),
        capture_output=True,
        text=True,
        timeout=600,
        cwd=root,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)  # nothing of vLLM's own is on standard output
    return found


@pytest.mark.real
def test_it_answers_as_the_transformers_engine(
    vllm_python: Path, root: Path, student_dir: Path, prompts: list[Messages]
) -> None:
    long: Messages = [{"role": "user", "content": "1 + " * 300}]
    doubled = [*prompts, long, prompts[0]]
    sampled = {"n": 3, "temperature": 1.0, "max_new_tokens": 40, "seed": 5}
    calls = [
        {"prompts": doubled, "sampling": {"max_new_tokens": 120}},
        {"prompts": prompts[:4], "sampling": sampled},
        {"prompts": prompts[3::-1], "sampling": sampled},
        {"prompts": prompts[:4], "sampling": sampled | {"seed": 6}},
        {"prompts": prompts[:4], "sampling": {"max_new_tokens": 40, "json_schema": json.dumps(SCHEMA)}},
        {"prompts": prompts[:4], "sampling": {"n": 2, "max_new_tokens": 4}},
    ]
    found = in_process(vllm_python, root, {"model_name_or_path": str(student_dir), **ENGINE}, calls)["replies"]

    greedy = found[0]["samples"]
    own = TransformersEngine(str(student_dir)).generate(prompts, Sampling(max_new_tokens=120))
    assert [(row[0]["text"], row[0]["n_tokens"], row[0]["finish"]) for row in greedy[: len(prompts)]] == [
        (row[0].text, row[0].n_tokens, row[0].finish) for row in own
    ]
    assert greedy[-2][0] == greedy[-2][0] | {"text": "", "finish": "error"}  # too long
    assert "fit" in greedy[-2][0]["error"]
    assert greedy[-1] == greedy[0]
    assert found[0]["told"] == len(doubled)

    assert all(len(row) == 3 for row in found[1]["samples"])
    assert any(len({sample["text"] for sample in row}) > 1 for row in found[1]["samples"])
    assert found[2]["samples"] == found[1]["samples"][::-1]
    assert found[3]["samples"] != found[1]["samples"]

    for (sample,) in found[4]["samples"]:
        assert sample["finish"] == "stop"
        assert list(json.loads(sample["text"], strict=False)) == ["answer"]
    for row in found[5]["samples"]:
        assert row[0] == row[1]
        assert (row[0]["finish"], row[0]["n_tokens"]) == ("length", 4)


@pytest.mark.real
def test_with_an_adapter_it_answers_as_the_transformers_engine(
    vllm_python: Path, root: Path, student_dir: Path, prompts: list[Messages], tmp_path: Path
) -> None:
    adapter = write_adapter(student_dir, tmp_path / "adapter", rank=12)
    engine = {"model_name_or_path": str(student_dir), "adapter": str(adapter), **ENGINE}
    calls = [{"prompts": prompts, "sampling": {"max_new_tokens": 120}}]
    found = in_process(vllm_python, root, engine, calls)
    own = TransformersEngine(str(student_dir), adapter).generate(prompts, Sampling(max_new_tokens=120))
    assert [row[0]["text"] for row in found["replies"][0]["samples"]] == [row[0].text for row in own]
    assert found["fingerprint"] == VLLMEngine(str(student_dir), adapter, **ENGINE).fingerprint  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rank 12; raise max_lora_rank"):
        VLLMEngine(str(student_dir), adapter, max_lora_rank=8)._settings()


def test_without_vllm_it_says_what_to_install(student_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"remedial\[vllm\]"):
        VLLMEngine(str(student_dir)).generate([[{"role": "user", "content": "1+1"}]], Sampling())


def test_settings_out_of_range_are_refused(student_dir: Path) -> None:
    for wrong in ({"gpu_memory_utilization": 0.0}, {"max_lora_rank": 513}, {"extra": {"trust_remote_code": True}}):
        with pytest.raises(ConfigError):
            VLLMEngine(str(student_dir), **wrong)  # type: ignore[arg-type]


def test_what_changes_the_output_changes_the_fingerprint(student_dir: Path) -> None:
    base = VLLMEngine(str(student_dir)).fingerprint
    assert VLLMEngine(str(student_dir), gpu_memory_utilization=0.5).fingerprint == base
    for change in ({"dtype": "float32"}, {"max_model_len": 128}, {"system_prompt": "x"}, {"extra": {"a": 1}}):
        assert VLLMEngine(str(student_dir), **change).fingerprint != base  # type: ignore[arg-type]


def test_nothing_asked_loads_nothing(student_dir: Path) -> None:
    engine = VLLMEngine(str(student_dir))
    assert engine.generate([], Sampling()) == []
    engine.close()
