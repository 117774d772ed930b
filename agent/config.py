"""The run's configuration: strict YAML with the field's own names.

Owns the schema, the reading of files and ``--set a.b=c`` overrides, and errors that name the
key that was meant. Loads no model and reads no data file; `agent.preflight` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from memory.ids import fingerprint
from memory.strict import load

#: Keys that do not change what a run makes: places, how a server is reached, and limits. A resume may change them.
WITHOUT_EFFECT = frozenset(
    {"path", "model_name_or_path", "prompts_dir", "cache", "base_urls", "api_key_env", "timeout", "max_retries"}
    | {"max_concurrency", "adapter_dir_on_server", "prices", "max_train_tokens", "max_teacher_tokens"}
    | {"max_requests", "max_wall_hours", "max_failed_share", "num_workers"}
)


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Served(Section):
    """Where an OpenAI-compatible server (vLLM, an API) is found; used where ``engine`` is ``openai``."""

    base_urls: tuple[str, ...] = Field(default=(), description="one or more, such as http://127.0.0.1:8000/v1")
    api_key_env: str | None = Field(default=None, description="the variable that holds the key, never the key")
    timeout: float = Field(default=120.0, gt=0, description="seconds for one request, its reply included")
    max_retries: int = Field(default=5, ge=0)
    max_concurrency: int = Field(default=64, ge=1, description="requests in flight for each server, at most")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="further fields of every request")


class StudentConfig(Served):
    """The model to improve, and how it is run.

    With engine ``openai`` a running vLLM server answers; ``model_name_or_path`` is still what is trained, and each
    round's adapter is loaded into the server by name.
    """

    engine: Literal["transformers", "vllm", "openai", "scripted"] = "transformers"
    model_name_or_path: str
    revision: str | None = None
    served_model_name: str | None = Field(default=None, description="the base's name on the server")
    adapter_dir_on_server: str | None = Field(default=None, description="the run folder as the server sees it")
    vllm: dict[str, Any] = Field(default_factory=dict, description="further arguments of vllm.LLM")
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    device: str = "auto"
    num_threads: int = Field(default=1, ge=1)
    num_workers: int = Field(default=1, ge=1, description="processes that answer side by side on a processor")
    batch_tokens: int = Field(default=32768, ge=64, description="rows x (prompt + new tokens) of one batch")
    max_new_tokens: int = Field(default=512, ge=1)
    system_prompt: str | None = None


class Prices(Section):
    """What tokens cost, as of a date: without these no money is reported."""

    currency: str = "USD"
    as_of: date
    prompt_per_million: float = Field(ge=0)
    completion_per_million: float = Field(ge=0)
    cached_per_million: float | None = Field(default=None, ge=0)


class TeacherConfig(Served):
    """Who writes the practice. Kind ``llm`` asks ``model``: behind ``base_urls``, or in process."""

    kind: Literal["symbolic", "llm", "scripted"] = "symbolic"
    engine: Literal["openai", "vllm", "transformers"] = "openai"
    model: str | None = None
    prompts_dir: str | None = Field(default=None, description="Jinja2 files in place of the built-in prompts")
    system_prompt: str | None = None
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(default=4096, ge=1)
    repair: bool = Field(default=True, description="ask once more where a reply cannot be read")
    prices: Prices | None = None
    vllm: dict[str, Any] = Field(default_factory=dict, description="further arguments of vllm.LLM")


class Columns(Section):
    """Which column of a JSONL row holds what."""

    statement: str = "question"
    answer: str = "answer"
    solution: str | None = "solution"


class DataFile(Section):
    """One file of problems."""

    path: str
    format: Literal["jsonl", "gsm8k"] = "jsonl"
    columns: Columns = Columns()
    limit: int | None = Field(default=None, ge=1)


class DataConfig(Section):
    """The three splits and the validated replay. ``guard_size`` replay problems are held out as the guard."""

    probe: DataFile
    dev: DataFile
    test: DataFile
    replay: DataFile
    guard_size: int = Field(default=300, ge=0)


class ProbeConfig(Section):
    """How the student is asked on the probe split."""

    num_samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)


class DiagnoseConfig(Section):
    """Embedding and clustering of failures."""

    embedder: Literal["sentence-transformers", "hashing"] = "sentence-transformers"
    model_name_or_path: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    mask: bool = True
    embed_wrong_answer: bool = False
    k: int | Literal["auto"] = "auto"
    target_cluster_size: int = Field(default=8, ge=2)
    max_cluster_size: int = Field(default=16, ge=2)
    min_cluster_size: int = Field(default=2, ge=1)
    stability_seeds: int = Field(default=3, ge=0)


class AllocateConfig(Section):
    """How many accepted examples a round wants, and how they are split over clusters."""

    method: Literal["error_mass", "uniform"] = "error_mass"
    new_examples: int = Field(default=1000, ge=1, description="accepted new examples per round")
    min_per_cluster: int = Field(default=0, ge=0)


class CorpusColumns(Columns):
    """As of any file; a corpus may lack answers where its solutions have them in a box, or are distilled."""

    answer: str | None = "answer"  # type: ignore[assignment]


class CorpusFile(DataFile):
    """The corpus of the strategy ``retrieval``."""

    columns: CorpusColumns = CorpusColumns()


class RetrievalConfig(Section):
    """Where the strategy ``retrieval`` takes its problems from."""

    corpus: CorpusFile
    index: Literal["auto", "exact", "ivf"] = "auto"
    exact_up_to: int = Field(default=1_000_000, ge=1, description="kinds of problems up to which index auto is exact")
    solutions: Literal["corpus", "distill"] = Field(
        default="corpus", description="the corpus' own, or written by the teacher's model and held against its answers"
    )


class WebText(Section):
    """Text as it is found, for the arm ``web``: JSONL rows, unchecked; a row's answer may be empty or missing."""

    path: str
    statement: str = Field(default="question", description="column that is the prompt")
    text: str = Field(default="solution", description="column that is trained on")
    answer: str = Field(default="answer", description="column by which copies of measured problems are found too")


