"""Each fault is found by validate in seconds, with exit code 2 and a sentence that says what to do."""

import importlib.util
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.config import load_config
from agent.preflight import before_spending
from agent.session import check
from memory.errors import ConfigError
from tests.agent.paid import KEY, KEY_ENV, ROOT, call, problems_of, write_config
from tests.servers.fake_vllm import FakeVllm
from tests.servers.fault_server import FaultServer, read_log

STUDENT = str(ROOT / "examples" / "quickstart" / "student")


def served(url: str, **more: object) -> dict[str, object]:
    return {"engine": "openai", "base_urls": [url], "served_model_name": "base", "timeout": 10, **more}


def test_a_good_config_passes_and_asks_for_no_token(tmp_path: Path) -> None:
    with FaultServer(tmp_path / "log", ["ok"]) as server:
        path = write_config(tmp_path / "in", server.url)
        result = call("validate", "-c", path, "-o", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["ok"]
    assert found["problems"] == found["unchecked"] == []
    assert found["plan"]["probe"] == 240
    assert {line["kind"] for line in read_log(tmp_path / "log") if line["event"] == "asked"} == {"models"}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in", "log"], "something was left behind"


def test_a_wrong_endpoint(tmp_path: Path) -> None:
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1")
    started = time.monotonic()
    result = call("validate", "-c", path, "--json")
    assert result.exit_code == 2
    (problem,) = problems_of(result)
    assert problem.startswith("teacher: http://127.0.0.1:9/v1 cannot be reached")
    assert "Start the server, or correct base_url" in problem
    assert time.monotonic() - started < 60


def test_a_wrong_key_is_found_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with FaultServer(tmp_path / "log", ["ok"], key="another-key") as server:
        path = write_config(tmp_path / "in", server.url, teacher={"api_key_env": KEY_ENV})
        for command in ("validate", "doctor"):
            for form in ([], ["--json"]):
                result = call(command, "-c", path, *form)
                assert result.exit_code == 2
                assert f"put a valid key into the environment variable {KEY_ENV}" in result.output
                assert KEY not in result.output


def test_a_key_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_ENV, raising=False)
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", teacher={"api_key_env": KEY_ENV})
    for command in ("validate", "doctor"):
        result = call(command, "-c", path, "--json")
        assert result.exit_code == 2
        assert any(f"{KEY_ENV} is not set; export it" in problem for problem in problems_of(result))
    offline = call("validate", "-c", path, "--offline", "--json")
    assert offline.exit_code == 0, "whether a key is set here says nothing about a config"
    assert any(KEY_ENV in item["message"] for item in json.loads(offline.stdout)["unchecked"])


def test_an_unknown_model_names_the_near_one(tmp_path: Path) -> None:
    with FaultServer(tmp_path / "log", ["ok"], models=["teacher-32b", "other"]) as server:
        path = write_config(tmp_path / "in", server.url, teacher={"model": "teacher-23b"})
        for command in ("validate", "doctor"):
            result = call(command, "-c", path, "--json")
            assert result.exit_code == 2
            (problem,) = problems_of(result)
            assert "did you mean 'teacher-32b'?" in problem


def test_a_rank_over_the_servers_limit(tmp_path: Path) -> None:
    with FaultServer(tmp_path / "log", ["ok"]) as teacher, FakeVllm("base", max_rank=8) as student:
        changes = {"student": {"model_name_or_path": STUDENT, **served(student.url)}}
        path = write_config(tmp_path / "in", teacher.url, **changes)
        result = call("validate", "-c", path, "-o", tmp_path / "run", "--json")
        assert result.exit_code == 2
        (problem,) = problems_of(result)
        assert "cannot serve adapters of rank 16" in problem, "two stacked rounds of rank 8"
        assert "--max-lora-rank 16" in problem
        with pytest.raises(ConfigError, match="--max-lora-rank 16"):
            before_spending(load_config(path), tmp_path / "run")
        fits = call("validate", "-c", path, "-o", tmp_path / "run", "--set", "loop.max_rounds=1", "--json")
        assert fits.exit_code == 0, fits.output
        again = call("validate", "-c", path, "-o", tmp_path / "run", "--set", "anneal.start_from=base", "--json")
        assert again.exit_code == 0, "from the base, ranks do not add up"
        assert student.adapters == {}, "the adapter of zeros is unloaded again"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in", "log"], "the adapter of zeros is removed"


