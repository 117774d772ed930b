"""vLLM's model list and runtime LoRA routes, with its status codes and words, without a model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.servers.loopback import Loopback, Request, Response


class FakeVllm(Loopback):
    """Args: ``base`` model; ``updating``: whether runtime loading is on; ``max_rank``; ``lora``: --enable-lora."""

    def __init__(self, base: str = "base", *, updating: bool = True, max_rank: int = 16, lora: bool = True) -> None:
        super().__init__(self._handle)
        self.base, self.updating, self.max_rank, self.lora = base, updating, max_rank, lora
        self.adapters: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []

    async def _handle(self, request: Request) -> Response:
        if request.path == "/v1/models":
            cards = [{"id": self.base, "root": f"/models/{self.base}", "parent": None}]
            cards += [{"id": name, "root": path, "parent": self.base} for name, path in self.adapters.items()]
            return _json({"object": "list", "data": cards})
        route = re.fullmatch(r"/v1/(load|unload)_lora_adapter", request.path)
        if not self.updating or route is None:
            return _json({"detail": "Not Found"}, 404)
        body = json.loads(request.body)
        name, path = body.get("lora_name"), body.get("lora_path")
        self.calls.append((route[1], str(name)))
        if route[1] == "unload":
            if not name:
                return _error(400, "'lora_name' needs to be provided to unload a LoRA adapter.", "InvalidUserInput")
            if self.adapters.pop(name, None) is None:
                return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
            return Response(body=f"Success: LoRA adapter '{name}' removed successfully.".encode())
        if not name or not path:
            return _error(400, "Both 'lora_name' and 'lora_path' must be provided.", "InvalidUserInput")
        if name in self.adapters:
            return _error(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        config = Path(path) / "adapter_config.json"
        if not config.is_file():
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        if not self.lora:
            return _error(400, "Call to add_lora method failed: LoRA is not enabled.", "BadRequestError")
        rank = json.loads(config.read_text())["r"]
        if rank > self.max_rank:
            words = f"Call to add_lora method failed: LoRA rank {rank} is greater than max_lora_rank {self.max_rank}."
            return _error(400, words, "BadRequestError")
        self.adapters[name] = path
        return Response(body=f"Success: LoRA adapter '{name}' added successfully.".encode())


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode())


def _error(status: int, message: str, kind: str) -> Response:
    return _json({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)
