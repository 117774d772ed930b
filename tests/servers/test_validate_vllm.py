"""validate against a real vLLM server: the adapter of zeros is loaded, and too large a rank is refused in our words."""

import json
from pathlib import Path

import pytest

from tests.agent.paid import call, problems_of, write_config
from tests.servers.vllm_server import Server

pytestmark = pytest.mark.real


@pytest.fixture
def config(student_dir: Path, student_server: Server, tmp_path: Path) -> Path:
    student = {
        "model_name_or_path": str(student_dir),
        "engine": "openai",
        "base_urls": [student_server.base_url],
        "served_model_name": student_server.served_name,
    }
    verify = {"verifiers": ["algebra", "duplicate", "contamination"]}
    return write_config(
        tmp_path / "in", "", student=student, teacher={"kind": "symbolic", "base_urls": []}, verify=verify
    )


@pytest.mark.parametrize("targets", ["all-linear", "[q_proj,v_proj]"])
def test_a_rank_that_fits_is_loaded_and_unloaded_again(config: Path, tmp_path: Path, targets: str) -> None:
    words = [
        "--set",
        "anneal.lora_r=16",
        "--set",
        "loop.max_rounds=2",
        "--set",
        f"anneal.lora_target_modules={targets}",
    ]
    result = call("validate", "-c", config, "-o", tmp_path / "run", *words, "--json")
    assert result.exit_code == 0, result.output
    passed = [item["message"] for item in json.loads(result.stdout)["passed"]]
    assert "the servers load adapters of rank 32." in passed
    doctor = call("doctor", "-c", config, "--json")
    assert doctor.exit_code == 0, doctor.output


def test_a_rank_over_the_limit_names_the_argument(config: Path, tmp_path: Path) -> None:
    words = ["--set", "anneal.lora_r=48", "--set", "loop.max_rounds=2"]
    result = call("validate", "-c", config, "-o", tmp_path / "run", *words, "--json")
    assert result.exit_code == 2
    (problem,) = problems_of(result)
    assert "cannot serve adapters of rank 96" in problem
    assert "--max-lora-rank 128" in problem


def test_a_kind_of_adapter_the_server_does_not_serve(config: Path, tmp_path: Path) -> None:
    words = ["--set", "anneal.start_from=base", "--set", "anneal.use_dora=true", "--set", "anneal.lora_r=8"]
    result = call("validate", "-c", config, "-o", tmp_path / "run", *words, "--json")
    assert result.exit_code == 2
    assert "DoRA" in problems_of(result)[0]
