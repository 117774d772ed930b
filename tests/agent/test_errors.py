"""Bad input: each a clear error naming the place and the cure, before any model is loaded, exit code 2."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from agent.demo import write_demo

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return write_demo(tmp_path / "input").parent


def edit(folder: Path, **sections: object) -> Path:
    """Update sections of the demo's config in place."""
    path = folder / "config.yaml"
    data = yaml.safe_load(path.read_text())
    for key, value in sections.items():
        data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(data))
    return path


def refused(cli: Cli, config: Path, *parts: str) -> str:
    done = cli("run", "-c", config, "-o", config.parent / "run")
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr
    assert not (config.parent / "run" / "manifest.json").exists()
    return done.stderr


def test_no_config_says_what_to_do(cli: Cli) -> None:
    done = cli("run")
    assert done.returncode == 2
    assert "remedial run -c" in done.stderr
    assert "examples/quickstart/config.yaml" in done.stderr


def test_unknown_key(cli: Cli, demo: Path) -> None:
    refused(cli, edit(demo, loop={"max_round": 2}), "unknown key 'loop.max_round'", "did you mean 'max_rounds'")


def test_unknown_anneal_key(cli: Cli, demo: Path) -> None:
    config = edit(demo, student={"engine": "transformers"}, anneal={"learning_rat": 1})
    refused(cli, config, "learning_rat", "learning_rate")


def test_missing_file(cli: Cli, demo: Path) -> None:
    (demo / "dev.jsonl").unlink()
    refused(cli, demo / "config.yaml", "dev.jsonl")


def test_malformed_line(cli: Cli, demo: Path) -> None:
    lines = (demo / "probe.jsonl").read_text().splitlines()
    lines[6] = lines[6][:-4]
    (demo / "probe.jsonl").write_text("\n".join(lines))
    refused(cli, demo / "config.yaml", "probe.jsonl", "line 7")


def test_missing_column(cli: Cli, demo: Path) -> None:
    config = edit(demo, data={"test": {"path": "test.jsonl", "columns": {"statement": "problem"}}})
    refused(cli, config, "test.jsonl", "problem", "question")


def test_empty_split(cli: Cli, demo: Path) -> None:
    (demo / "test.jsonl").write_text("\n")
    refused(cli, demo / "config.yaml", "test.jsonl")


def test_a_problem_in_two_splits(cli: Cli, demo: Path) -> None:
    row = (demo / "probe.jsonl").read_text().splitlines()[3]
    with (demo / "dev.jsonl").open("a") as handle:
        handle.write(row + "\n")
    refused(cli, demo / "config.yaml", "two splits", json.loads(row)["question"][:40])


def test_replay_too_small(cli: Cli, demo: Path) -> None:
    refused(cli, edit(demo, allocate={"new_examples": 5000}), "replay.jsonl", "need 20000", "allocate.new_examples")


def test_shares_that_do_not_sum(cli: Cli, demo: Path) -> None:
    refused(cli, edit(demo, mix={"new": 0.3, "replay": 0.8}), "must sum to 1")


def test_unknown_names(cli: Cli, demo: Path) -> None:
    refused(cli, edit(demo, draft={"strategy": "targetted"}), "targetted", "targeted")
    refused(cli, edit(demo, draft={"strategy": "targeted"}, verify={"verifiers": ["algebr"]}), "algebr", "algebra")


def test_missing_model(cli: Cli, demo: Path) -> None:
    config = edit(demo, student={"engine": "transformers", "model_name_or_path": "./nowhere"})
    refused(cli, config, "student.model_name_or_path", "nowhere")


def test_missing_embedder(cli: Cli, demo: Path) -> None:
    config = edit(demo, diagnose={"embedder": "sentence-transformers", "model_name_or_path": "package:no_such_package"})
    refused(cli, config, "no_such_package")


def test_a_folder_that_is_not_a_run(cli: Cli, demo: Path) -> None:
    (demo / "run").mkdir()
    (demo / "run" / "thesis.tex").write_text("precious")
    refused(cli, demo / "config.yaml", "thesis.tex", "--output-dir")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rum",), "Did you mean 'run'?"),
        (("status", "nowhere"), "No run at nowhere"),
        (("clusters", "nowhere"), "No run at nowhere"),
        (("show", "p-1", "--run", "nowhere"), "No run at nowhere"),
        (("run", "-c", "nowhere.yaml"), "No config at nowhere.yaml"),
        (("run", "--nonsense"), "No such option"),
    ],
)
def test_wrong_arguments(cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


def test_dry_run_spends_nothing(cli: Cli, demo: Path) -> None:
    done = cli("run", "-c", demo / "config.yaml", "-o", demo / "run", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new examples a round"] == 100
    assert not (demo / "run").exists()
