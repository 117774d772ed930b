"""A run as one JSON-able dictionary, read from its folder alone; every view is made from it.

Accuracies and differences are in points (per cent of problems). Loads no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.report.reading import read_records, rounds_of
from agent.report.spending import spending
from agent.review.state import decision_file, waiting
from agent.review.words import reviews
from memory.errors import UsageError
from memory.records import Diagnosis, Measurement, Mixture, Report, RoundRecord, Stop, Trend
from memory.store import PAUSED, RunFolder


def open_run(path: Path) -> RunFolder:
    """A run folder for reading.

    Raises:
        UsageError: there is no run at ``path``.
    """
    if not (path / "manifest.json").is_file():
        raise UsageError(f"No run at {path}. `remedial run -c CONFIG --output-dir {path}` starts one.")
    return RunFolder(path)


def status(run: RunFolder) -> dict[str, Any]:
    """Everything `remedial status --json` holds."""
    stops = read_records(run, "final", "stop", Stop)
    test = _test(run)
    timings = run.timings()
    rounds = [_round(run, stage, timings.get(stage, {})) for stage in rounds_of(run)]
    base = read_records(run, "base", "measure", Measurement)
    student = (
        stops[0].student if stops else next((r.pop("_student") for r in reversed(rounds) if "_student" in r), None)
    )
    for entry in rounds:
        entry.pop("_student", None)
    paused = None if stops else _paused(run)
    review = None if stops else _review(run)
    if paused is not None and paused.get("reason") == "review" and review is None:  # it was decided since
        paused = None
    state = "finished" if test is not None else ("running" if run.is_locked() else "interrupted")
    if state == "interrupted" and (paused or review):
        state = "paused" if review else "stopped"
    return {
        "run": str(run.path),
        "state": state,
        "stop_reason": stops[0].reason.value if stops else (paused or {}).get("reason"),
        "stop_detail": stops[0].detail if stops else (paused or {}).get("detail"),
        "review": review,
        "base": {"dev": accuracy(base[0].report)} if base else None,
        "rounds": rounds,
        "test": test,
        "adapter": str(run.path / student.path) if student is not None and student.path else None,
        "adapter_rank": student.rank if student is not None else None,
        "spend": spending(run),
        "seconds": round(sum(sum(steps.values()) for steps in timings.values()), 1),
        "artifacts": run.artifacts(),
    }


def _paused(run: RunFolder) -> dict[str, Any] | None:
    """The event of a limit that was reached, where nothing has happened since."""
    events = run.events()
    return events[-1] if events and events[-1]["event"] == PAUSED else None


def _review(run: RunFolder) -> dict[str, Any] | None:
    """The review the run waits for, and the file of it where one was written."""
    found = waiting(run)
    if found is None:
        return None
    index, point, _ = found
    path = decision_file(run, index, point)
    return {"round": index, "point": point.value, "file": str(path) if path.is_file() else None}


def accuracy(report: Report) -> dict[str, Any]:
    """A report's numbers in points."""
    points = {
        "n": report.n,
        "accuracy": _points(report.accuracy),
        "low": _points(report.low),
        "high": _points(report.high),
        "difference": _points(report.difference),
        "difference_low": _points(report.difference_low),
        "difference_high": _points(report.difference_high),
    }
    return {**points, "gained": report.gained, "lost": report.lost, "counts": report.counts}


def _points(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def _round(run: RunFolder, stage: str, seconds: dict[str, float]) -> dict[str, Any]:
    entry: dict[str, Any] = {"index": int(stage.removeprefix("round-")), "decision": None, "reason": None, "dev": None}
    entry["seconds"] = {step: round(value, 2) for step, value in seconds.items()}
    entry["reviews"] = reviews(run, entry["index"])
    for diagnosis in read_records(run, stage, "diagnose", Diagnosis):
        trends = [weakness.trend for weakness in diagnosis.weaknesses]
        entry["clusters"] = {
            "n": len(trends),
            "failures": sum(weakness.failures for weakness in diagnosis.weaknesses),
            "gone": len(diagnosis.gone),
            **{trend.value: trends.count(trend) for trend in Trend},
        }
    for mixture in read_records(run, stage, "mix", Mixture):
        entry["mixture"] = {"counts": mixture.counts, "realised": mixture.realised}
    for record in read_records(run, stage, "round", RoundRecord):
        entry |= {
            "decision": "keep" if record.decision.keep else "roll_back",
            "reason": record.decision.reason,
            "stop": record.decision.stop.value if record.decision.stop else None,
            "dev": accuracy(record.dev) if record.dev else None,
            "guards": {guard.benchmark: accuracy(guard) for guard in record.guards},
            "drafted": record.drafted,
            "accepted": record.accepted,
            "refused": record.refused,
            "teacher_tokens": record.cost.prompt_tokens + record.cost.completion_tokens,
            "train_tokens": record.train_tokens,
            "_student": record.student,
        }
    return entry


def _test(run: RunFolder) -> dict[str, Any] | None:
    base = read_records(run, "final", "test", Measurement)
    final = read_records(run, "final", "test-1", Measurement)
    if not base or not final:
        return None
    report = final[0].report
    return {
        "n": report.n,
        "base": _points(base[0].report.accuracy),
        "final": _points(report.accuracy),
        "difference": _points(report.difference),
        "low": _points(report.difference_low),
        "high": _points(report.difference_high),
        "gained": report.gained,
        "lost": report.lost,
    }


def find_run(run: Path | None) -> Path:
    """The run named, or the latest under ``runs/``.

    Raises:
        UsageError: there is none.
    """
    if run is not None:
        return open_run(run).path
    manifests = sorted(Path("runs").glob("*/manifest.json"), key=lambda path: (path.stat().st_mtime, path))
    if not manifests:
        raise UsageError("No run under runs/. Name a run folder, or start one: remedial run -c CONFIG.")
    return manifests[-1].parent
