"""The real server: it says what our own engine says, with adapters too; it follows a schema; and it always stops."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.engines.base import Messages, Sample, Sampling
from eval.engines.hf import TransformersEngine
from tests.servers.adapters import write_adapter
from tests.servers.vllm_server import Server

pytestmark = pytest.mark.real

NEW_TOKENS = 120
SCHEMA = {
    "type": "object",
    "properties": {
        "misconception": {"type": "string"},
        "problems": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {key: {"type": "string"} for key in ("statement", "solution", "answer")},
                "required": ["statement", "solution", "answer"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["misconception", "problems"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Messages]:
    lines = (root / "examples/quickstart/data/probe.jsonl").read_text(encoding="utf-8").splitlines()
    return [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines[::30]]


@pytest.fixture(scope="module")
def adapter(student_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(student_dir, tmp_path_factory.mktemp("adapter") / "a", rank=16)


@pytest.fixture
def client(student_server: Server) -> Iterator[Any]:
    from openai import OpenAI

    with OpenAI(base_url=student_server.base_url, api_key="none", max_retries=0, timeout=120) as client:
        yield client


def ask(client: Any, model: str, messages: Messages) -> tuple[str, int]:
    reply = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=NEW_TOKENS)
    return reply.choices[0].message.content, reply.usage.completion_tokens


def ours(folder: Path, adapter: Path | None, prompts: list[Messages]) -> list[tuple[str, int]]:
    engine = TransformersEngine(str(folder), adapter)
    rows: list[list[Sample]] = engine.generate(prompts, Sampling(max_new_tokens=NEW_TOKENS))
    engine.close()
    return [(row[0].text, row[0].n_tokens) for row in rows]


def test_it_answers_as_our_own_engine(student_dir: Path, client: Any, prompts: list[Messages]) -> None:
    assert len(prompts) == 20
    assert [ask(client, "student", messages) for messages in prompts] == ours(student_dir, None, prompts)


def test_an_adapter_loaded_by_name_answers_as_our_own_engine(
    student_dir: Path, client: Any, prompts: list[Messages], adapter: Path
) -> None:
    client.post("/load_lora_adapter", body={"lora_name": "one", "lora_path": str(adapter)}, cast_to=str)
    try:
        listed = {model.id: model.parent for model in client.models.list().data}
        assert listed == {"student": None, "one": "student"}
        found = [ask(client, "one", messages) for messages in prompts]
        assert found == ours(student_dir, adapter, prompts)
        base = ours(student_dir, None, prompts)
        assert sum(left != right for left, right in zip(found, base, strict=True)) >= 3  # the adapter does something
    finally:
        client.post("/unload_lora_adapter", body={"lora_name": "one"}, cast_to=str)
    assert [model.id for model in client.models.list().data] == ["student"]


def test_a_rank_above_the_limit_is_refused(student_dir: Path, client: Any, tmp_path: Path) -> None:
    from openai import APIStatusError

    wide = write_adapter(student_dir, tmp_path / "wide", rank=96)
    with pytest.raises(APIStatusError, match="rank"):
        client.post("/load_lora_adapter", body={"lora_name": "wide", "lora_path": str(wide)}, cast_to=str)
    assert [model.id for model in client.models.list().data] == ["student"]


def test_the_teacher_follows_a_schema_and_its_samples_differ(teacher_server: Server, prompts: list[Messages]) -> None:
    from openai import OpenAI

    with OpenAI(base_url=teacher_server.base_url, api_key="none", max_retries=0, timeout=120) as client:
        reply = client.chat.completions.create(
            model="neural-teacher",
            messages=[{"role": "user", "content": f"Write: {prompts[0][0]['content']}"}],
            n=8,
            temperature=0.8,
            seed=1,
            max_tokens=300,
            response_format={"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}},
        )  # type: ignore[call-overload]
    texts = [choice.message.content for choice in reply.choices]
    assert len(texts) == 8
    assert len(set(texts)) > 1
    whole = [text for choice, text in zip(reply.choices, texts, strict=True) if choice.finish_reason == "stop"]
    assert len(whole) >= 6
    for text in whole:
        found = json.loads(text, strict=False)
        assert list(found) == ["misconception", "problems"]
        assert list(found["problems"][0]) == ["statement", "solution", "answer"]


def test_no_process_is_left_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    # A stand-in for the server, with a child of its own, so that this costs no minute.
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(str(child.pid) + '\\n')\n"
        "time.sleep(600)\n"
    )
    parent = (
        "import subprocess, sys, time\n"
        "from tests.servers import vllm_server\n"
        f"command = [sys.executable, vllm_server.__file__, sys.executable, '-c', {script!r}]\n"
        "keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(keeper.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    group = int(process.stdout.readline())
    until(lambda: (tmp_path / "pids").is_file() and (tmp_path / "pids").read_text().endswith("\n"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not group_lives(group))


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
