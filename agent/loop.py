"""The loop: rounds until there is a reason to stop, then the sealed test, once.

Owns the order of stages (``base``, ``round-NN``, ``final``), budgets and the end. Resuming is running again:
finished steps answer from the run folder.
"""

from __future__ import annotations

from agent.parts import LoopState, Parts
from agent.progress import Progress
from agent.round import RECORD, greedy, run_round
from agent.step import StepRunner, Verb
from agent.verbs import EARN, GUARD, MEASURE, TEST
from agent.verifiers import ASKING_SAMPLE
from memory import fault
from memory.ids import sha256_text
from memory.records import Problem, Stop, StopReason
from memory.store import RunFolder

DATA = Verb("data", Problem, lambda context, problems: problems)
STOP = Verb("stop", Stop, lambda context, stop: [stop], fault="loop.stopped")
FINAL = "final"


def stage_name(index: int) -> str:
    """``round-00`` for index 0."""
    return f"round-{index:02d}"


def run_loop(run: RunFolder, parts: Parts, progress: Progress, *, finish: bool = False) -> Stop:
    """Run, or go on with, a whole loop inside an open run folder.

    Args:
        run: the folder, locked by this process.
        parts: what to work with.
        progress: where progress goes.
        finish: start no further round: end with the rounds there are, and open the sealed test.

    Raises:
        Interrupted: Ctrl-C; everything finished is stored.
        BudgetError: a limit is reached; the test stays sealed, so that a resume with a higher limit can go on.
        StoreError: the folder holds a run of other inputs, or damaged files.
    """
    final = StepRunner(run, FINAL, parts.config.seed, progress, parts.within, parts.donors)
    stop = final.stored(STOP)
    if stop is None:
        (stop,) = final(STOP, _run_rounds(run, parts, progress, finish))
    open_test(parts, final, stop)
    run.event("run.finished", reason=stop.reason.value)
    fault.point("run.finished")
    return stop


def _run_rounds(run: RunFolder, parts: Parts, progress: Progress, finish: bool) -> Stop:
    """Rounds until one of them says stop."""
    state = measure_base(run, parts, progress)
    _earn(run, parts, progress)
    while True:
        index = len(state.history)
        step = StepRunner(run, stage_name(index), parts.config.seed, progress, parts.within, parts.donors)
        if step.stored(RECORD) is None:
            if finish:
                detail = f"ended on request after {index} round(s)"
                return Stop(reason=StopReason.BUDGET, detail=detail, rounds=index, student=state.student)
            parts.limits.check()
            parts.limits.check_training(sum(record.train_tokens for record in state.history))
        record, state = run_round(state, parts, step, index)
        kept = "kept" if record.decision.keep else "rolled back"
        progress.line(f"{stage_name(index)}: {kept}: {record.decision.reason}")
        reason = record.decision.stop
        if reason is not None:
            return Stop(reason=reason, detail=_in_words(reason, parts), rounds=index + 1, student=state.student)


def measure_base(run: RunFolder, parts: Parts, progress: Progress) -> LoopState:
    """Keep the probe and dev problems beside the run, and measure the base on dev and on the guards.

    Where every round is kept, dev and guards decide on nothing and are not measured.
    """
    step = StepRunner(run, "base", parts.config.seed, progress, parts.within, parts.donors)
    step(DATA, [problem for split in ("probe", "dev") for problem in parts.benchmarks[split].problems()])
    if parts.config.decide.keep == "always":
        return LoopState(student=parts.base, dev=None, base_guards=())
    engine = parts.student(parts.base)
    (dev,) = step(MEASURE, engine, [parts.benchmarks["dev"]], greedy(parts), ())
    guards = step(GUARD, engine, parts.guards, greedy(parts), ()) if parts.guards else ()
    engine.close()
    return LoopState(student=parts.base, dev=dev, base_guards=guards)


def _earn(run: RunFolder, parts: Parts, progress: Progress) -> None:
    """Try the verifiers that ask a model on gold answers; where there are none, nothing is stored."""
    asking = [item for item in parts.verifiers((), parts.student(parts.base)) if item.costly and item.judges_answer]
    if asking:
        sample = min(ASKING_SAMPLE, parts.config.verify.earn_place_sample)
        gold = sorted(parts.replay, key=lambda problem: sha256_text(f"earn {problem.id}"))[:sample]
        StepRunner(run, "base", parts.config.seed, progress, parts.within, parts.donors)(EARN, asking, gold)


def open_test(parts: Parts, step: StepRunner, stop: Stop) -> None:
    """Open the sealed test for the base and the final student: once, after the loop has stopped."""
    engine = parts.student(parts.base)
    (base,) = step(TEST, engine, [parts.benchmarks["test"]], greedy(parts), ())
    engine.close()
    engine = parts.student(stop.student)
    step(TEST, engine, [parts.benchmarks["test"]], greedy(parts), [base], wave=1)
    engine.close()


def _in_words(reason: StopReason, parts: Parts) -> str:
    loop = parts.config.loop
    return {
        StopReason.PLATEAU: f"{loop.patience} round(s) in a row without a gain that can be told from noise",
        StopReason.REGRESSION: "a guard benchmark fell too far; the adapter was rolled back",
        StopReason.NO_FAILURES: "the student solved every probe problem",
        StopReason.MAX_ROUNDS: f"loop.max_rounds = {loop.max_rounds} reached",
        StopReason.BUDGET: "a budget is used up",
    }[reason]
