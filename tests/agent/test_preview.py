"""What preview asks, shows and projects; the server's log says what was paid."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from memory.errors import ConfigError, TeacherError, UsageError
from tests.agent.http_demo import reply as demo_reply
from tests.agent.http_demo import write_http_demo
from tests.agent.paid import KEY, KEY_ENV, call, write_config
from tests.servers.fault_server import FaultServer, read_log

Cli = Callable[..., CompletedProcess[str]]
SAID = "It forgets to \x1b[31mcarry\u202e."


def three(content: str, body: dict[str, Any]) -> str:
    """Two good problems and one whose box is missing."""
    rng = random.Random(0)
    rows = []
    for a in (rng.randint(1000, 2000), rng.randint(1000, 2000)):
        text = {"statement": f"A shed holds {a} jars and then 7 more. How many?", "answer": str(a + 7)}
        rows.append({**text, "solution": f"{a}+7={a + 7}. \\boxed{{{a + 7}}}"})
    rows.append({"statement": "What is 3 plus 4?", "solution": "It is 7.", "answer": "7"})
    return json.dumps({"misconception": SAID, "problems": rows})


def chats(log: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(log) if line["event"] == "asked" and line["kind"] == "ok"]


def test_one_request_is_asked_once_and_its_cost_is_projected(tmp_path: Path) -> None:
    log = tmp_path / "log"
    prices = {"as_of": "2026-10-01", "prompt_per_million": 1.0, "completion_per_million": 2.0}
    with FaultServer(log, ["ok"], reply=three) as server:
        path = write_config(tmp_path / "in", server.url, teacher={"prices": prices})
        first = call("preview", "-c", path, "-o", tmp_path / "runs" / "one", "--json")
        assert first.exit_code == 0, first.exception
        again = call("preview", "-c", path, "-o", tmp_path / "runs" / "one", "--json")
        shown = call("preview", "-c", path, "-o", tmp_path / "runs" / "one")
    assert len(chats(log)) == 1, "the reply is cached"
    found, second = json.loads(first.stdout), json.loads(again.stdout)
    assert found["cluster"]["as_if"]
    assert "nothing was measured" in found["cluster"]["source"]
    reply = found["reply"]
    assert reply["paid"]["requests"] == 1
    assert second["reply"]["paid"]["requests"] == 0
    assert {**second, "reply": {**second["reply"], "paid": None}} == {**found, "reply": {**reply, "paid": None}}
    assert [draft["refused"] for draft in reply["drafts"]] == [None, None]
    assert [check["verifier"] for check in reply["drafts"][0]["checks"]] == ["algebra", "duplicate", "contamination"]
    assert reply["drafts"][0]["checks"][0]["outcome"] == "pass"
    assert [item["reason"] for item in reply["refusals"]] == ["no_box"]
    assert reply["not_asked"] == ["agreement"]
    # The server counts 11 and 7 tokens; 100 examples x 1.3 in requests of 4, two agreement samples for each draft.
    projection = found["projection"]
    write, agreement = projection["rows"]
    assert projection["problems"] == 130
    assert (write["requests"], write["prompt_tokens"]) == (math.ceil(130 / 4), 33 * 11)
    assert write["completion_tokens"] == round(7 / 3 * 130)
    assert (agreement["requests"], agreement["completion_tokens"]) == (260, round(7 / 3 * 260))
    assert projection["counted_by"] == "the server"
    total = projection["total"]
    expected = (total["prompt_tokens"] * 1.0 + total["completion_tokens"] * 2.0) / 1e6
    assert projection["money"]["amount"] == pytest.approx(expected, abs=1e-6)
    assert "nothing was paid now" in shown.output
    assert found["prompt"][-1]["content"].splitlines()[0] in shown.output
    assert "\x1b" not in shown.output
    assert "\u202e" not in shown.output
    assert not (tmp_path / "runs" / "one").exists(), "a preview starts no run"


def test_a_dry_run_asks_nothing_and_says_that_it_estimates(tmp_path: Path) -> None:
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1")
    result = call("preview", "-c", path, "-o", tmp_path / "runs" / "one", "--dry-run", "--json")
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    assert found["reply"] is None
    assert "exactly 3 items" in found["prompt"][-1]["content"]
    projection = found["projection"]
    assert projection["counted_by"] == "the student's tokenizer"
    assert projection["completions"] == "at most"
    assert projection["rows"][0]["prompt_tokens"] > 33 * 100
    assert projection["money"] is None
    assert not (tmp_path / "runs").exists()
    shown = call("preview", "-c", path, "-o", tmp_path / "runs" / "one", "--dry-run")
    assert "an estimate" in shown.output
    assert "no prices configured" in shown.output


def test_what_is_refused_says_why(tmp_path: Path) -> None:
    def copies(content: str, body: dict[str, Any]) -> str:
        row = json.loads((tmp_path / "in" / "probe.jsonl").read_text().splitlines()[0])
        wrong = {"statement": "What is 2 plus 5, then?", "solution": "2+5=8. \\boxed{8}", "answer": "8"}
        copy = {"statement": row["question"], "solution": row["solution"], "answer": row["answer"]}
        return json.dumps({"misconception": "", "problems": [copy, wrong]})

    with FaultServer(tmp_path / "log", ["ok"], reply=copies) as server:
        path = write_config(tmp_path / "in", server.url)
        result = call("preview", "-c", path, "-o", tmp_path / "runs" / "one", "--json")
    drafts = json.loads(result.stdout)["reply"]["drafts"]
    assert drafts[0]["refused"].startswith("contamination:")
    assert drafts[1]["refused"].startswith("algebra:")


def test_a_runs_own_diagnosis_is_used(cli: Cli, tmp_path: Path) -> None:
    log, run = tmp_path / "log", tmp_path / "runs" / "one"
    with FaultServer(log, ["ok"], reply=demo_reply) as server:
        config = write_http_demo(tmp_path / "in", server.url, loop={"max_rounds": 1}, draft={"top_ups": 0})
        done = cli("run", "-c", config, "-o", run, "--json", "-q")
        assert done.returncode == 0, done.stderr
        clusters = json.loads(cli("clusters", run, "--json").stdout)["clusters"]
        before = len(chats(log))
        result = call("preview", "-c", config, "-o", run, "--json")
        assert result.exit_code == 0, result.exception
        missing = call("preview", "-c", config, "-o", run, "--round", 7)
    found = json.loads(result.stdout)
    assert len(chats(log)) == before + 1
    assert (found["cluster"]["id"], found["cluster"]["as_if"]) == (clusters[0]["id"], False)
    assert found["cluster"]["failures"] == clusters[0]["failures"]
    # The projection counts the requests that the strategy itself makes: those the run's first wave made.
    ledger = json.loads(done.stdout)["spend"]
    drafted = next(entry for entry in ledger["by_step"] if entry["step"] == "draft")
    assert found["projection"]["rows"][0]["requests"] == drafted["requests"]
    assert found["projection"]["rows"][0]["prompt_tokens"] == drafted["prompt_tokens"]
    assert found["projection"]["counted_by"] == "the server"
    assert isinstance(missing.exception, UsageError)
    assert "Diagnosed rounds: 0" in str(missing.exception)


def test_a_teacher_that_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    path = write_config(tmp_path / "in", "http://127.0.0.1:9/v1", teacher={"api_key_env": KEY_ENV})
    result = call("preview", "-c", path, "-o", tmp_path / "runs" / "one")
    assert isinstance(result.exception, TeacherError)
    assert "cannot be reached" in str(result.exception)
    with FaultServer(tmp_path / "log", ["echo_key"], key=KEY) as server:
        path = write_config(tmp_path / "in2", server.url, teacher={"api_key_env": KEY_ENV})
        result = call("preview", "-c", path, "-o", tmp_path / "runs" / "one")
    assert isinstance(result.exception, TeacherError)
    assert "remedial doctor" in str(result.exception)
    assert KEY not in str(result.exception) + result.output


def test_a_prompt_that_does_not_render_is_found_before_anything_is_paid(tmp_path: Path) -> None:
    prompts = tmp_path / "in" / "prompts"
    prompts.mkdir(parents=True)
    (prompts / "write.j2").write_text("{% block user %}{{ nothing }}{% endblock %}")
    with FaultServer(tmp_path / "log", ["ok"]) as server:
        path = write_config(tmp_path / "in", server.url, teacher={"prompts_dir": "prompts"})
        result = call("preview", "-c", path, "-o", tmp_path / "runs" / "one")
    assert isinstance(result.exception, ConfigError)
    assert read_log(tmp_path / "log") == []


def test_a_symbolic_teacher_has_no_prompt_and_costs_nothing(tmp_path: Path, root: Path) -> None:
    config = root / "examples" / "quickstart" / "config.yaml"
    small = ["--set", "data.probe.limit=40", "--set", "data.dev.limit=40", "--set", "data.test.limit=40"]
    result = call("preview", "-c", config, "-o", tmp_path / "runs" / "one", *small, "--json")
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    assert found["prompt"] is None
    assert found["projection"] is None
    assert found["reply"]["paid"] is None
    assert len(found["reply"]["drafts"]) == 3
