"""An engine that answers from a function: full rounds without a model.

Owns nothing but the order of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eval.engines.base import Messages, Progress, Sample, Sampling

#: Gives sample number ``index`` of one prompt.
Answer = Callable[[Messages, Sampling, int], Sample]


class ScriptedEngine:
    """An `eval.engines.base.Engine` whose samples come from ``answer(messages, sampling, sample_index)``.

    Args:
        answer: must depend on its arguments only, as a real engine's answers do.
        fingerprint: names what ``answer`` does; change it when that changes.
    """

    def __init__(self, answer: Answer, fingerprint: str) -> None:
        self._answer = answer
        self.fingerprint = fingerprint

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, progress: Progress | None = None
    ) -> list[list[Sample]]:
        """One call of the function for each prompt and sample; greedy samples are computed once and repeated."""
        distinct = 1 if sampling.temperature == 0 else sampling.n
        found = []
        for messages in prompts:
            samples = [self._answer(messages, sampling, index) for index in range(distinct)]
            found.append(samples * (sampling.n if distinct == 1 else 1))
            if progress is not None:
                progress(1)
        return found

    def close(self) -> None:
        """Nothing to release."""
