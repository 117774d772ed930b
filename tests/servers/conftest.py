"""Real vLLM servers, started once for all tests of this folder that ask for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.install_vllm import folder, installed, python
from tests.servers.vllm_server import Server, vllm_server

#: Of the student's server. Adapters of later rounds are concatenated, so their rank grows.
MAX_LORA_RANK = 64


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    if not installed():
        pytest.skip(f"no vLLM environment of the pinned versions in {folder()}; `make vllm-env` builds it (3.5 GB)")
    return python()


@pytest.fixture(scope="session")
def student_server(vllm_python: Path, student_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The quickstart's student, which takes adapters."""
    log = tmp_path_factory.mktemp("student-server") / "server.log"
    with vllm_server(vllm_python, student_dir, "student", log=log, max_lora_rank=MAX_LORA_RANK) as server:
        yield server


@pytest.fixture(scope="session")
def teacher_server(vllm_python: Path, teacher_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The neural teacher, which takes none."""
    log = tmp_path_factory.mktemp("teacher-server") / "server.log"
    with vllm_server(vllm_python, teacher_dir, "neural-teacher", log=log, lora=False) as server:
        yield server


@pytest.fixture(scope="session")
def student_dir(root: Path) -> Path:
    return root / "examples/quickstart/student"


@pytest.fixture(scope="session")
def teacher_dir(root: Path) -> Path:
    return root / "examples/neural_teacher/model"