class DraftConfig(Section):
    """What is asked of the teacher. ``overdraft`` times the allotment is asked for, since some are refused."""

    strategy: str = "targeted"
    overdraft: float = Field(default=1.3, ge=1.0, le=10.0)
    top_ups: int = Field(default=2, ge=0, description="further requests when too few drafts were accepted")
    exemplars_per_request: int = Field(default=4, ge=1)
    problems_per_request: int = Field(default=16, ge=1)
    retrieval: RetrievalConfig | None = Field(default=None, description="needed by the strategy retrieval")
    web: WebText | None = Field(default=None, description="needed by the strategy web")


class AgreementConfig(Section):
    """The teacher solves each draft again, in a fresh context."""

    num_samples: int = Field(default=4, ge=1)
    min_share: float = Field(default=0.75, gt=0, le=1, description="of samples that must give the claimed answer")
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(default=2048, ge=1)


class SecondFamilyConfig(AgreementConfig, Served):
    """The same by another model."""

    engine: Literal["openai", "vllm", "transformers"] = "openai"
    model: str


class DifficultyConfig(Section):
    """The student's own pass rate on a draft, over ``num_samples``, must lie in a band."""

    mode: Literal["band", "hardest_only", "off"] = "band"
    num_samples: int = Field(default=8, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    low: float = Field(default=0.125, ge=0, le=1)
    high: float = Field(default=0.875, ge=0, le=1)


class ProgramConfig(Section):
    """The teacher writes a program for the answer; it runs isolated."""

    sandbox: Literal["auto", "monty", "cpython"] = "auto"
    timeout_s: float = Field(default=5.0, gt=0, description="seconds for one program")
    memory_mb: int = Field(default=256, ge=64)
    max_new_tokens: int = Field(default=1024, ge=1)


class TwinConfig(Section):
    """How near a text must be to count as a copy, beyond equal text and equal numbers (``same_template: refuse``)."""

    near: float = Field(default=0.7, gt=0, le=1, description="Jaccard of runs of three words, numbers masked")
    embedding: bool = Field(default=True, description="also ask the embedder, for the same story in other words")
    neighbour: float | None = Field(default=None, gt=0, le=2, description="cosine + shared word pairs; null: measured")


class VerifyConfig(Section):
    """Which checks a draft must pass."""

    verifiers: tuple[str, ...] = ("algebra", "duplicate", "contamination")
    require: tuple[str, ...] | None = Field(default=None, description="must pass; null: agreement where it is asked")
    same_template: Literal["refuse", "allow"] = "refuse"
    min_independent: int = Field(default=1, ge=0, description="independent checks that must pass")
    earn_place_sample: int = Field(default=50, ge=0)
    agreement: AgreementConfig = AgreementConfig()
    second_family: SecondFamilyConfig | None = None
    difficulty: DifficultyConfig = DifficultyConfig()
    program: ProgramConfig = ProgramConfig()
    twins: TwinConfig = TwinConfig()


class MixConfig(Section):
    """Shares of the training set; they sum to 1."""

    new: float = Field(default=0.2, ge=0.0, le=1.0)
    replay: float = Field(default=0.8, ge=0.0, le=1.0)
    replay_by: Literal["examples", "tokens"] = Field(
        default="examples", description="its share of examples, or equal tokens for all arms"
    )


class DecideConfig(Section):
    """When an adapter is kept. ``alpha`` is split evenly over ``loop.max_rounds`` tests."""

    keep: Literal["tested", "always"] = Field(
        default="tested",
        description="always: nothing is tested, dev is not measured (comparisons)",
    )
    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    guard_max_drop: float = Field(default=5.0, ge=0.0, description="points a guard may fall below the base")
    guard_alpha: float = Field(default=0.05, gt=0.0, lt=1.0)


class LoopConfig(Section):
    """When the loop ends. ``patience`` rounds in a row without a kept adapter are a plateau."""

    max_rounds: int = Field(default=5, ge=1)
    patience: int = Field(default=1, ge=1)
    max_train_tokens: int | None = Field(default=None, ge=1)
    max_teacher_tokens: int | None = Field(default=None, ge=1)
    max_requests: int | None = Field(default=None, ge=1, description="to paid models, retries included")
    max_wall_hours: float | None = Field(default=None, gt=0)
    max_failed_share: float = Field(default=0.5, gt=0, le=1, description="of teacher replies; more stop the run")


class RunConfig(Section):
    """Everything a run needs."""

    name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="run folder under runs/"
    )
    seed: int = 0
    student: StudentConfig
    teacher: TeacherConfig = TeacherConfig()
    data: DataConfig
    probe: ProbeConfig = ProbeConfig()
    diagnose: DiagnoseConfig = DiagnoseConfig()
    allocate: AllocateConfig = AllocateConfig()
    draft: DraftConfig = DraftConfig()
    verify: VerifyConfig = VerifyConfig()
    mix: MixConfig = MixConfig()
    anneal: dict[str, Any] = Field(default_factory=dict, description="training.anneal.AnnealConfig")
    decide: DecideConfig = DecideConfig()
    loop: LoopConfig = LoopConfig()
    cache: str | None = Field(default=None, description="request cache; null: cache/requests.sqlite beside the run")

    @property
    def hash(self) -> str:
        """Hash of every setting that changes what is made: two runs with one hash and the same data make the same.

        What is not set (null) is left out, so that a new optional section does not tell old runs from new ones.
        """
        return fingerprint(_with_effect(self.model_dump(mode="json", exclude_none=True)))


