"""The Trainer seam, and the form in which examples reach it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Example:
    """One training example: loss falls on ``completion`` only. ``id`` is the problem's."""

    id: str
    prompt: str
    completion: str


@dataclass(frozen=True)
class TrainResult:
    """What training reports: all numbers, no paths; wall-clock seconds are not in here (they do not repeat)."""

    stats: dict[str, float] = field(default_factory=dict)
    rank: int | None = None


class Trainer(Protocol):
    """Anneals a student: base plus at most one adapter in, base plus exactly one plain peft folder out."""

    @property
    def fingerprint(self) -> str:
        """Hash of base weights and training settings."""

    def anneal(
        self,
        adapter: Path | None,
        examples: Sequence[Example],
        *,
        seed: int,
        output_dir: Path,
        scratch_dir: Path,
        progress: Callable[[int], None] | None = None,
    ) -> TrainResult:
        """One epoch over ``examples`` in the given order of batches; writes a peft folder to ``output_dir``.

        Args:
            adapter: the incumbent's peft folder, or None for the bare base.
            examples: the mixture, in order.
            seed: for adapter initialisation and batch order.
            output_dir: an empty folder for the final adapter (relative to the *base*, not to ``adapter``).
            scratch_dir: checkpoints; an interrupted call continues from the last complete one.
            progress: called with the number of examples trained since the last call.

        Raises:
            ConfigError: settings that cannot work (no module matches, ``max_length`` below the data).
        """

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each example as it would be trained, prompt and completion."""

    def losses(
        self, adapter: Path | None, examples: Sequence[Example], progress: Callable[[int], None] | None = None
    ) -> list[float]:
        """The student's mean loss on each completion, nats per token; the student is base plus ``adapter``."""
