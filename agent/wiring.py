"""From a config to concrete parts: the only place that names them.

Loads nothing heavy by itself: engines, embedder and trainer load when they are first used, and
`check_parts` finds what can be found wrong without weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import RunConfig
from agent.corpus import check_corpus
from agent.data import RunData, read_web
from agent.limits import Limits
from agent.models import Purse, ServedStudent, asked_engine, local_engine, make_prompts, teacher_model
from agent.parts import Parts
from agent.verifiers import make_asked, verifiers_for
from eval.benchmarks.base import Benchmark
from eval.benchmarks.jsonl import ProblemSet
from eval.engines.base import Engine
from eval.grading import Grader
from memory.errors import ConfigError
from memory.records import Adapter
from synthesis.prompting import Prompts
from synthesis.strategies.table import make_strategy
from synthesis.teachers.base import Teacher
from synthesis.teachers.corpus import CorpusTeacher
from synthesis.teachers.llm import Record
from synthesis.teachers.neighbours import Library
from synthesis.teachers.solutions import Distiller
from synthesis.teachers.web import WebTeacher
from synthesis.verification.earning import earn_place
from training.base import Example, Trainer

if TYPE_CHECKING:
    from memory.embedding import Embedder

BASE = Adapter(id="base", path=None, sha256=None)


def build_parts(
    config: RunConfig,
    data: RunData,
    run_dir: Path,
    base_name: str,
    purse: Purse | None = None,
    seconds: float = 0.0,
    embeddings: Path | None = None,
) -> Parts:
    """All parts of a run.

    Args:
        config: the checked configuration.
        data: the checked problems.
        run_dir: where adapters of this run lie and where the embedding cache goes.
        base_name: the base model as adapters shall name it.
        purse: what the run pays with, where a model answers over HTTP.
        seconds: what earlier processes spent on this run.
        embeddings: the embedding cache; by default in the run's own folder.
    """
    grader, prompts = Grader(), make_prompts(config)
    teacher_engine = make_teacher_engine(config, purse)
    embedder = make_embedder(config, embeddings or run_dir / "cache" / "embeddings.sqlite")
    asked = make_asked(config, grader, prompts, embedder, teacher_engine, purse)
    served = ServedStudent(config.student, run_dir, purse)
    trainer, from_base = make_trainer(config, base_name)
    return Parts(
        config=config,
        student=served.engine
        if config.student.engine == "openai"
        else lambda adapter: make_engine(config, run_dir / adapter.path if adapter.path else None),
        benchmarks=make_benchmarks(data, grader),
        replay=data.replay,
        embedder=embedder,
        teacher=make_teacher(config, prompts, teacher_engine, purse),
        corpus=make_corpus(config, data, embedder, run_dir, grader, prompts, teacher_engine, purse),
        web=WebTeacher(read_web(config)) if config.draft.strategy == "web" else None,
        strategies={config.draft.strategy: make_strategy(config.draft.strategy, **strategy_settings(config))},
        verifiers=lambda accepted, student: verifiers_for(config, data, accepted, asked, student),
        trainer=trainer,
        base=BASE,
        trains_from_base=from_base,
        limits=purse.limits if purse else Limits(config.loop, seconds_before=seconds),
        within=purse.within if purse else lambda stage, step: nullcontext(),
    )


def check_parts(config: RunConfig, data: RunData) -> None:
    """Find what is wrong with the parts before any model is loaded or a token spent.

    Raises:
        UsageError: an unknown name, a missing model, a LoRA target that matches nothing, ``max_length`` below
            the data, a verifier that does not earn its place.
    """
    from training.anneal import check_anneal, parse_config

    settings = parse_config(config.anneal)
    check_strategy(config, data)
    prompts = make_prompts(config)
    prompts.check()
    teacher = make_teacher_engine(config, None)
    asked = make_asked(config, Grader(), prompts, None, teacher, None)
    student = make_engine(config, None)
    gold = data.replay[: config.verify.earn_place_sample]
    earn_place(verifiers_for(config, data, (), asked, student), gold)
    _check_embedder(config)
    if config.student.engine == "scripted":
        from agent.demo import check_student

        check_student(config.student.model_name_or_path)
        return
    check_model_folder(config.student.model_name_or_path)
    check_anneal(
        config.student.model_name_or_path,
        settings,
        [Example(problem.id, problem.statement, problem.solution or "") for problem in data.replay],
        revision=config.student.revision,
        system_prompt=config.student.system_prompt,
    )


def check_strategy(config: RunConfig, data: RunData) -> None:
    """What `draft.strategy` alone needs is there.

    Raises:
        UsageError: an unknown strategy, or its corpus or text is missing, malformed or empty.
    """
    check_corpus(config, data.corpus)
    make_strategy(config.draft.strategy, **strategy_settings(config))
    if config.draft.strategy == "web":
        read_web(config)


def base_display_name(config: RunConfig) -> str:
    """The base as adapters name it: relative to the current folder where it lies below, so that clones agree."""
    name = config.student.model_name_or_path
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else name


def strategy_settings(config: RunConfig) -> dict[str, int]:
    """The draft section's numbers that a strategy takes."""
    draft = config.draft
    return {
        "exemplars_per_request": draft.exemplars_per_request,
        "problems_per_request": draft.problems_per_request,
    }


