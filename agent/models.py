"""The models of a run that answer over HTTP or in process: engines with cache, ledger, limits and served adapters.

Owns who pays for what. Loads nothing by itself; engines load or connect when they are first asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.config import RunConfig, SecondFamilyConfig, Served, StudentConfig, TeacherConfig
from agent.limits import Limits
from eval.engines.base import Engine, Messages, Progress, Sample, Sampling
from memory.cache import RequestCache
from memory.errors import ConfigError
from memory.ledger import Ledger, Meter
from memory.records import Adapter, Draft, Finish, TeacherRequest
from synthesis.prompting import Prompts

if TYPE_CHECKING:
    from eval.engines.openai_http import OpenAIEngine
    from eval.engines.serving import AdapterServer

LEDGER = "ledger.sqlite"
CACHE = Path("cache") / "requests.sqlite"


@dataclass
class Purse:
    """What one run pays with: the shared request cache, its own ledger, live counts and the limits."""

    cache: RequestCache
    ledger: Ledger
    meter: Meter
    limits: Limits
    run_id: str

    @classmethod
    def open(cls, config: RunConfig, run_dir: Path, run_id: str, seconds_before: float = 0.0) -> Purse:
        """The purse of a run; what it paid before a kill counts.

        Raises:
            StoreError: the cache or the ledger is damaged.
        """
        cache = RequestCache(cache_path(config, run_dir))
        meter = Meter(cache.spent(run_id))
        return cls(
            cache=cache,
            ledger=Ledger(run_dir / LEDGER, run_id, cache),
            meter=meter,
            limits=Limits(config.loop, meter=meter, seconds_before=seconds_before),
            run_id=run_id,
        )

    def within(self, stage: str, step: str) -> AbstractContextManager[None]:
        """Spending inside the block belongs to this step."""
        return self.ledger.within(stage, step)

    def wrote(self, model: str, request: TeacherRequest, purpose: str, sample: Sample) -> None:
        """Enter one sample of the teacher."""
        self._enter(model, purpose, sample, request.strategy, request.weakness_id)

    def checked(self, models: dict[str, str], draft: Draft, verifier: str, sample: Sample) -> None:
        """Enter one sample that a verifier asked for."""
        if verifier in models:
            self._enter(models[verifier], verifier, sample, draft.strategy, draft.weakness_id)

    def _enter(self, model: str, purpose: str, sample: Sample, strategy: str, weakness_id: str) -> None:
        if sample.key is None:  # a model in process costs nothing
            return
        entry = self.ledger.entry(
            key=sample.key,
            model=model,
            purpose=purpose,
            usage=sample.usage,
            strategy=strategy,
            weakness_id=weakness_id,
            failed=sample.finish is Finish.ERROR,
        )
        self.ledger.record([entry])

    def close(self) -> None:
        """Close the files."""
        self.ledger.close()
        self.cache.close()


def cache_path(config: RunConfig, run_dir: Path) -> Path:
    """The request cache: as configured, else beside the run, so that runs share what they share."""
    return Path(config.cache) if config.cache else run_dir.resolve().parent / CACHE


def needs_purse(config: RunConfig) -> bool:
    """Whether anything in the run answers over HTTP."""
    return "openai" in (
        config.student.engine,
        config.teacher.engine if config.teacher.kind == "llm" else None,
        config.verify.second_family.engine if config.verify.second_family else None,
    )


def teacher_model(config: TeacherConfig) -> str:
    """The teacher's model.

    Raises:
        ConfigError: none is named.
    """
    if not config.model:
        raise ConfigError(
            "teacher.model: name the model that shall write the practice, as its server knows it (teacher.base_urls), "
            "or set teacher.kind: symbolic."
        )
    return config.model


def asked_engine(
    where: str, config: TeacherConfig | SecondFamilyConfig, model: str, purse: Purse | None, **local: int | str
) -> Engine:
    """The engine of the teacher or of the second family."""
    if config.engine == "openai":
        return http_engine(where, config, model, purse)
    return local_engine(config.engine, model, None, **local)


def http_engine(where: str, config: Served, model: str, purse: Purse | None, identity: object = None) -> OpenAIEngine:
    """A model behind endpoints; what it answers is paid by the purse's run, unless it is the student.

    Raises:
        ConfigError: no address, a malformed one, or the key's variable is not set.
    """
    from eval.engines.openai_http import OpenAIEngine

    if not config.base_urls:
        raise ConfigError(f"{where}.base_urls is empty; give at least one, for example [http://127.0.0.1:8000/v1].")
    pays = purse is not None and where != "student"
    return OpenAIEngine(
        model,
        config.base_urls,
        api_key_env=config.api_key_env,
        identity=identity,
        cache=purse.cache if purse else None,
        run_id=purse.run_id if purse and pays else None,
        guard=purse.limits.check if purse and pays else None,
        meter=purse.meter if purse and pays else None,
        timeout=config.timeout,
        max_retries=config.max_retries,
        max_concurrency=config.max_concurrency,
        system_prompt=getattr(config, "system_prompt", None),
        extra_body=dict(config.extra_body),
    )


def local_engine(kind: Literal["transformers", "vllm"], model: str, adapter: Path | None, **settings: object) -> Engine:
    """A model in this process."""
    if kind == "vllm":
        from eval.engines.vllm import SETTINGS, VLLMEngine

        own = {key: value for key, value in settings.items() if key in SETTINGS}
        extra = {key: value for key, value in settings.items() if key not in SETTINGS}
        return VLLMEngine(model, adapter, **own, extra=extra)  # type: ignore[arg-type]
    from eval.engines.hf import TransformersEngine

    return TransformersEngine(model, adapter, **settings)  # type: ignore[arg-type]


class ServedStudent:
    """The student behind vLLM servers: the base by its name, each round's adapter loaded by a name of its own.

    Args:
        config: the student's section.
        run_dir: the run folder; adapters lie below it.
        purse: for the request cache.
    """

    def __init__(self, config: StudentConfig, run_dir: Path, purse: Purse | None) -> None:
        self._config, self._run_dir, self._purse = config, run_dir, purse
        self._server: AdapterServer | None = None

    @property
    def server(self) -> AdapterServer:
        """The servers' adapter routes."""
        from eval.engines.serving import AdapterServer

        if self._server is None:
            self._server = AdapterServer(
                self._config.base_urls, api_key_env=self._config.api_key_env, timeout=self._config.timeout
            )
        return self._server

    @property
    def base_name(self) -> str:
        """The base's name on the server."""
        return self._config.served_model_name or self._config.model_name_or_path

    def engine(self, adapter: Adapter) -> Engine:
        """The student with one adapter, or bare. The adapter is loaded when the engine is first asked."""
        from eval.engines.hf import model_identity

        base = model_identity(self._config.model_name_or_path, self._config.revision)
        identity = {"base": base, "adapter": adapter.sha256}
        if adapter.path is None:
            return http_engine("student", self._config, self.base_name, self._purse, identity)
        name = f"{self._run_dir.resolve().name}-{Path(adapter.path).parent.name}"
        inner = http_engine("student", self._config, name, self._purse, identity)
        folder = Path(self._config.adapter_dir_on_server or self._run_dir.resolve()) / adapter.path
        return LoadedFirst(inner, lambda: self.server.ensure(name, folder, adapter.rank or 0))


class LoadedFirst:
    """An engine that needs something done before it is first asked."""

    def __init__(self, inner: OpenAIEngine, prepare: Callable[[], None]) -> None:
        self._inner, self._prepare, self._ready = inner, prepare, False

    @property
    def fingerprint(self) -> str:
        """The inner engine's."""
        return self._inner.fingerprint

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """As the inner engine's.

        Raises:
            EngineError: also where a server does not load the adapter.
        """
        if not self._ready:
            self._prepare()
            self._ready = True
        return self._inner.generate(prompts, sampling, progress)

    def close(self) -> None:
        """Nothing to release; the adapter stays on the server until another takes its name."""
        self._inner.close()


def make_prompts(config: RunConfig) -> Prompts:
    """The prompts, with the user's files where a folder is named."""
    return Prompts(Path(config.teacher.prompts_dir) if config.teacher.prompts_dir else None)


def closing(purse: Purse | None) -> AbstractContextManager[object]:
    """Closes the purse, where there is one, at the end of a block."""
    return contextlib.closing(purse) if purse is not None else contextlib.nullcontext()
