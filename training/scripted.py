"""A trainer without a model: it counts practice per kind of problem, for full rounds in default tests.

Owns the files ``adapter_config.json`` and ``practice.json``; a scripted student whose skill grows
with practice reads the latter. Knows nothing of torch, tokens or what a student does with the counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from memory.errors import ConfigError
from memory.ids import fingerprint, normalise_text
from training.base import Example, TrainResult

PRACTICE = "practice.json"

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def template_of(statement: str) -> str:
    """The kind of a problem: its normalised statement with every number replaced by ``#``."""
    return _NUMBER.sub("#", normalise_text(statement))


def practice_of(adapter: Path) -> dict[str, int]:
    """The counts of practice per template in a folder that `ScriptedTrainer` wrote.

    Raises:
        ConfigError: the folder is not one of those.
    """
    try:
        found = json.loads((adapter / PRACTICE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{adapter} holds no readable {PRACTICE} ({error}); it is not a scripted adapter.") from error
    return {str(key): int(value) for key, value in found.items()}


class ScriptedTrainer:
    """Implements `training.base.Trainer`: practice accumulates over the incumbent's. Deterministic, no torch."""

    fingerprint = fingerprint(["scripted trainer", 1])

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
        """Write the merged counts; ``seed`` and ``scratch_dir`` are not needed.

        Raises:
            ConfigError: no examples, or ``adapter`` is not a scripted one.
        """
        if not examples:
            raise ConfigError("There are no examples to train on; the mixture is empty.")
        practice = Counter(practice_of(adapter)) if adapter is not None else Counter[str]()
        practice.update(template_of(example.prompt) for example in examples)
        output_dir.mkdir(parents=True, exist_ok=True)
        _write(output_dir / PRACTICE, dict(practice))
        _write(output_dir / "adapter_config.json", {"peft_type": "SCRIPTED", "r": 1, "target_modules": []})
        if progress is not None:
            progress(len(examples))
        n_tokens = sum(self.lengths(examples))
        return TrainResult(
            stats={"n_examples": len(examples), "n_tokens": n_tokens, "n_templates": len(practice)}, rank=1
        )

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Words of prompt and completion stand for tokens."""
        return [len(example.prompt.split()) + len(example.completion.split()) for example in examples]

    def losses(
        self, adapter: Path | None, examples: Sequence[Example], progress: Callable[[int], None] | None = None
    ) -> list[float]:
        """The less practice of its kind, the higher; longer completions break ties."""
        practice = practice_of(adapter) if adapter is not None else {}
        found = []
        for example in examples:
            found.append((1 + len(example.completion) / 1000) / (1 + practice.get(template_of(example.prompt), 0)))
            if progress is not None:
                progress(1)
        return found


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
