"""Keep or roll back, go on or stop. Light: numbers in, a decision out.

The paired test on dev is one-sided and exact (McNemar 1947, conditional on the discordant items); its
error rate is split evenly over the rounds a run may have (Bonferroni), since ten rounds of no change
with an "it went up" gate claim an improvement in nine runs of ten.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import DecideConfig, LoopConfig
from eval.stats import mcnemar
from memory.records import Decision, Report, RoundRecord, StopReason


def decide(
    dev: Report,
    guards: Sequence[Report],
    *,
    round_index: int,
    history: Sequence[RoundRecord],
    config: DecideConfig,
    loop: LoopConfig,
) -> Decision:
    """Decide on one round's candidate.

    Args:
        dev: the candidate on dev, paired with the incumbent.
        guards: the candidate on each guard, paired with the *base*, so that small losses add up.
        round_index: 0 for the first round.
        history: the records of earlier rounds.
        config: thresholds.
        loop: round limits and patience.
    """
    alpha = config.alpha / loop.max_rounds
    p_value = mcnemar(dev.gained or 0, dev.lost or 0, alternative="greater")
    points = 100 * (dev.difference or 0.0)
    fallen = [guard for guard in guards if _fell(guard, config)]
    if fallen:
        guard = fallen[0]
        reason = (
            f"guard '{guard.benchmark}' fell {-100 * (guard.difference or 0.0):.1f} points below the base "
            f"(allowed: {config.guard_max_drop:g})"
        )
        keep = False
    elif p_value < alpha and points > 0:
        reason = f"dev {points:+.1f} points, p = {p_value:.2g} < {alpha:.2g}"
        keep = True
    else:
        reason = (
            f"dev {points:+.1f} points is not distinguishable from no change (p = {p_value:.2g}, needed {alpha:.2g})"
        )
        keep = False
    stop = _stop(keep, bool(fallen), round_index, history, loop)
    return Decision(keep=keep, stop=stop, reason=reason, alpha=alpha, p_value=p_value)


def keep_always(round_index: int, loop: LoopConfig) -> Decision:
    """The decision where nothing is tested: keep, and stop at the last round."""
    stop = StopReason.MAX_ROUNDS if round_index + 1 >= loop.max_rounds else None
    return Decision(keep=True, stop=stop, reason="kept without a test (decide.keep = always)", alpha=0.0)


def _fell(guard: Report, config: DecideConfig) -> bool:
    drop = -100 * (guard.difference or 0.0)
    if drop <= config.guard_max_drop:
        return False
    return mcnemar(guard.lost or 0, guard.gained or 0, alternative="greater") < config.guard_alpha


def _stop(
    keep: bool, regressed: bool, round_index: int, history: Sequence[RoundRecord], loop: LoopConfig
) -> StopReason | None:
    if not keep:
        misses = 1
        for record in reversed(history):
            if record.decision.keep:
                break
            misses += 1
        if misses >= loop.patience:
            return StopReason.REGRESSION if regressed else StopReason.PLATEAU
    if round_index + 1 >= loop.max_rounds:
        return StopReason.MAX_ROUNDS
    return None
