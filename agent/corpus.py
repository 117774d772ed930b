"""The corpus of the strategy ``retrieval``: read when it is needed, without what may not or cannot be given.

Owns what of a corpus is left out, and the counts of that. How neighbours are found is `synthesis.teachers`' business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from agent.config import RetrievalConfig, RunConfig
from eval.benchmarks.table import read_problems
from eval.overlap import number_signatures, text_hash
from memory.errors import ConfigError, DataError, UsageError
from memory.ids import sha256_file
from memory.records import Problem, Split, refuse_labels
from synthesis.strategies.table import STRATEGIES
from synthesis.teachers.solutions import usable

_HOW = "draft: {strategy: retrieval, retrieval: {corpus: {path: corpus.jsonl}}}"


class Corpus:
    """The problems of ``draft.retrieval``, sorted by id.

    Args:
        settings: the section.
        sealed: probe, dev, test and guard; what copies one of them is left out.
        replay: what has the text of one of these is left out too: it is trained on anyway.
    """

    def __init__(self, settings: RetrievalConfig, *, sealed: Sequence[Problem], replay: Sequence[Problem]) -> None:
        self._settings, self._sealed, self._replay = settings, sealed, replay
        self.path = Path(settings.corpus.path)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file; how it is read stands in the config."""
        return sha256_file(self.path)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What can be given, in the form of drafts; with ``solutions: distill``, without solutions.

        Raises:
            DataError: there is no such file, it is malformed (with its line), a column is missing, or nothing of it
                can be used.
        """
        return self._read[0]

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many problems cannot be given, by reason. Raises as `problems` does."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[tuple[Problem, ...], Mapping[str, int]]:
        file = self._settings.corpus
        try:
            every = read_problems(
                self.path, file.format, columns=file.columns.model_dump(), split=Split.CORPUS, limit=file.limit
            )
        except DataError as error:
            raise DataError(f"draft.retrieval.corpus: {error}") from error
        refuse_labels(every, "a run")
        distill = self._settings.solutions == "distill"
        reasons: Counter[str] = Counter()
        good: list[Problem] = []
        for problem in every:
            found = usable(problem, distill=distill)
            if isinstance(found, str):
                reasons[found] += 1
            else:
                good.append(found)
        replayed = {text_hash(problem.statement) for problem in self._replay}
        fresh = [problem for problem in good if text_hash(problem.statement) not in replayed]
        kept, copies = without_twins(fresh, self._sealed)
        reasons.update({"in_replay": len(good) - len(fresh), **copies})
        left_out = {reason: n for reason, n in sorted(reasons.items()) if n}
        if not kept:
            told = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
            raise DataError(
                f"draft.retrieval.corpus: {self.path}: none of its {len(every)} problems can be used ({told}). Give a "
                "corpus with worked solutions that end in the answer, or set draft.retrieval.solutions: distill, so "
                "that the teacher's model writes them."
            )
        return tuple(sorted(kept, key=lambda problem: problem.id)), left_out


def without_twins(problems: Sequence[Problem], sealed: Sequence[Problem]) -> tuple[list[Problem], dict[str, int]]:
    """Leave out problems with the text, or the numbers and answer, of one that is measured; and count them."""
    texts = {text_hash(problem.statement) for problem in sealed}
    numbers = {mark for problem in sealed for mark in number_signatures(problem.statement, problem.answer)}
    kept, dropped = [], {"same_text": 0, "same_numbers": 0}
    for problem in problems:
        if text_hash(problem.statement) in texts:
            dropped["same_text"] += 1
        elif not numbers.isdisjoint(number_signatures(problem.statement, problem.answer)):
            dropped["same_numbers"] += 1
        else:
            kept.append(problem)
    return kept, dropped


def retrieves(config: RunConfig) -> bool:
    """Whether the config's strategy is answered by a corpus."""
    return getattr(STRATEGIES.get(config.draft.strategy), "writer", None) == "corpus"


def check_corpus(config: RunConfig, corpus: Corpus | None) -> Corpus | None:
    """The corpus, read and not empty, where the strategy needs one; None where it does not.

    Raises:
        ConfigError: the section is missing, or solutions shall be distilled and the teacher is no model.
        DataError: see `Corpus.problems`.
    """
    if not retrieves(config):
        return None
    settings = config.draft.retrieval
    if settings is None or corpus is None:
        raise ConfigError(
            f"draft.strategy: {config.draft.strategy} needs a corpus to retrieve from. Write: {_HOW} "
            "(JSONL with question, solution and answer)."
        )
    if settings.solutions == "distill" and config.teacher.kind != "llm":
        raise ConfigError(
            f"draft.retrieval.solutions: distill has the teacher's model write the solutions, and teacher.kind is "
            f"{config.teacher.kind}. Set teacher.kind: llm and teacher.model, or solutions: corpus."
        )
    _ = corpus.problems
    return corpus


def counted(config: RunConfig, corpus: Corpus | None) -> dict[str, Any]:
    """What a plan says of the corpus; empty where nothing is retrieved, or `check_corpus` has something to say."""
    try:
        found = check_corpus(config, corpus)
    except UsageError:
        return {}
    return {} if found is None else {"corpus": len(found.problems), "corpus left out": dict(found.left_out)}
