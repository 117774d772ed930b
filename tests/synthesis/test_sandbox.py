"""Programs by strangers, contained at both levels: what computes, what is kept out, and no level without isolation."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.errors import ConfigError
from synthesis.verification import sandbox as module
from synthesis.verification.sandbox import MAX_OUTPUT, JailedPython, MontySandbox, Ran, Sandbox, make_sandbox


def available(made: Sandbox) -> bool:
    return module._tried(made) is None


@pytest.fixture(scope="module", params=["monty", "cpython"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "monty":
        pytest.importorskip("pydantic_monty")
    made: Sandbox = MontySandbox(1.0, 256) if request.param == "monty" else JailedPython(1.0, 256)
    if not available(made):
        pytest.skip(f"{request.param} cannot contain programs on this machine: {module._tried(made)}")
    yield made
    made.close()


def test_sums_are_computed(sandbox: Sandbox) -> None:
    assert sandbox.run("a = 12\nfor i in range(3):\n    a += i\nprint(a)") == Ran("15\n", None)
    assert sandbox.run("import math\nprint('step')\nprint(math.comb(10, 3))").output == "step\n120\n"
    assert sandbox.run("def f(n):\n    return 1 if n < 2 else n * f(n - 1)\nprint(f(20))").output.strip() == str(
        2432902008176640000
    )


HOSTILE = {
    "reads": "print(open('{secret}').read())",
    "reads by os": "import os\nprint(os.read(os.open('{secret}', 0), 99))",
    "reads by path": "from pathlib import Path\nprint(Path('{secret}').read_text())",
    "lists": "import os\nprint('secret' if os.listdir('{folder}') else '')",
    "writes": "open('{folder}/new', 'w').write('x')",
    "appends": "open('{secret}', 'a').write('x')",
    "deletes": "import os\nos.remove('{secret}')",
    "renames": "import os\nos.rename('{secret}', '{folder}/new')",
    "makes a folder": "import os\nos.mkdir('{folder}/new')",
    "changes modes": "import os\nos.chmod('{secret}', 0)",
    "links": "import os\nos.symlink('/', '{folder}/new')",
    "connects": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\nprint('secret')",
    "listens": "import socket\nsocket.socket().bind(('127.0.0.1', 0))\nprint('secret')",
    "sends datagrams": "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', {port}))\nprint('secret')",
    "asks the resolver": "import socket\nprint('secret', socket.getaddrinfo('localhost', 80))",
    "starts a shell": "import subprocess\nsubprocess.run(['sh', '-c', 'echo secret'])\nprint('secret')",
    "becomes a shell": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo secret'])",
    "forks": "import os\nos.fork()\nprint('secret')",
    "starts a thread": "import threading\nthreading.Thread(target=lambda: print('secret')).start()",
    "kills its parent": "import os\nos.kill(os.getppid(), 9)\nprint('secret')",
    "reads the environment": "import os\nprint(os.environ['REMEDIAL_SECRET'])",
    "reads its parent's environment": "import os\nprint(open(f'/proc/{{os.getppid()}}/environ').read())",
    "loads a library": "import ctypes\nctypes.CDLL('{folder}/x.so')\nprint('secret')",
    "calls the kernel": "import ctypes\nif ctypes.CDLL(None).syscall(41, 2, 1, 0) >= 0: print('secret')",
    "raises its limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))\nprint('secret')",
    "imports by name": "print('secret') if __import__('os').system('true') == 0 else None",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_outside_is_reached(sandbox: Sandbox, name: str, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("REMEDIAL_SECRET", "secret")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        source = HOSTILE[name].format(secret=secret, folder=tmp_path, port=server.getsockname()[1])
        ran = sandbox.run(source)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()
    assert "secret" not in ran.output
    assert ran.error is not None or name in ("calls the kernel", "imports by name")
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]
    assert secret.read_text(encoding="utf-8") == "secret"
    assert os.access(secret, os.R_OK)


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "x = [0] * 10**9\nprint(len(x))",
        "x = 'a'\nwhile True: x += x",
        "while True: print('x' * 1000)",
        "print('x' * 10**7)",
        "def f(): return f()\nf()",
        "print(9**9**9)",
        "import time\nwhile True: time.sleep(10)",
        "x = []\nwhile True: x.append(x)",
        "raise SystemExit(3)",
        "1 / 0",
        "this is no program",
        "input()",
        "\x00",
        "x = 1\n" * 10_000,
        "(" * 10_000,
    ],
)
def test_every_run_ends_within_its_limits(sandbox: Sandbox, source: str) -> None:
    started = time.perf_counter()
    ran = sandbox.run(source)
    assert time.perf_counter() - started < 60
    assert ran.error is not None
    assert len(ran.error) <= 160
    assert len(ran.output) <= MAX_OUTPUT
    (ran.output + ran.error).encode("utf-8")
    assert sandbox.run("print(7)") == Ran("7\n", None)  # and the next one is served


def test_the_best_level_is_taken_and_named() -> None:
    with_monty = make_sandbox()
    assert with_monty.level in ("monty", "cpython+rlimits+landlock+seccomp")
    with_monty.close()


def test_without_isolation_nothing_starts(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)

    class Open:
        level = "none"

        def __init__(self, *limits: float) -> None: ...

        def run(self, source: str) -> Ran:
            return Ran("6" if "gcd" in source else "inside", None)

        def close(self) -> None: ...

    monkeypatch.setattr(module, "JailedPython", Open)
    with pytest.raises(ConfigError, match=r"verify\.program: .*monty: .*not installed; cpython: no isolation: a file"):
        make_sandbox()


def test_a_kernel_that_refuses_is_said_so(monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    refusing = tmp_path / "jail.py"
    refusing.write_text("import sys\nsys.stderr.write('Landlock: Function not implemented')\nsys.exit(97)\n")
    monkeypatch.setattr(module, "_JAIL", refusing)
    with pytest.raises(ConfigError, match=r"cpython: Landlock: Function not implemented"):
        make_sandbox("cpython")
