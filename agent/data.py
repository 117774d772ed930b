"""The problems of a run: read, checked against each other, and the guard held out of the replay.

Everything here happens before any model is loaded. Knows nothing of engines or training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.config import DataConfig, DataFile, RunConfig
from agent.corpus import Corpus, retrieves, without_twins
from eval.benchmarks.jsonl import read_rows
from eval.benchmarks.table import read_problems
from eval.overlap import text_hash
from memory.errors import ConfigError, DataError, MixError
from memory.ids import fingerprint, sha256_text
from memory.records import Problem, Split, refuse_labels
from training.mixing import replay_needed

#: The splits that are measured; a replay problem that copies one of theirs is left out.
SEALED = (Split.PROBE, Split.DEV, Split.TEST)


@dataclass(frozen=True)
class RunData:
    """All problems of a run, each tuple sorted by id. ``dropped`` counts replay problems left out, by reason.

    The ``corpus`` of ``draft.retrieval`` is read when it is first needed, and held once.
    """

    probe: tuple[Problem, ...]
    dev: tuple[Problem, ...]
    test: tuple[Problem, ...]
    guard: tuple[Problem, ...]
    replay: tuple[Problem, ...]
    dropped: Mapping[str, int]
    corpus: Corpus | None = None

    @property
    def sealed(self) -> tuple[Problem, ...]:
        """Probe, dev, test and guard: what no training problem may copy."""
        return (*self.probe, *self.dev, *self.test, *self.guard)

    def fingerprints(self, config: RunConfig) -> dict[str, str]:
        """A hash of each part, independent of the order in the files; where the config's strategy retrieves, the hash
        of the corpus' file too.
        """
        names = ("probe", "dev", "test", "guard", "replay")
        found = {name: fingerprint([problem.id for problem in getattr(self, name)]) for name in names}
        return {**found, "corpus": self.corpus.fingerprint} if self.corpus and retrieves(config) else found


def load_data(config: RunConfig) -> RunData:
    """Read all files of a run and check them against each other.

    Raises:
        DataError: a file is missing or malformed (file and line), a column is missing, a split is empty,
            or a problem stands in two splits.
        MixError: the replay is too small for one round's mixture.
    """
    data = config.data
    splits = {split: read_split(config, split) for split in SEALED}
    _refuse_shared(splits, data)
    replay = read_split(config, Split.REPLAY)
    kept, dropped = without_twins(replay, [problem for part in splits.values() for problem in part])
    guard, rest = _hold_out(kept, data.guard_size)
    _check_replay(config, len(rest), dropped)
    found = RunData(splits[Split.PROBE], splits[Split.DEV], splits[Split.TEST], guard, rest, dropped)
    if config.draft.retrieval is not None:
        found = replace(found, corpus=Corpus(config.draft.retrieval, sealed=found.sealed, replay=rest))
    refuse_labels((*found.sealed, *rest), "a run")
    return found


def read_split(config: RunConfig, split: Split) -> tuple[Problem, ...]:
    """One file of a run.

    Raises:
        DataError: it is missing or malformed.
    """
    item: DataFile = getattr(config.data, split.value)
    columns = item.columns.model_dump()
    return read_problems(Path(item.path), item.format, columns=columns, split=split, limit=item.limit)


def read_web(config: RunConfig) -> list[tuple[str, str, str]]:
    """Statement, answer and text of each row of ``draft.web``; a missing answer is empty.

    Raises:
        ConfigError: no such section.
        DataError: the file is missing or malformed, a row has no statement or text, or there is no row.
    """
    web = config.draft.web
    if web is None:
        raise ConfigError(
            "draft.strategy: web needs text: set draft.web.path to a JSONL file (columns question, solution)."
        )
    rows = []
    for number, row in read_rows(Path(web.path)):
        found = [str(row.get(name) or "") for name in (web.statement, web.answer, web.text)]
        for column, text in ((web.statement, found[0]), (web.text, found[2])):
            if not text.strip():
                raise DataError(
                    f"{web.path}, line {number}: column '{column}' is missing or empty; columns there: "
                    f"{', '.join(map(str, row))}. Name the right ones in draft.web."
                )
        rows.append((found[0], found[1], found[2]))
    if not rows:
        raise DataError(f"{web.path}: the file holds no rows; the arm web needs at least one.")
    return rows


def check_shares(config: RunConfig) -> None:
    """The shares of the mixture sum to one.

    Raises:
        MixError: they do not.
    """
    mix = config.mix
    if abs(mix.new + mix.replay - 1) > 1e-9:
        raise MixError(f"mix.new + mix.replay is {mix.new + mix.replay:g}; the shares must sum to 1.")


def _refuse_shared(splits: Mapping[Split, Sequence[Problem]], data: DataConfig) -> None:
    seen: dict[str, tuple[Split, Problem]] = {}
    for split, problems in splits.items():
        for problem in problems:
            key = text_hash(problem.statement)
            if key in seen and seen[key][0] is not split:
                other = seen[key][0]
                raise DataError(
                    f"the same problem stands in two splits: {problem.statement[:80]!r} is in data.{other.value} "
                    f"({getattr(data, other.value).path}) and in data.{split.value} "
                    f"({getattr(data, split.value).path}). Remove it from one of them."
                )
            seen.setdefault(key, (split, problem))


def _hold_out(replay: Sequence[Problem], size: int) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The guard: ``size`` replay problems chosen by hash, hence the same in whatever order the file is."""
    if size >= len(replay):
        raise MixError(
            f"data.guard_size = {size} would hold out the whole replay ({len(replay)} usable problems). "
            "Lower data.guard_size or give a larger data.replay."
        )
    ordered = sorted(replay, key=lambda problem: sha256_text(f"guard {problem.id}"))
    chosen = [problem.model_copy(update={"split": Split.GUARD}) for problem in ordered[:size]]
    # A guard problem's copy in the replay would let the student learn the guard by heart.
    rest, _ = without_twins(ordered[size:], chosen)
    return tuple(sorted(chosen, key=_by_id)), tuple(sorted(rest, key=_by_id))


def _by_id(problem: Problem) -> str:
    return problem.id


def _check_replay(config: RunConfig, available: int, dropped: Mapping[str, int]) -> None:
    check_shares(config)
    mix = config.mix
    if mix.new == 0:
        return
    rounds = config.loop.max_rounds if config.anneal.get("start_from", "last") == "base" else 1
    needed = replay_needed(config.allocate.new_examples * rounds, mix.new)
    if needed > available:
        copies = sum(dropped.values())
        raise MixError(
            f"data.replay ({config.data.replay.path}) has {available} usable problems ({copies} copies of measured "
            f"problems and {config.data.guard_size} guard problems taken off), but {config.allocate.new_examples} new "
            f"examples at {mix.new:g}/{mix.replay:g} need {needed}. Give a larger replay, lower "
            "allocate.new_examples, or change the shares in mix."
        )
