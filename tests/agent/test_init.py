"""The config that init writes: strict, whole, commented, with no key in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from agent.config import RunConfig, load_config
from agent.starter import ABOUT, EXAMPLES
from memory.errors import ConfigError, UsageError
from memory.strict import validate
from tests.agent.paid import KEY, call
from training.anneal import AnnealConfig, parse_config


def uncommented(text: str) -> str:
    """What the file would be if all of it were used."""
    return re.sub(r"^(\s*)#(?=[^\s#])|^(\s*)#(?=  )", r"\1\2", text, flags=re.MULTILINE)


def keys(value: Any, prefix: str = "") -> set[str]:
    if not isinstance(value, dict) or prefix.startswith("data.") or prefix in ("student.vllm", "teacher.vllm"):
        return {prefix}
    return {found for key, item in value.items() for found in keys(item, f"{prefix}.{key}".lstrip("."))} or {prefix}


def schema_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        where = f"{prefix}.{name}".lstrip(".")
        inner = AnnealConfig if where == "anneal" else field.annotation
        deep = isinstance(inner, type) and issubclass(inner, BaseModel) and not where.startswith("data.")
        found |= schema_keys(inner, where) if deep else {where}  # type: ignore[arg-type]
    return found


def test_what_is_written_is_valid_and_names_what_was_said(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "1+1?", "target": "2", "worked": "..."}) + "\n")
    gsm = {"question": "What is 1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"}
    (tmp_path / "gsm.jsonl").write_text(json.dumps(gsm) + "\n")
    student = tmp_path / "model"
    student.mkdir()
    path = tmp_path / "my-run.yaml"
    result = call(
        *("init", path, "--student", student, "--teacher-model", "Qwen/QwQ-32B", "--gpu"),
        *("--base-url", "http://a:8000/v1", "--base-url", "http://b:8000/v1", "--api-key-env", "TEACHER_KEY"),
        *("--probe", tmp_path / "mine.jsonl", "--test", tmp_path / "gsm.jsonl"),
    )
    assert result.exit_code == 0, result.output
    config = load_config(path)
    assert config.name == "my-run"
    assert config.student.model_name_or_path == str(student)
    assert (config.student.device, config.student.dtype) == ("cuda", "bfloat16")
    assert parse_config(config.anneal).dtype == "bfloat16"
    assert config.teacher.model == "Qwen/QwQ-32B"
    assert config.teacher.base_urls == ("http://a:8000/v1", "http://b:8000/v1")
    assert config.teacher.api_key_env == "TEACHER_KEY"
    assert config.data.probe.columns.model_dump() == {"statement": "problem", "answer": "target", "solution": "worked"}
    assert config.data.test.format == "gsm8k"
    assert config.data.dev.path == str(tmp_path / "dev.jsonl")
    assert "agreement" in config.verify.verifiers
    assert "dev.jsonl" in result.output, "says which files are not there yet"
    for command in ("validate", "doctor", "preview", "run"):
        assert f"remedial {command} -c {path}" in result.output


@pytest.mark.parametrize("words", [[], ["--cpu"], ["--gpu"], ["--student", "Qwen/Qwen2.5-0.5B"]])
def test_every_key_is_real_also_those_that_are_commented_out(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "remedial.yaml"
    assert call("init", path, *words).exit_code == 0
    text = path.read_text()
    written = yaml.safe_load(uncommented(text))
    parse_config(validate(RunConfig, written, "uncommented").anneal)
    missing = schema_keys(RunConfig) - keys(written)
    # Optional sections stand as an example, without those of their keys that have a default.
    assert {key for key in missing if not key.startswith(tuple(EXAMPLES))} == set()
    assert all(len(line) <= 120 for line in text.splitlines())


def test_what_is_commented_out_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "remedial.yaml"
    call("init", path)
    plain = yaml.safe_load(path.read_text())
    whole = yaml.safe_load(uncommented(path.read_text()))
    del whole["teacher"]["prices"], whole["verify"]["second_family"], whole["draft"]["retrieval"], whole["draft"]["web"]
    as_written, all_of_it = (validate(RunConfig, item, "x") for item in (plain, whole))
    assert all_of_it.model_copy(update={"anneal": {}}) == as_written.model_copy(update={"anneal": {}})
    assert parse_config(all_of_it.anneal) == parse_config(as_written.anneal)


def test_every_section_says_what_it_is_for() -> None:
    plain = {"name", "seed", "cache"}
    assert set(ABOUT) == set(RunConfig.model_fields) - plain


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "remedial.yaml"
    path.write_text("mine")
    result = call("init", path)
    assert isinstance(result.exception, UsageError)
    assert "--force" in str(result.exception)
    assert path.read_text() == "mine"
    assert call("init", path, "--force").exit_code == 0
    load_config(path)


def test_a_key_in_place_of_its_variable_is_neither_written_nor_shown(tmp_path: Path) -> None:
    path = tmp_path / "remedial.yaml"
    result = call("init", path, "--api-key-env", KEY)
    assert isinstance(result.exception, ConfigError)
    assert KEY not in str(result.exception) + result.output
    assert not path.exists()
