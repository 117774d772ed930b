"""Checks of what lies outside of the config, before anything is spent: extras, endpoints, keys, models, LoRA rank.

No token is asked for: endpoints say what they serve, and the student's servers load an adapter of zeros and drop it.
What is wrong with the config and the data is `agent.validate`'s; a real call to each endpoint is `agent.doctor`'s.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from agent.config import RunConfig, Served
from agent.findings import Findings, one_line
from agent.models import ServedStudent, http_engine, needs_purse, teacher_model
from memory.errors import ConfigError
from memory.store import MANIFEST
from training.anneal import AnnealConfig, parse_config
from training.zero_adapter import write_zero_adapter

#: The largest value that vLLM's ``--max-lora-rank`` takes.
MAX_RANK = 512


def before_spending(config: RunConfig, folder: Path) -> None:
    """Stop a run that could not go on, before it spends anything: what `remedial validate` finds outside of the config.

    A run that is resumed is checked without loading an adapter, a finished one not at all.

    Args:
        config: the checked configuration.
        folder: the run folder, which need not exist.

    Raises:
        ConfigError: a line for each problem.
    """
    if (folder / "final" / "test-1.done").exists():
        return
    found = check_extras(config)
    found.attempt("anneal.lora_r", lambda: check_rank_limit(config))
    if needs_purse(config) and not found.problems:
        found.extend(check_endpoints(config, folder, load=not (folder / MANIFEST).exists()))
    if found.problems:
        raise ConfigError("\n".join(str(item) for item in found.problems))


def check_extras(config: RunConfig) -> Findings:
    """Whether the optional packages are installed that this config needs."""
    found = Findings()
    for place, module, extra in needed_extras(config):
        if find_spec(module) is None:
            found.problem(
                place, f"this needs the package {module}, which is not installed: pip install 'remedial[{extra}]'."
            )
        else:
            found.ok(place, f"{module} is installed.")
    return found


def needed_extras(config: RunConfig) -> list[tuple[str, str, str]]:
    """(key, module, extra) of every optional package that a config needs."""
    family = config.verify.second_family
    needed = []
    for place, engine in (
        ("student.engine: vllm", config.student.engine),
        ("teacher.engine: vllm", config.teacher.engine if config.teacher.kind == "llm" else None),
        ("verify.second_family.engine: vllm", family.engine if family else None),
    ):
        if engine == "vllm":
            needed.append((place, "vllm", "vllm"))
    return needed


def served_models(config: RunConfig) -> list[tuple[str, Served, str]]:
    """(section, its settings, name of the model on the server) of everything behind HTTP.

    Raises:
        ConfigError: the teacher's model is not named.
    """
    found: list[tuple[str, Served, str]] = []
    teacher, family, student = config.teacher, config.verify.second_family, config.student
    if teacher.kind == "llm" and teacher.engine == "openai":
        found.append(("teacher", teacher, teacher_model(teacher)))
    if family is not None and family.engine == "openai":
        found.append(("verify.second_family", family, family.model))
    if student.engine == "openai":
        found.append(("student", student, student.served_model_name or student.model_name_or_path))
    return found


def rank_to_come(config: RunConfig) -> int | None:
    """The largest rank an adapter of the run may have; stacked rounds add up. None where nothing is annealed.

    Raises:
        ConfigError: the ``anneal`` section is wrong.
    """
    if config.student.engine == "scripted":
        return None
    settings = parse_config(config.anneal)
    return settings.lora_r * (1 if settings.start_from == "base" else config.loop.max_rounds)


def check_rank_limit(config: RunConfig) -> None:
    """The rank to come fits the largest that vLLM can be told to serve.

    Raises:
        ConfigError: it does not.
    """
    rank = rank_to_come(config)
    if config.student.engine in ("openai", "vllm") and rank is not None and rank > MAX_RANK:
        raise ConfigError(
            f"anneal.lora_r: stacked over loop.max_rounds = {config.loop.max_rounds} rounds the adapter reaches rank "
            f"{rank}, and vLLM serves at most {MAX_RANK}. Lower lora_r or max_rounds, or set anneal.start_from: base."
        )


def check_endpoints(config: RunConfig, folder: Path, *, load: bool = True) -> Findings:
    """Every endpoint: reachable, key accepted, model listed; the student's servers also take the adapters to come.

    Args:
        config: the configuration.
        folder: the run folder, beside (or in) which an adapter of zeros is written for a moment.
        load: whether the adapter of zeros is loaded; else only the route is asked for.
    """
    found = Findings()
    models = found.attempt("teacher.model", lambda: served_models(config)) or []
    for place, served, model in models:
        engine = found.attempt(place, lambda p=place, s=served, m=model: http_engine(p, s, m, None))  # type: ignore[misc]
        if engine is None:
            continue
        checks = engine.list_models()
        for check in checks:
            (found.ok if check.ok else found.problem)(place, check.message)
        if place == "student" and all(check.ok for check in checks):
            found.attempt(place, lambda: _check_adapters(config, folder, load, found))
    return found


def _check_adapters(config: RunConfig, folder: Path, load: bool, found: Findings) -> None:
    settings, rank = parse_config(config.anneal), rank_to_come(config)
    assert rank is not None
    student = ServedStudent(config.student, folder, None)
    student.server.check(student.base_name, rank)
    if not load:
        return
    with _zero_adapter(config, settings, rank, folder) as seen_by_server:
        student.server.check_rank(seen_by_server, rank)
    found.ok("student", f"the servers load adapters of rank {rank}.")


@contextlib.contextmanager
def _zero_adapter(config: RunConfig, settings: AnnealConfig, rank: int, folder: Path) -> Iterator[Path]:
    """An adapter of zeros for the length of the block, as the servers see it.

    It lies beside the run folder; where ``student.adapter_dir_on_server`` says how the servers see the run folder, in
    the run folder itself, since nothing else is known to be seen.
    """
    student = config.student
    inside = student.adapter_dir_on_server is not None
    parent = folder if inside else folder.resolve().parent
    made = not parent.exists()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".remedial-check-", dir=parent))
    except OSError as error:
        raise ConfigError(f"{parent} cannot be written ({error}); choose another --output-dir.") from error
    try:
        try:
            write_zero_adapter(student.model_name_or_path, settings, rank, place, revision=student.revision)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"student.model_name_or_path: no adapter for {student.model_name_or_path} can be written to be tried "
                f"({one_line(error)}). Give a model folder, or an id that the hub has."
            ) from error
        yield Path(student.adapter_dir_on_server) / place.name if student.adapter_dir_on_server else place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):
                parent.rmdir()