def test_a_server_that_takes_no_adapters(tmp_path: Path) -> None:
    with FaultServer(tmp_path / "log", ["ok"], models=["teacher", "base"]) as server:
        path = write_config(tmp_path / "in", server.url, student=served(server.url))
        result = call("validate", "-c", path, "-o", tmp_path / "run", "--json")
    assert result.exit_code == 2
    assert "--enable-lora --max-lora-rank 16" in problems_of(result)[0]
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in problems_of(result)[0]


def test_a_rank_that_no_server_takes_is_found_offline(tmp_path: Path) -> None:
    changes = {"student": served("http://127.0.0.1:9/v1"), "anneal": {"lora_r": 128}, "loop": {"max_rounds": 5}}
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", **changes)
    result = call("validate", "-c", path, "--offline", "--json")
    assert result.exit_code == 2
    (problem,) = problems_of(result)
    assert "reaches rank 640, and vLLM serves at most 512" in problem


def test_the_folder_that_the_server_sees_is_the_run_folder(tmp_path: Path) -> None:
    """The adapter of zeros must lie where ``adapter_dir_on_server`` leads."""
    alias = tmp_path / "on-the-server"
    alias.symlink_to(tmp_path / "run")
    with FaultServer(tmp_path / "log", ["ok"]) as teacher, FakeVllm("base") as student:
        settings = served(student.url, adapter_dir_on_server=str(alias))
        path = write_config(tmp_path / "in", teacher.url, student=settings)
        assert call("validate", "-c", path, "-o", tmp_path / "run", "--json").exit_code == 0
    assert not (tmp_path / "run").exists()


def test_a_prompt_with_an_unknown_variable_and_one_with_a_typo(tmp_path: Path) -> None:
    prompts = tmp_path / "in" / "prompts"
    prompts.mkdir(parents=True)
    (prompts / "write.j2").write_text("{% block user %}\nWrite {{ n }} problems on {{ topic }}.\n{% endblock %}")
    (prompts / "solve.j2").write_text("{% block user %}{{ statement }{% endblock %}")
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", teacher={"prompts_dir": "prompts"})
    result = call("validate", "-c", path, "--offline", "--json")
    assert result.exit_code == 2
    problems = problems_of(result)
    assert len(problems) == 2
    assert "write.j2, line 2: unknown variable 'topic'. Known in write.j2: label, keyphrases" in problems[0]
    assert "solve.j2, line 1" in problems[1]


def test_missing_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    absent = ("vllm", "pydantic_monty")
    for place in ("agent.preflight.find_spec", "importlib.util.find_spec"):
        monkeypatch.setattr(place, lambda name, *rest: None if name in absent else real(name, *rest))
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", student={"engine": "vllm"})
    monty = ["--set", "verify.verifiers=[algebra,program]", "--set", "verify.program.sandbox=monty"]
    for command in ("validate", "doctor"):
        result = call(command, "-c", path, *monty, "--json")
        assert result.exit_code == 2
        problems = problems_of(result)
        assert any("pip install 'remedial[vllm]'" in problem for problem in problems)
        assert any("pip install 'remedial[program]'" in problem for problem in problems)
    with pytest.raises(ConfigError, match=r"remedial\[vllm\]"):
        before_spending(load_config(path), tmp_path / "run")