def make_engine(config: RunConfig, adapter: Path | None) -> Engine:
    """The student with one adapter, or bare, where it runs in this process (behind a server: `ServedStudent`)."""
    student = config.student
    if student.engine == "scripted":
        from agent.demo import scripted_student

        return scripted_student(student.model_name_or_path, adapter)
    shared = {"revision": student.revision, "dtype": student.dtype, "system_prompt": student.system_prompt}
    if student.engine == "vllm":
        return local_engine("vllm", student.model_name_or_path, adapter, **shared, **student.vllm)
    return local_engine(
        "transformers",
        student.model_name_or_path,
        adapter,
        batch_tokens=student.batch_tokens,
        device=student.device,
        num_threads=student.num_threads,
        num_workers=student.num_workers,
        **shared,
    )


def make_trainer(config: RunConfig, base_name: str) -> tuple[Trainer, bool]:
    """The trainer, and whether it starts from the bare base every round."""
    student = config.student
    if student.engine == "scripted":
        from training.scripted import ScriptedTrainer

        return ScriptedTrainer(), False
    from training.anneal import LoraTrainer, parse_config

    settings = parse_config(config.anneal)
    trainer = LoraTrainer(
        student.model_name_or_path,
        settings,
        revision=student.revision,
        system_prompt=student.system_prompt,
        base_name=base_name,
    )
    return trainer, settings.start_from == "base"


def make_teacher_engine(config: RunConfig, purse: Purse | None) -> Engine | None:
    """The model behind the teacher, None where the teacher is none.

    Raises:
        ConfigError: no model or address is named, or the key's variable is not set.
    """
    teacher = config.teacher
    if teacher.kind != "llm":
        return None
    return asked_engine("teacher", teacher, teacher_model(teacher), purse)


def make_teacher(config: RunConfig, prompts: Prompts, engine: Engine | None, purse: Purse | None) -> Teacher:
    """The teacher."""
    settings = config.teacher
    if settings.kind == "scripted":
        from agent.demo import demo_teacher

        return demo_teacher()
    if engine is None:
        from synthesis.teachers.symbolic import SymbolicTeacher

        return SymbolicTeacher()
    from synthesis.teachers.llm import LLMTeacher

    model = teacher_model(settings)
    return LLMTeacher(
        engine,
        prompts,
        name=Path(model).name,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        repair=settings.repair,
        record=_in_ledger(model, purse),
    )


def make_corpus(
    config: RunConfig,
    data: RunData,
    embedder: Embedder,
    run_dir: Path,
    grader: Grader,
    prompts: Prompts,
    engine: Engine | None,
    purse: Purse | None,
) -> CorpusTeacher | None:
    """The teacher that retrieves, None where the strategy is answered by another."""
    corpus, settings = check_corpus(config, data.corpus), config.draft.retrieval
    if corpus is None or settings is None:
        return None
    distiller = None
    if settings.solutions == "distill" and engine is not None:
        model = teacher_model(config.teacher)
        distiller = Distiller(
            engine,
            prompts,
            grade=grader.equal,
            temperature=config.teacher.temperature,
            top_p=config.teacher.top_p,
            max_new_tokens=config.teacher.max_new_tokens,
            record=_in_ledger(model, purse),
        )
    library = Library(
        corpus.problems,
        embedder,
        masked=config.diagnose.mask,
        index=settings.index,
        exact_up_to=settings.exact_up_to,
        folder=run_dir / "cache",
    )
    return CorpusTeacher(library, distiller)


def _in_ledger(model: str, purse: Purse | None) -> Record | None:
    """Enters the teacher's samples, where there is a purse."""
    return None if purse is None else lambda request, purpose, sample: purse.wrote(model, request, purpose, sample)


def make_embedder(config: RunConfig, cache_path: Path) -> Embedder:
    """The embedder, with its cache in the run folder."""
    from memory.embedding import HashingEmbedder, SentenceEmbedder

    if config.diagnose.embedder == "hashing":
        return HashingEmbedder()
    return SentenceEmbedder(
        config.diagnose.model_name_or_path,
        revision=config.diagnose.revision,
        cache_path=cache_path,
        num_threads=config.student.num_threads,
    )


def make_benchmarks(data: RunData, grader: Grader) -> Mapping[str, Benchmark]:
    """Probe, dev, test, and the replay hold-out where there is one."""
    parts = {"probe": data.probe, "dev": data.dev, "test": data.test, "guard-replay": data.guard}
    return {name: ProblemSet(name, problems, grader) for name, problems in parts.items() if problems}


def _check_embedder(config: RunConfig) -> None:
    embedder = make_embedder(config, Path("unused"))
    check = getattr(embedder, "check", None)
    if check is not None:
        check()


def check_model_folder(name: str, key: str = "student.model_name_or_path") -> None:
    """A path must exist and hold a model; anything else is taken for a hub id."""
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"{key}: {name} holds no config.json, so it is not a model folder.")
    elif looks_like_path or "/" not in name:
        raise ConfigError(
            f"{key}: no folder {name} (relative paths are relative to the config file). "
            "Give a model folder, or a hub id such as org/name."
        )
