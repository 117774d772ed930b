"""What a reader of recorded outputs gives, and what it may be told. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from memory.records import Finish, Problem


@dataclass(frozen=True)
class Asked:
    """What the user said about a file; None and empty mean "find out".

    Attributes:
        problem, answer: columns (dotted where nested) of the statement and of the gold answer.
        outputs: columns of the output; each is a model of its own.
        correct: the file's own verdict, one column for each of ``outputs`` or one for all.
        finish: column that says why generation stopped.
        model_column: column that names the model of a row.
        filter: which of lm-evaluation-harness' filters.
        problems: file of the problems, where the outputs name them by id only.
    """

    problem: str | None = None
    answer: str | None = None
    outputs: tuple[str, ...] = ()
    correct: tuple[str, ...] = ()
    finish: str | None = None
    model_column: str | None = None
    filter: str | None = None
    problems: Path | None = None


@dataclass(frozen=True)
class Output:
    """One recorded output.

    Attributes:
        line: of the file, from 1.
        model: whose it is.
        problem: with its gold answer.
        text: what the model wrote.
        finish: why it stopped; ``stop`` where the file does not say, ``error`` where there is no output at all.
        correct: the file's own verdict, None where it has none.
    """

    line: int
    model: str
    problem: Problem
    text: str
    finish: Finish = Finish.STOP
    correct: bool | None = None


@dataclass(frozen=True)
class Recording:
    """All outputs of a file in its order.

    Attributes:
        format: the reader's name.
        outputs: of every model.
        notes: sentences for the user.
        bare: whether an output that is nothing but an answer counts as one (a column of extracted answers).
    """

    format: str
    outputs: tuple[Output, ...]
    notes: tuple[str, ...] = ()
    bare: bool = True
    models: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """The models in the order in which they first occur."""
        object.__setattr__(self, "models", tuple(dict.fromkeys(output.model for output in self.outputs)))


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, path: Path, asked: Asked) -> Recording:
        """Read ``path``; raises `DataError` with file, line and cure."""
