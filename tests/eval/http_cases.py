"""What the tests of the HTTP engine ask and are answered."""

import json
from pathlib import Path
from typing import Any

from eval.engines.base import Messages, Sampling
from tests.servers.fault_server import read_log
from tests.servers.loopback import Request, Response

DRAWN = Sampling(temperature=0.7, top_p=0.9, seed=3, max_new_tokens=64)
RUN = "run-1"


def ask(*contents: str) -> list[Messages]:
    return [[{"role": "user", "content": content}] for content in contents]


def many(count: int) -> list[Messages]:
    return ask(*(f"problem {number}" for number in range(count)))


def asked(log: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(log) if line["event"] == "asked"]


class Recorder:
    """Answers with one body, and keeps what came."""

    def __init__(self, *responses: Response) -> None:
        self.responses, self.requests = list(responses), []

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]


def chat(content: str | None, finish: str | None = "stop", **message: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice]}).encode()
