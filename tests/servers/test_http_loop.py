"""The whole loop over HTTP: student and neural teacher behind real vLLM servers, adapters loaded by name each round."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.vllm_server import Server, unload_adapter

pytestmark = pytest.mark.real

SMALL = (
    "--limit", "60", "--set", "allocate.new_examples=40", "--set", "data.guard_size=40", "--set", "loop.patience=2",
    "--set", "diagnose.stability_seeds=0", "--set", "verify.earn_place_sample=20",
)  # fmt: skip
ROUNDS = 2


@pytest.fixture(scope="module")
def run(
    root: Path, student_server: Server, teacher_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("http-loop") / "over-http"
    command = [
        sys.executable, "-m", "agent.cli", "run", "-c", str(root / "examples/http_loop/config.yaml"), "-o", str(folder),
        "--set", f"student.base_urls=[{student_server.base_url}]",
        "--set", f"teacher.base_urls=[{teacher_server.base_url}]", "--json", "-q", *SMALL,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    yield json.loads(done.stdout)
    for index in range(ROUNDS):
        unload_adapter(student_server.base_url, f"over-http-round-{index:02d}")


def records(run: dict[str, Any], stage: str, step: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for path in sorted((Path(run["run"]) / stage).glob(f"{step}.jsonl")):
        lines += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return lines


def test_two_rounds_end_with_a_reason(run: dict[str, Any]) -> None:
    assert run["state"] == "finished"
    assert run["stop_reason"] in ("max_rounds", "plateau")
    assert len(run["rounds"]) == ROUNDS
    for entry in run["rounds"]:
        counts = entry["mixture"]["counts"]
        assert counts["new"] == entry["accepted"] >= 20
        assert counts["replay"] == 4 * counts["new"]
        assert entry["teacher_tokens"] > 0


def test_every_round_served_its_adapter_by_name(run: dict[str, Any], student_server: Server) -> None:
    with urllib.request.urlopen(student_server.base_url + "/models", timeout=10) as reply:
        listed = {model["id"]: model["parent"] for model in json.load(reply)["data"]}
    for index in range(ROUNDS):
        assert listed[f"over-http-round-{index:02d}"] == "student"


def test_the_teacher_wrote_the_practice_and_was_asked_again(run: dict[str, Any]) -> None:
    drafts = [draft for batch in records(run, "round-00", "draft*") for draft in batch["drafts"]]
    verdicts = records(run, "round-00", "verify*")
    assert {draft["teacher"] for draft in drafts} == {"neural-teacher"}
    assert {verdict["draft_id"] for verdict in verdicts} == {draft["id"] for draft in drafts}
    accepted = [verdict for verdict in verdicts if verdict["accepted"] == "yes"]
    assert len(accepted) >= 20
    assert len(accepted) < len(verdicts)  # it errs, and that is seen
    for verdict in accepted:
        outcomes = {check["verifier"]: check["outcome"] for check in verdict["checks"]}
        assert outcomes["agreement"] == "pass"
        assert outcomes["algebra"] == "pass"
