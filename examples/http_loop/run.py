"""Run the whole loop over HTTP: start two real vLLM servers, run it, stop them.

    python examples/http_loop/run.py [-o runs/http-loop] [--max-lora-rank 32] [any option of `remedial run`]

Needs the environment of the test servers (`make vllm-env`), so that vLLM runs on processors. With servers of your own:
`remedial run -c examples/http_loop/config.yaml --set 'student.base_urls=[http://host:8000/v1]'`.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers.install_vllm import folder, installed, python  # noqa: E402
from tests.servers.vllm_server import start  # noqa: E402

STUDENT = ROOT / "examples" / "quickstart" / "student"
TEACHER = ROOT / "examples" / "neural_teacher" / "model"


def main() -> int:
    """Servers up, loop, servers down; the exit code is the loop's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output-dir", type=Path, default=ROOT / "runs" / "http-loop")
    parser.add_argument("--max-lora-rank", type=int, default=32)
    arguments, rest = parser.parse_known_args()
    if not installed():
        print(f"There is no vLLM environment in {folder()}; `make vllm-env` builds it.", file=sys.stderr)
        return 2
    logs = arguments.output_dir.resolve().with_name(f"{arguments.output_dir.name}-servers")
    with contextlib.ExitStack() as stack:
        print(f"starting two vLLM servers (about a minute); their logs are in {logs}", file=sys.stderr, flush=True)
        student = start(python(), STUDENT, "student", log=logs / "student.log", max_lora_rank=arguments.max_lora_rank)
        stack.callback(student.stop)
        teacher = start(python(), TEACHER, "neural-teacher", log=logs / "teacher.log", lora=False)
        stack.callback(teacher.stop)
        student.wait()
        teacher.wait()
        command = [
            sys.executable, "-m", "agent.cli", "run", "-c", str(Path(__file__).with_name("config.yaml")),
            "-o", str(arguments.output_dir), "--set", f"student.base_urls=[{student.base_url}]",
            "--set", f"teacher.base_urls=[{teacher.base_url}]", *rest,
        ]  # fmt: skip
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
