"""The Engine seam: batches of prompts in, samples out, in the same order.

Knows nothing of problems, grading or files of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from memory.ledger import Usage
from memory.records import Finish

#: A chat: ``[{"role": "user", "content": ...}, ...]``.
Messages = list[dict[str, str]]

#: Called with the number of prompts finished since the last call.
Progress = Callable[[int], None]

#: The usage of a local model's sample.
NOTHING_PAID = Usage()


@dataclass(frozen=True)
class Sampling:
    """How to generate. ``temperature`` 0 is greedy, and then every one of the ``n`` samples is the same.

    ``json_schema`` is the canonical JSON of a schema the text shall follow, where the engine can see to that; the
    caller checks the text in any case.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0
    json_schema: str | None = None


@dataclass(frozen=True)
class Sample:
    """One generated text, special tokens removed; ``n_tokens`` counts generated tokens.

    With finish ``ERROR`` the text is empty and ``error`` says why, in words that hold no secret. ``key`` names the
    request in the request cache, where there is one.
    """

    text: str
    n_tokens: int
    finish: Finish
    usage: Usage = NOTHING_PAID
    error: str | None = None
    key: str | None = None


class Engine(Protocol):
    """A model that answers. ``fingerprint`` identifies weights and settings."""

    @property
    def fingerprint(self) -> str:
        """Hash of weights, adapter and every setting that changes the output."""

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """Generate ``sampling.n`` samples for each prompt: shape (P prompts, n samples), order kept.

        The result for one prompt does not depend on the order of the prompts.

        Raises:
            EngineError: the model cannot generate at all.
        """

    def close(self) -> None:
        """Release memory; the engine is not used afterwards."""
