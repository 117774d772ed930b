"""The step runner: stored results, other inputs, damage, interruption."""

import io
from pathlib import Path
from typing import Any

import pytest

from agent.progress import Progress
from agent.step import StepContext, StepRunner, Verb
from memory.errors import Interrupted, StoreError
from memory.records import Allotment
from memory.store import RunFolder


class Counting:
    """A verb that counts its calls and writes an extra folder."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, context: StepContext, *inputs: Any) -> list[Allotment]:
        self.calls += 1
        (context.folder / "extra").mkdir()
        (context.folder / "extra" / "file").write_text("x")
        (context.scratch() / "checkpoint").write_text("half")
        context.progress.start(10, "things")
        context.progress.advance(10)
        return [Allotment(weakness_id=str(value), strategy="s", n=context.seed % 7) for value in inputs]


def runner(run: RunFolder, progress: Progress | None = None, seed: int = 0) -> StepRunner:
    return StepRunner(run, "round-00", seed, progress or Progress(quiet=True))


def test_the_same_inputs_give_the_stored_result(tmp_path: Path) -> None:
    compute = Counting()
    verb = Verb("count", Allotment, compute, folders=("extra",))
    with RunFolder(tmp_path / "run") as run:
        first = runner(run)(verb, "a", "b")
        again = runner(run)(verb, "a", "b")
        assert first == again
        assert compute.calls == 1
        assert not (run.path / "round-00" / ".count.scratch").exists()
        assert "round-00/extra/file" in run.artifacts()
        other_wave = runner(run)
        (run.path / "round-00" / "extra" / "file").unlink()
        with pytest.raises(StoreError, match="missing"):
            other_wave(verb, "a", "b")


def test_other_inputs_are_refused_not_overwritten(tmp_path: Path) -> None:
    verb = Verb("count", Allotment, Counting(), folders=("extra",))
    with RunFolder(tmp_path / "run") as run:
        runner(run)(verb, "a")
        with pytest.raises(StoreError, match="made from other inputs"):
            runner(run)(verb, "b")


def test_leftovers_of_a_killed_attempt_do_not_reach_the_next(tmp_path: Path) -> None:
    verb = Verb("count", Allotment, Counting(), folders=("extra",))
    with RunFolder(tmp_path / "run") as run:
        folder = run.begin("round-00", "count")
        (folder / "extra").mkdir()
        (folder / "extra" / "old").write_text("old")
        (folder / "count.jsonl").write_text("half")
        runner(run)(verb, "a")
        assert sorted(path.name for path in (folder / "extra").iterdir()) == ["file"]


def test_the_seed_depends_on_run_seed_stage_and_step(tmp_path: Path) -> None:
    seeds = set()
    for seed, stage, name in [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y")]:
        with RunFolder(tmp_path / f"{seed}{stage}{name}") as run:
            verb = Verb(name, Allotment, lambda context: seeds.add(context.seed) or [])  # type: ignore[func-returns-value]
            StepRunner(run, stage, seed, Progress(quiet=True))(verb)
    assert len(seeds) == 4


def test_ctrl_c_stops_at_the_next_progress_and_nothing_half_is_kept(tmp_path: Path) -> None:
    progress = Progress(quiet=True)

    def compute(context: StepContext) -> list[Allotment]:
        context.progress.start(2, "things")
        context.progress.advance(1)
        progress.interrupted = True
        context.progress.advance(1)
        raise AssertionError("not reached")

    with RunFolder(tmp_path / "run") as run:
        with pytest.raises(Interrupted):
            runner(run, progress)(Verb("slow", Allotment, compute))
        assert run.marker("round-00", "slow") is None


def test_progress_speaks_plain_lines_when_not_on_a_terminal() -> None:
    out = io.StringIO()
    progress = Progress(out=out)
    progress.line_seconds = -1.0
    with progress.listening(), progress.step("round-00", "probe") as step:
        step.start(10, "problems")
        step.advance(5)
    progress.done("round-00", "probe", 1.23, 10)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("round-00 probe: 5/10 problems, ")
    assert lines[0].endswith(" s left")
    assert lines[1] == "round-00 probe: done in 1.2 s"
    assert "\x1b" not in out.getvalue()