def test_all_problems_are_listed_not_only_the_first(tmp_path: Path) -> None:
    changes = {
        "data": {"guard_size": 200, "probe": {"path": "nothing.jsonl"}, "dev": {"path": "torn.jsonl"}},
        "mix": {"new": 0.3, "replay": 0.8},
        "draft": {"strategy": "targetted"},
        "verify": {"verifiers": ["algebra", "agreemnt", "second_family"]},
        "anneal": {"lora_target_modules": ["q_prj"]},
        "teacher": {"prompts_dir": "no-such-folder"},
    }
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", **changes)
    (tmp_path / "in" / "torn.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n{"question": ')
    result = call("validate", "-c", path, "--json")
    assert result.exit_code == 2
    text = "\n".join(problems_of(result))
    for part in (
        "nothing.jsonl: no such file",
        "torn.jsonl, line 2",
        "shares must sum to 1",
        "no strategy 'targetted'",
        "Did you mean agreement?",
        "verify.second_family: it needs a second model",
        "q_prj matches no linear layer",
        "there is no folder",
        "127.0.0.1:9/v1 cannot be reached",
    ):
        assert part in text, f"{part!r} is not in:\n{text}"


def test_a_config_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", teacher={"modle": "x", "timeout": -1})
    result = call("validate", "-c", path)
    assert result.exit_code == 2
    assert "unknown key 'teacher.modle'; did you mean 'model'?" in result.output
    assert "teacher.timeout" in result.output


def test_a_hub_model_that_is_not_here_is_not_checked_offline(tmp_path: Path) -> None:
    student = {"model_name_or_path": "no-such-org/no-such-model"}
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", student=student)
    started = time.monotonic()
    result = call("validate", "-c", path, "--offline", "--json")
    assert result.exit_code == 0, result.output
    unchecked = [item["message"] for item in json.loads(result.stdout)["unchecked"]]
    assert any("no-such-org/no-such-model is not on this machine" in message for message in unchecked)
    assert time.monotonic() - started < 60
    local = call("validate", "-c", path, "--offline", "--json", "--set", "student.model_name_or_path=./nowhere")
    assert local.exit_code == 2
    assert "no folder" in problems_of(local)[0]


def test_a_resumed_run_is_checked_without_loading_and_a_finished_one_not_at_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    with FaultServer(tmp_path / "log", ["ok"]) as teacher, FakeVllm("base", max_rank=8) as student:
        config = load_config(write_config(tmp_path / "in", teacher.url, student=served(student.url)))
        before_spending(config, run)
        assert student.adapters == {}
    with pytest.raises(ConfigError, match="cannot be reached"):
        before_spending(config, run)
    (run / "final").mkdir()
    (run / "final" / "test-1.done").write_text("{}")
    before_spending(config, run)


def test_doctor_makes_one_real_call_to_each_endpoint(tmp_path: Path) -> None:
    with FaultServer(tmp_path / "log", ["ok"]) as server:
        path = write_config(tmp_path / "in", server.url)
        result = call("doctor", "-c", path, "-o", tmp_path / "run", "--json")
        assert result.exit_code == 0, result.output
    asked = [line for line in read_log(tmp_path / "log") if line["event"] == "asked"]
    assert [line["kind"] for line in asked] == ["ok"]
    found = json.loads(result.stdout)
    places = {item["place"] for item in found["passed"]}
    assert {"python", "packages", "extras", "cores", "gpu", "run folder", "request cache", "teacher"} <= places


def test_doctor_without_a_config_and_with_a_broken_machine(tmp_path: Path) -> None:
    assert call("doctor", "-o", tmp_path / "run").exit_code == 0
    path = write_config(
        tmp_path / "in", "http://127.0.0.1:9/v1", student={"device": "cuda", "num_threads": 3, "num_workers": 333}
    )
    result = call("doctor", "-c", path, "--json")
    assert result.exit_code == 2
    text = "\n".join(problems_of(result))
    assert "3 threads in 333 processes on" in text
    assert "cannot be reached" in text
    import torch

    assert torch.cuda.is_available() or "sees no GPU" in text


def test_doctor_finds_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.doctor.shutil.disk_usage", lambda place: SimpleNamespace(free=10_000_000))
    result = call("doctor", "-o", tmp_path / "run", "--json")
    assert result.exit_code == 2
    assert "0.0 GiB free, less than 1; make room" in problems_of(result)[0]


@pytest.mark.parametrize("pasted", [KEY, "a1b2c3d4e5f6a7b8c9d0e1f2"])
def test_a_key_pasted_in_place_of_its_variable_is_not_shown(tmp_path: Path, pasted: str) -> None:
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", teacher={"api_key_env": pasted})
    for words in (["validate"], ["validate", "--json"], ["validate", "--offline"], ["doctor"]):
        result = call(*words, "-c", path)
        assert pasted not in result.output
        assert "api_key_env" in result.output
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        check(load_config(path), tmp_path / "run")
    assert pasted not in str(caught.value)