D = TypeVar("D", bound=DataFile)


def load_config(path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> RunConfig:
    """Read a config file, apply ``--set`` overrides, make its paths absolute.

    Paths in a config are relative to the config's own folder.

    Raises:
        ConfigError: see `memory.strict`.
    """
    config = load(RunConfig, path, overrides, seed)
    return _resolve(config, path.parent)


def _resolve(config: RunConfig, base: Path) -> RunConfig:
    """Make data paths absolute, and model paths too where such a folder exists (else they are hub ids)."""

    def data_file(item: D) -> D:
        return item.model_copy(update={"path": str((base / item.path).resolve())})

    def model(name: str) -> str:
        local = base / name
        return str(local.resolve()) if local.is_dir() else name

    def folder(name: str | None) -> str | None:
        return None if name is None else str((base / name).resolve())

    def corpus(item: RetrievalConfig | None) -> RetrievalConfig | None:
        return None if item is None else item.model_copy(update={"corpus": data_file(item.corpus)})

    data = config.data
    teacher, web = config.teacher, config.draft.web
    files = {name: data_file(getattr(data, name)) for name in ("probe", "dev", "test", "replay")}
    return config.model_copy(
        update={
            "data": data.model_copy(update=files),
            "student": config.student.model_copy(
                update={"model_name_or_path": model(config.student.model_name_or_path)}
            ),
            "teacher": teacher.model_copy(
                update={
                    "prompts_dir": folder(teacher.prompts_dir),
                    "model": model(teacher.model) if teacher.model and teacher.engine != "openai" else teacher.model,
                }
            ),
            "cache": folder(config.cache),
            "draft": config.draft.model_copy(
                update={
                    "retrieval": corpus(config.draft.retrieval),
                    "web": web and web.model_copy(update={"path": str((base / web.path).resolve())}),
                }
            ),
            "diagnose": config.diagnose.model_copy(
                update={"model_name_or_path": model(config.diagnose.model_name_or_path)}
            ),
        }
    )


def _with_effect(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_effect(item) for key, item in value.items() if key not in WITHOUT_EFFECT}
    return value
