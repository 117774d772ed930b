"""The loop: rounds until there is a reason to stop, then the sealed test, once.

Owns the order of stages (``base``, ``round-NN``, ``final``), budgets and the end. Resuming is running again:
finished steps answer from the run folder.
"""

from __future__ import annotations

from agent.parts import LoopState, Parts
from agent.progress import Progress
from agent.round import greedy, run_round
from agent.step import StepRunner, Verb
from agent.verbs import GUARD, MEASURE, TEST
from memory import fault
from memory.records import Problem, Stop, StopReason
from memory.store import RunFolder

DATA = Verb("data", Problem, lambda context, problems: problems)
STOP = Verb("stop", Stop, lambda context, stop: [stop], fault="loop.stopped")
FINAL = "final"


def stage_name(index: int) -> str:
    """``round-00`` for index 0."""
    return f"round-{index:02d}"


def run_loop(run: RunFolder, parts: Parts, progress: Progress) -> Stop:
    """Run, or go on with, a whole loop inside an open run folder.

    Raises:
        Interrupted: Ctrl-C; everything finished is stored.
        StoreError: the folder holds a run of other inputs, or damaged files.
    """
    final = StepRunner(run, FINAL, parts.config.seed, progress)
    stop = final.stored(STOP)
    if stop is None:
        (stop,) = final(STOP, _run_rounds(run, parts, progress))
    open_test(parts, final, stop)
    run.event("run.finished", reason=stop.reason.value)
    fault.point("run.finished")
    return stop


def _run_rounds(run: RunFolder, parts: Parts, progress: Progress) -> Stop:
    """Rounds until one of them, or a budget, says stop."""
    state = measure_base(run, parts, progress)
    while True:
        index = len(state.history)
        over = _over_budget(run, parts, state)
        if over is not None:
            return over
        step = StepRunner(run, stage_name(index), parts.config.seed, progress)
        record, state = run_round(state, parts, step, index)
        kept = "kept" if record.decision.keep else "rolled back"
        progress.line(f"{stage_name(index)}: {kept}: {record.decision.reason}")
        reason = record.decision.stop
        if reason is not None:
            return Stop(reason=reason, detail=_in_words(reason, parts), rounds=index + 1, student=state.student)


def measure_base(run: RunFolder, parts: Parts, progress: Progress) -> LoopState:
    """Keep the probe and dev problems beside the run, and measure the base on dev and on the guards."""
    step = StepRunner(run, "base", parts.config.seed, progress)
    step(DATA, [problem for split in ("probe", "dev") for problem in parts.benchmarks[split].problems()])
    engine = parts.student(parts.base)
    (dev,) = step(MEASURE, engine, [parts.benchmarks["dev"]], greedy(parts), ())
    guards = step(GUARD, engine, parts.guards, greedy(parts), ()) if parts.guards else ()
    engine.close()
    return LoopState(student=parts.base, dev=dev, base_guards=guards)


def open_test(parts: Parts, step: StepRunner, stop: Stop) -> None:
    """Open the sealed test for the base and the final student: once, after the loop has stopped."""
    engine = parts.student(parts.base)
    (base,) = step(TEST, engine, [parts.benchmarks["test"]], greedy(parts), ())
    engine.close()
    engine = parts.student(stop.student)
    step(TEST, engine, [parts.benchmarks["test"]], greedy(parts), [base], wave=1)
    engine.close()


def _over_budget(run: RunFolder, parts: Parts, state: LoopState) -> Stop | None:
    loop = parts.config.loop
    spent = {
        "max_train_tokens": float(sum(record.train_tokens for record in state.history)),
        "max_teacher_tokens": float(state.cost.prompt_tokens + state.cost.completion_tokens),
        "max_wall_hours": run.seconds(["base", *(stage_name(i) for i in range(len(state.history)))]) / 3600,
    }
    for name, amount in spent.items():
        limit = getattr(loop, name)
        if limit is not None and amount >= limit:
            return Stop(
                reason=StopReason.BUDGET,
                detail=f"{name}: {amount:g} of {limit:g} used",
                rounds=len(state.history),
                student=state.student,
            )
    return None


def _in_words(reason: StopReason, parts: Parts) -> str:
    loop = parts.config.loop
    return {
        StopReason.PLATEAU: f"{loop.patience} round(s) in a row without a gain that can be told from noise",
        StopReason.REGRESSION: "a guard benchmark fell too far; the adapter was rolled back",
        StopReason.NO_FAILURES: "the student solved every probe problem",
        StopReason.MAX_ROUNDS: f"loop.max_rounds = {loop.max_rounds} reached",
        StopReason.BUDGET: "a budget is used up",
    }[reason]
