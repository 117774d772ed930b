"""A run whose teacher answers over HTTP: kills, budgets, accounts, and what a resume pays for."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memory.ledger import Ledger
from tests.agent.http_demo import reply, write_http_demo
from tests.servers.fault_server import FaultServer, read_log

Cli = Callable[..., subprocess.CompletedProcess[str]]
#: Mostly good; some requests fail at first, some replies are odd.
KINDS = ("ok",) * 9 + ("rate_limited", "reset", "wrong_schema")
#: A reply that leaves the server so shortly before a kill may not have been stored.
IN_FLIGHT = 0.25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    log = tmp_path_factory.mktemp("witness") / "unbroken.jsonl"
    with FaultServer(log, KINDS, reply=reply) as running:
        yield running


@pytest.fixture(scope="module")
def unbroken(server: FaultServer, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("http")
    config = write_http_demo(folder / "input", server.url)
    done = cli("run", "-c", config, "-o", folder / "runs" / "one", "--json", "-q")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_over_http_improves_and_refuses_wrong_answers(unbroken: dict[str, Any]) -> None:
    assert unbroken["state"] == "finished"
    refused = unbroken["rounds"][0]["refused"]
    assert any(reason.startswith("agreement:") for reason in refused), refused
    assert unbroken["test"]["difference"] > 0
    assert unbroken["rounds"][0]["accepted"] >= 100


def test_the_ledger_holds_what_was_paid(unbroken: dict[str, Any]) -> None:
    folder = Path(unbroken["run"])
    ledger = Ledger(folder / "ledger.sqlite", "reader")
    steps = {(spent.group["stage"], spent.group["step"]): spent for spent in ledger.totals()}
    assert steps["round-00", "draft"].tokens > 0
    assert steps["round-00", "verify"].requests > 0
    assert steps["base", "earn"].paid > 0
    paid = ledger.spent()
    replies = {line["prompt"] for line in _sent(folder.parent.parent.parent)}
    assert paid.requests >= len(replies) > 0


def _sent(root: Path) -> list[dict[str, Any]]:
    logs = sorted(root.rglob("unbroken.jsonl"))
    return [line for path in logs for line in read_log(path) if line["event"] == "sent" and line["paid"]]


def test_a_second_run_pays_for_nothing_it_shares(unbroken: dict[str, Any], cli: Cli) -> None:
    first = Path(unbroken["run"])
    config = first.parent.parent / "input" / "config.yaml"
    done = cli("run", "-c", config, "-o", first.parent / "two", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"] == unbroken["artifacts"]
    again = Ledger(first.parent / "two" / "ledger.sqlite", "reader").spent()
    assert again.entries > 0
    # Failed requests are asked again; nothing that was answered is.
    assert again.paid == again.failed


@pytest.mark.real
@pytest.mark.parametrize("kills", [20])
def test_kill_in_the_middle_of_drafting_pays_nothing_twice(
    kills: int, unbroken: dict[str, Any], cli: Cli, tmp_path: Path
) -> None:
    log, folder = tmp_path / "log.jsonl", tmp_path / "runs" / "killed"
    dice = random.Random(kills)
    times = []
    with FaultServer(log, KINDS, delay=0.02, reply=reply) as server:
        config = write_http_demo(tmp_path / "input", server.url, teacher={"max_concurrency": 2})
        for _ in range(kills):
            started = len(read_log(log))
            process = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", "run", "-c", str(config), "-o", str(folder), "-q"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"},
            )  # fmt: skip
            while process.poll() is None and not _generating(read_log(log)[started:]):
                time.sleep(0.01)
            time.sleep(dice.random() * 0.4)
            process.send_signal(signal.SIGKILL)
            process.wait()
            times.append(time.time())
            server.settle()
        assert len([line for line in read_log(log) if line["event"] == "sent" and line["paid"]]) > kills
        done = cli("resume", folder, "--json", "-q")
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"] == unbroken["artifacts"]
    sent = defaultdict(list)
    for line in read_log(log):
        if line["event"] == "sent" and line["paid"]:
            sent[line["prompt"]].append(line["time"])
    lost = 0
    for moments in sent.values():
        for moment in sorted(moments)[:-1]:
            assert any(moment - kill > -IN_FLIGHT for kill in times if moment - kill < 2), (
                "a stored reply was asked again"
            )
            lost += 1
    assert lost <= 2 * kills


def _generating(lines: list[dict[str, Any]]) -> bool:
    return sum(line["event"] == "asked" and line.get("mark") is not None for line in lines) >= 3


@pytest.mark.parametrize(("limit", "value"), [("max_teacher_tokens", 300), ("max_requests", 30)])
def test_a_budget_stops_in_the_middle_and_a_higher_one_goes_on(
    limit: str, value: int, server: FaultServer, unbroken: dict[str, Any], cli: Cli, tmp_path: Path
) -> None:
    config = write_http_demo(tmp_path / "input", server.url, teacher={"max_concurrency": 2}, loop={limit: value})
    folder = tmp_path / "runs" / "limited"
    done = cli("run", "-c", config, "-o", folder, "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert f"remedial resume {folder} --set loop.{limit}=" in done.stderr
    found = json.loads(done.stdout)
    assert (found["state"], found["stop_reason"], found["test"]) == ("stopped", "budget", None)
    spent = Ledger(folder / "ledger.sqlite", "reader").spent()
    if limit == "max_requests":
        assert spent.requests <= value
    same = cli("resume", folder, "--json", "-q")
    assert json.loads(same.stdout)["stop_reason"] == "budget"
    done = cli("resume", folder, "--json", "-q", "--set", f"loop.{limit}=1000000")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"] == unbroken["artifacts"]


def test_finish_opens_the_test_with_the_rounds_there_are(cli: Cli, server: FaultServer, tmp_path: Path) -> None:
    config = write_http_demo(tmp_path / "input", server.url, loop={"max_train_tokens": 1})
    folder = tmp_path / "runs" / "limited"
    first = json.loads(cli("run", "-c", config, "-o", folder, "--json", "-q").stdout)
    assert (first["state"], len(first["rounds"])) == ("stopped", 1)
    done = cli("resume", folder, "--finish", "--json", "-q")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["state"], found["stop_reason"]) == ("finished", "budget")
    assert found["test"]["n"] == 300


def test_a_resume_changes_limits_only(cli: Cli, unbroken: dict[str, Any]) -> None:
    done = cli("resume", unbroken["run"], "--set", "allocate.new_examples=3")
    assert done.returncode == 2
    assert "another config" in done.stderr


def test_a_teacher_that_mostly_fails_stops_the_run(cli: Cli, tmp_path: Path) -> None:
    kinds = ("ok", "empty_choices", "empty_choices", "empty_choices")
    with FaultServer(tmp_path / "log.jsonl", kinds, reply=reply) as server:
        config = write_http_demo(tmp_path / "input", server.url, verify={"verifiers": ["algebra", "duplicate"]})
        done = cli("run", "-c", config, "-o", tmp_path / "runs" / "one", "-q")
        assert done.returncode == 1
        assert "max_failed_share" in done.stderr
        asked = len(read_log(tmp_path / "log.jsonl"))
        server.heal()
        again = cli("resume", tmp_path / "runs" / "one", "--json", "-q")
    assert again.returncode == 0, again.stderr
    assert asked < 400
    assert json.loads(again.stdout)["state"] == "finished"
