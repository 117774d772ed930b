"""The run's configuration: strict YAML with the field's own names.

Owns the schema, the reading of files and ``--set a.b=c`` overrides, and errors that name the
key that was meant. Loads no model and reads no data file; `agent.preflight` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory.ids import fingerprint
from memory.strict import load


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class StudentConfig(Section):
    """The model to improve, and how it is run."""

    engine: Literal["transformers", "scripted"] = "transformers"
    model_name_or_path: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    device: str = "auto"
    num_threads: int = Field(default=1, ge=1)
    batch_tokens: int = Field(default=32768, ge=64, description="rows x (prompt + new tokens) of one batch")
    max_new_tokens: int = Field(default=512, ge=1)
    system_prompt: str | None = None


class TeacherConfig(Section):
    """Who writes the practice."""

    kind: Literal["symbolic", "scripted"] = "symbolic"


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


class DraftConfig(Section):
    """What is asked of the teacher. ``overdraft`` times the allotment is asked for, since some are refused."""

    strategy: str = "targeted"
    overdraft: float = Field(default=1.3, ge=1.0, le=10.0)
    top_ups: int = Field(default=2, ge=0, description="further requests when too few drafts were accepted")
    exemplars_per_request: int = Field(default=4, ge=1)
    problems_per_request: int = Field(default=16, ge=1)


class VerifyConfig(Section):
    """Which checks a draft must pass."""

    verifiers: tuple[str, ...] = ("algebra", "duplicate", "contamination")
    same_template: Literal["refuse", "allow"] = "refuse"
    min_independent: int = Field(default=1, ge=0)
    earn_place_sample: int = Field(default=50, ge=0)


class MixConfig(Section):
    """Shares of the training set; they sum to 1."""

    new: float = Field(default=0.2, ge=0.0, le=1.0)
    replay: float = Field(default=0.8, ge=0.0, le=1.0)


class DecideConfig(Section):
    """When an adapter is kept. ``alpha`` is split evenly over ``loop.max_rounds`` tests."""

    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    guard_max_drop: float = Field(default=5.0, ge=0.0, description="points a guard may fall below the base")
    guard_alpha: float = Field(default=0.05, gt=0.0, lt=1.0)


class LoopConfig(Section):
    """When the loop ends. ``patience`` rounds in a row without a kept adapter are a plateau."""

    max_rounds: int = Field(default=5, ge=1)
    patience: int = Field(default=1, ge=1)
    max_train_tokens: int | None = Field(default=None, ge=1)
    max_teacher_tokens: int | None = Field(default=None, ge=1)
    max_wall_hours: float | None = Field(default=None, gt=0)


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

    @property
    def hash(self) -> str:
        """Hash of every setting but paths: two runs with one hash and the same data make the same artifacts."""
        return fingerprint(_without_paths(self.model_dump(mode="json")))


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

    def data_file(item: DataFile) -> DataFile:
        return item.model_copy(update={"path": str((base / item.path).resolve())})

    def model(name: str) -> str:
        local = base / name
        return str(local.resolve()) if local.is_dir() else name

    data = config.data
    files = {name: data_file(getattr(data, name)) for name in ("probe", "dev", "test", "replay")}
    return config.model_copy(
        update={
            "data": data.model_copy(update=files),
            "student": config.student.model_copy(
                update={"model_name_or_path": model(config.student.model_name_or_path)}
            ),
            "diagnose": config.diagnose.model_copy(
                update={"model_name_or_path": model(config.diagnose.model_name_or_path)}
            ),
        }
    )


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items() if key not in ("path", "model_name_or_path")}
    return value
