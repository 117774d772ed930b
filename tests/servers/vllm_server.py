"""Real vLLM servers for tests and demos: on 127.0.0.1, on the processor, and always stopped.

    with vllm_server(folder, "student", log=Path("server.log")) as server:
        ...  # server.base_url

A server runs in a process group of its own under a small keeper (this file as a program), which ends the whole group
when it is told to, and also when the process that started it is gone, however that ended.

Two faults of this vLLM on processors are guarded against. A base-model request that shares a batch with an adapter's
gets the adapter of the last slot: slots are kept free (``max_loras``), so start a new server before that many adapters
were loaded. And prompt log-probabilities crash a server with LoRA: ask a server that was started with ``lora=False``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # pinned threads lose up to six times on shared cores
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_HOST_IP": "127.0.0.1",  # else its inner sockets listen on the outer address
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
READY_SECONDS = 600.0  # about 45 on a free machine; its cores may be shared
STOP_SECONDS = 10.0
TAIL = 3000  # characters of the log in an error


@dataclass(frozen=True)
class Server:
    """A running server; ``base_url`` ends in /v1."""

    base_url: str
    served_name: str
    log: Path
    process: subprocess.Popen[bytes]

    def wait(self, seconds: float = READY_SECONDS) -> None:
        """Return when it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the vLLM server of {self.served_name} ended:\n{self.tail()}")
            with contextlib.suppress(OSError):
                health = self.base_url.removesuffix("/v1") + "/health"
                with urllib.request.urlopen(health, timeout=5) as reply:
                    if reply.status == 200:
                        return
            time.sleep(0.25)
        raise RuntimeError(f"the vLLM server of {self.served_name} is not ready after {seconds:.0f} s:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-TAIL:]

    def stop(self) -> None:
        """End the whole process group."""
        assert self.process.stdin is not None
        self.process.stdin.close()  # the keeper's sign
        try:
            self.process.wait(STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def start(
    python: Path,
    model_dir: Path,
    served_name: str,
    *,
    log: Path,
    lora: bool = True,
    max_lora_rank: int = 32,
    max_loras: int = 8,
    max_model_len: int = 512,
    max_num_seqs: int = 64,
    port: int = 0,
) -> Server:
    """Start a server and do not wait for it. ``port`` 0 is a free one; ``python`` is that of vLLM's environment."""
    port = port or _free_port()
    command = [
        str(python), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port),
        "--model", str(model_dir), "--served-model-name", served_name, "--dtype", "float32",
        "--max-model-len", str(max_model_len), "--max-num-seqs", str(max_num_seqs), "--enforce-eager",
        # No prompt is ever split over steps: for a seeded request that ends vLLM 0.30's engine on processors
        # ("CPU Generator does not use offset").
        "--max-num-batched-tokens", str(max_num_seqs * max_model_len),
        "--structured-outputs-config", '{"backend":"xgrammar","disable_any_whitespace":true}',
    ]  # fmt: skip
    if lora:
        command += ["--enable-lora", "--max-lora-rank", str(max_lora_rank), "--max-loras", str(max_loras)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
            cwd=log.parent,  # where no folder of ours can be taken for a package
            start_new_session=True,
        )
    return Server(f"http://127.0.0.1:{port}/v1", served_name, log, process)


@contextlib.contextmanager
def vllm_server(python: Path, model_dir: Path, served_name: str, **settings: object) -> Iterator[Server]:
    """A server that is ready, stopped at the end in any case; settings are those of `start`."""
    server = start(python, model_dir, served_name, **settings)  # type: ignore[arg-type]
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def unload_adapter(base_url: str, name: str) -> None:
    """Make a server forget an adapter, so that the next user of it finds it as it was started."""
    request = urllib.request.Request(
        base_url + "/unload_lora_adapter",
        data=json.dumps({"lora_name": name}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep(command: list[str]) -> int:
    """Run a command until it ends or standard input closes, then end this whole process group."""
    import threading

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it goes to the group, of which this is one
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    gone = threading.Event()

    def listen() -> None:
        sys.stdin.buffer.read()
        gone.set()

    threading.Thread(target=listen, daemon=True).start()
    while child.poll() is None and not gone.wait(0.2):
        pass
    code = child.poll()
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_SECONDS)
    if code is not None:
        print(f"the server ended by itself with code {code}", flush=True)
    os.killpg(0, signal.SIGKILL)
    return 1  # not reached


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
