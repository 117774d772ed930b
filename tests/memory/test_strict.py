"""Strict YAML: every fault names its place and its cure."""

from pathlib import Path

import pytest

from agent.config import RunConfig, load_config
from memory.errors import ConfigError
from memory.strict import apply_override, read_yaml, validate

MINIMAL = {
    "student": {"model_name_or_path": "org/model"},
    "data": {name: {"path": f"{name}.jsonl"} for name in ("probe", "dev", "test", "replay")},
}


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml: unknown key 'loop\.max_round'; did you mean 'max_rounds'\?"):
        validate(RunConfig, {**MINIMAL, "loop": {"max_round": 3}}, "c.yaml")


def test_an_unknown_key_deep_down_and_at_the_top() -> None:
    data = {**MINIMAL, "data": {**MINIMAL["data"], "dev": {"path": "x", "columns": {"anser": "a"}}}}
    with pytest.raises(ConfigError, match="did you mean 'answer'"):
        validate(RunConfig, data, "c.yaml")
    with pytest.raises(ConfigError, match="unknown key 'zzz'; known keys: allocate"):
        validate(RunConfig, {**MINIMAL, "zzz": 1}, "c.yaml")


def test_a_missing_key_and_a_bad_value() -> None:
    with pytest.raises(ConfigError, match=r"key 'data' is missing"):
        validate(RunConfig, {"student": {"model_name_or_path": "x"}}, "c.yaml")
    with pytest.raises(ConfigError, match=r"mix\.new.*less than or equal to 1.*got 2"):
        validate(RunConfig, {**MINIMAL, "mix": {"new": 2}}, "c.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 1: not valid YAML"),
        ("- 1", "must hold a mapping"),
        ("a: 1\nb: 2\na: 3", "line 3: key 'a' is given twice"),
        ("a: !!python/object/apply:os.system [echo]", "not valid YAML"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No config at .*nothing\.yaml"):
        read_yaml(tmp_path / "nothing.yaml")


def test_overrides_are_yaml_and_make_sections() -> None:
    data: dict[str, object] = {}
    apply_override(data, "loop.max_rounds=2")
    apply_override(data, "anneal.learning_rate=1e-3")
    assert data == {"loop": {"max_rounds": 2}, "anneal": {"learning_rate": "1e-3"}}
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        apply_override(data, "nothing")
    with pytest.raises(ConfigError, match="max_rounds is not a section"):
        apply_override(data, "loop.max_rounds.x=1")


def test_paths_are_relative_to_the_config_and_the_hash_knows_no_paths(tmp_path: Path) -> None:
    text = (
        "student: {model_name_or_path: org/model}\n"
        "data: {probe: {path: p.jsonl}, dev: {path: d.jsonl}, test: {path: t.jsonl}, replay: {path: r.jsonl}}\n"
    )
    hashes = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "c.yaml").write_text(text)
        config = load_config(folder / "c.yaml")
        assert config.data.probe.path == str(folder / "p.jsonl")
        assert config.student.model_name_or_path == "org/model"
        hashes.append(config.hash)
    assert hashes[0] == hashes[1]
    assert load_config(tmp_path / "one" / "c.yaml", ["loop.max_rounds=2"]).hash != hashes[0]
    assert load_config(tmp_path / "one" / "c.yaml", seed=5).hash != hashes[0]
