"""Adapters on running vLLM servers: loading peft folders by name, and checks before anything is spent.

Owns the calls of vLLM's runtime LoRA routes. Knows nothing of prompts; generating with a loaded adapter is
`eval.engines.openai_http` with the adapter's name as the model.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.engines.endpoints import (
    call,
    check_urls,
    explain,
    list_models,
    make_client,
    read_key,
    run_async,
    unknown_model,
)
from eval.engines.replies import Fault
from memory.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CHECK_SECONDS = 10.0
_LOAD, _UNLOAD = "/load_lora_adapter", "/unload_lora_adapter"


class AdapterServer:
    """The vLLM servers that serve one student; each holds every adapter.

    Args:
        base_urls: as for `eval.engines.openai_http.OpenAIEngine`.
        api_key_env: names the environment variable that holds the key.
        timeout: seconds for one load.

    Raises:
        ConfigError: a malformed address, or the key's variable is not set.
    """

    def __init__(self, base_urls: Sequence[str], *, api_key_env: str | None = None, timeout: float = 120.0) -> None:
        self.base_urls, self._api_key_env, self._timeout = check_urls(base_urls), api_key_env, timeout
        self._secret = read_key(api_key_env)
        self._loaded: set[tuple[str, str, str]] = set()

    def ensure(self, name: str, path: Path, rank: int) -> None:
        """Make every server serve a peft folder under a name.

        A server tells of an adapter only where it was read from, not what is in it. So what was loaded by somebody else
        under the name, be it from the same folder, is unloaded and loaded again.

        Args:
            name: what requests call it; use names that no other run on these servers uses.
            path: a peft folder, on a disk that the servers see under the same path.
            rank: of the adapter, for errors.

        Raises:
            EngineError: a server refuses it, or does not list it afterwards.
        """
        folder = str(path.resolve())
        faults = self._on_each(lambda client, url: self._ensure_one(client, url, name, folder, rank))
        if faults:
            raise EngineError("\n".join(faults))

    def check(self, model: str, rank: int) -> None:
        """Check that every server is there, serves the base model and lets adapters be loaded.

        vLLM tells its ``max_lora_rank`` to nobody: `check_rank` finds out by loading.

        Raises:
            ConfigError: one sentence for each server that is not ready.
        """
        faults = self._on_each(lambda client, url: self._check_one(client, url, model, rank))
        if faults:
            raise ConfigError("\n".join(faults))

    def check_rank(self, folder: Path, rank: int) -> None:
        """Load an adapter of the rank to come under a throw-away name, and unload it again.

        Args:
            folder: a peft folder of that rank for the served model; its weights may be zeros.
            rank: its rank.

        Raises:
            ConfigError: a server cannot load it; where the rank is too high, with the argument to start it with.
        """
        name = f"remedial-check-{uuid.uuid4().hex[:8]}"
        path = str(folder.resolve())
        faults = self._on_each(lambda client, url: self._try_one(client, url, name, path, rank))
        if faults:
            raise ConfigError("\n".join(faults))

    def remove(self, name: str) -> None:
        """Unload an adapter everywhere; servers that do not have it are left alone.

        Raises:
            EngineError: a server cannot be reached or refuses.
        """
        faults = self._on_each(lambda client, url: self._remove_one(client, url, name))
        self._loaded = {item for item in self._loaded if item[1] != name}
        if faults:
            raise EngineError("\n".join(faults))

    def _on_each(self, work: Callable[[AsyncOpenAI, str], Coroutine[Any, Any, str | None]]) -> list[str]:
        async def one(url: str) -> str | None:
            async with make_client(url, self._secret, self._timeout) as client:
                return await work(client, url)

        async def all_of_them() -> list[str | None]:
            return await asyncio.gather(*(one(url) for url in self.base_urls))

        return [fault for fault in run_async(all_of_them()) if fault is not None]

    async def _ensure_one(self, client: AsyncOpenAI, url: str, name: str, folder: str, rank: int) -> str | None:
        listed = await list_models(client, url, self._secret, _CHECK_SECONDS)
        if isinstance(listed, Fault):
            return explain(listed, url, name, self._api_key_env)
        found = next((entry for entry in listed if entry["id"] == name), None)
        if found is not None:
            if found.get("parent") is None:
                return f"{url} serves a base model under the name {name!r}; the adapter needs another name."
            if found.get("root") == folder and (url, name, folder) in self._loaded:
                return None
            fault = await self._post(client, _UNLOAD, {"lora_name": name})
            if fault is not None:
                return f"{url} does not unload the adapter {name!r} that it has from {found.get('root')} ({fault})."
        fault = await self._post(client, _LOAD, {"lora_name": name, "lora_path": folder})
        if fault is not None:
            return self._explain_load(fault, url, folder, rank)
        listed = await list_models(client, url, self._secret, _CHECK_SECONDS)
        if isinstance(listed, Fault):
            return explain(listed, url, name, self._api_key_env)
        if not any(entry["id"] == name and entry.get("root") in (folder, None) for entry in listed):
            return f"{url} said that it loaded the adapter {name!r}, but does not list it from {folder}. Restart it."
        self._loaded.add((url, name, folder))
        return None

    async def _check_one(self, client: AsyncOpenAI, url: str, model: str, rank: int) -> str | None:
        listed = await list_models(client, url, self._secret, _CHECK_SECONDS)
        if isinstance(listed, Fault):
            return explain(listed, url, model, self._api_key_env)
        known = [str(entry["id"]) for entry in listed]
        if model not in known:
            return unknown_model(url, model, known)
        # Empty names are refused where the route exists.
        fault = await self._post(client, _LOAD, {"lora_name": "", "lora_path": ""})
        if fault is not None and fault.status not in (400, 422):
            return self._explain_load(fault, url, "", rank)
        return None

    async def _try_one(self, client: AsyncOpenAI, url: str, name: str, folder: str, rank: int) -> str | None:
        fault = await self._post(client, _LOAD, {"lora_name": name, "lora_path": folder})
        if fault is not None:
            return self._explain_load(fault, url, folder, rank)
        fault = await self._post(client, _UNLOAD, {"lora_name": name})
        return f"{url} does not unload the adapter {name!r} it was asked to try ({fault})." if fault else None

    async def _remove_one(self, client: AsyncOpenAI, url: str, name: str) -> str | None:
        fault = await self._post(client, _UNLOAD, {"lora_name": name})
        if fault is None or (fault.status in (400, 404) and "found" in fault.evidence):
            return None
        return f"{url} does not unload the adapter {name!r} ({fault})."

    async def _post(self, client: AsyncOpenAI, route: str, body: dict[str, str]) -> Fault | None:
        async def request() -> bytes:
            return (await client.post(route, body=body, cast_to=str)).encode("utf-8", "replace")

        found = await call(request, self._secret, self._timeout)
        return found if isinstance(found, Fault) else None

    def _explain_load(self, fault: Fault, url: str, folder: str, rank: int) -> str:
        words = fault.evidence.lower()
        if fault.status in (404, 405) and "adapter" not in words:
            return (
                f"{url} does not let adapters be loaded (HTTP {fault.status}). Start vLLM with --enable-lora "
                f"--max-lora-rank {rank_argument(rank)} and, in its environment, "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
            )
        if "lora rank" in words or "lora_rank" in words:
            limit = re.search(r"max_lora_rank\D{0,3}(\d+)", words)
            has = f", which allows {limit[1]}" if limit else ""
            return (
                f"{url} cannot serve adapters of rank {rank}{has}. Start it with --max-lora-rank "
                f"{rank_argument(rank)}, or lower the rank in the config."
            )
        if "enable_lora" in words or "enable-lora" in words or "lora is not enabled" in words:
            return f"{url} runs without LoRA ({fault}). Start vLLM with --enable-lora."
        if fault.status in (401, 403) or fault.status is None:
            return explain(fault, url, folder, self._api_key_env)
        return (
            f"{url} cannot load the adapter {folder} ({fault}). The folder must be a peft adapter of the served model, "
            "on a disk that the server sees under the same path."
        )


def rank_argument(rank: int) -> int:
    """The smallest value that vLLM's ``--max-lora-rank`` takes and that fits a rank."""
    return next((value for value in (1, 8, 16, 32, 64, 128, 256, 320, 512) if value >= rank), rank)
