"""Whether the budget ratio and the difference in differences hold what their intervals say.

Simulates arms over items, runs and budgets as benchmarks/statistics_calibration.py does (two runs of one arm disagree
on 19.5 % of items; arms differ by item with the public results' variance), everything drawn anew each time. Learning
curves start at 46 % and gain 8 points by 1,000 examples, as the power 0.4 of the budget; one arm needs `ratio` times
as much as the other. Prints the tables of docs/statistics.md. Run from the repository root:

    python benchmarks/curves_calibration.py [--pairs 200] [--draws 400] [--comparisons 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache
from math import inf, log2, sqrt

import numpy as np
from scipy.special import expit, stdtrit
from statistics_calibration import INTERACTION, SPREAD, interaction_spread, shift_for, slope

from eval.crossed import parts, standard_error
from eval.curves import Pair, budget_ratio, isotonic, resample
from eval.did import contrast_parts

BUDGETS = (250, 500, 1000, 2000)
ITEMS = 600
MASK = np.arange(ITEMS) < 150
BLOCK = 100
#: Seeds of both arms; spread of the run means that both groups share, and of each group's own.
DID_ROWS = [
    *[((seeds, seeds), common, own) for seeds in (3, 5) for common, own in ((0.0, 0.0), (0.008, 0.0), (0.02, 0.0))],
    *[((seeds, seeds), common, own) for seeds in (3, 5) for common, own in ((0.008, 0.008), (0.008, 0.02))],
    *[((seeds, 1), 0.008, 0.008) for seeds in (3, 5)],
]
BASE, GAIN, EXPONENT = 0.46, 0.08, 0.4
EFFECT = 0.05
Arm = dict[float, np.ndarray]


@cache
def logit_shift(accuracy: float) -> float:
    """The shift of all logits that gives this mean accuracy."""
    return float(np.copysign(shift_for(abs(accuracy - 0.5)), accuracy - 0.5))


def accuracy_at(budget: float) -> float:
    return BASE + GAIN * (budget / 1000) ** EXPONENT


def flattening(budget: float) -> float:
    """A curve that keeps up with the other at 250 examples and needs three times as much at 2,000."""
    return accuracy_at(budget / 3 ** (np.log2(budget / 250) / 3))


#: Curves of the arm that needs more and of the other, by name. The last pair is not parallel: equal at 250 examples,
#: three times as much at 2,000, so that the ratio at the highest level of both is 3.
CURVES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "ratio 1": (accuracy_at, accuracy_at),
    "ratio 1.5": (lambda budget: accuracy_at(budget / 1.5), accuracy_at),
    "ratio 3": (lambda budget: accuracy_at(budget / 3), accuracy_at),
    "ratio 12": (lambda budget: accuracy_at(budget / 12), accuracy_at),
    "ratio 1 to 3": (flattening, accuracy_at),
}
FAR = log2(BUDGETS[-1] / BUDGETS[0])
RUN_SD = 0.008
#: Curves, seeds, spread of the run means of both arms: the same in the first rows, as the interval takes it to be.
ROWS = [(name, seeds, (RUN_SD, RUN_SD)) for seeds in (3, 5) for name in CURVES]
ROWS += [(name, 3, (run_sd, run_sd)) for run_sd in (0.0, 0.02) for name in ("ratio 1", "ratio 1.5")]
ROWS += [("ratio 1.5", seeds, run_sds) for seeds in (3, 5) for run_sds in ((0.0, 0.02), (0.02, 0.0))]
TRIED = ("ratio 1", "ratio 1.5", "ratio 3")
RULES = ("as shipped", "shipped ratio, two-way bootstrap", "highest level of both", "mean over common levels")


def draw_arms(
    rng: np.random.Generator, curves: tuple[Callable[[float], float], ...], seeds: int, run_sds: tuple[float, float]
) -> list[Arm]:
    """Two arms on the same items, a run of its own for every seed of every budget."""
    own = interaction_spread(INTERACTION)
    shared = sqrt(SPREAD**2 - own**2) * rng.standard_normal((ITEMS, 1))
    arms = []
    for curve, run_sd in zip(curves, run_sds, strict=True):
        item = shared + own * rng.standard_normal((ITEMS, 1))
        arm: Arm = {}
        for budget in BUDGETS:
            runs = run_sd / slope() * rng.standard_normal((1, seeds))
            chance = expit(item + logit_shift(round(curve(budget), 12)) + runs)
            arm[budget] = (rng.random((ITEMS, seeds)) < chance).astype(np.float64)
        arms.append(arm)
    return arms


def budgets_at(points: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """log2 of the budget at which each curve first reaches its level, kept within what was measured."""
    knots = np.log2(BUDGETS)
    index = np.clip((points < levels[:, None]).sum(axis=1), 1, len(BUDGETS) - 1)
    rows = np.arange(len(points))
    low, high = points[rows, index - 1], points[rows, index]
    share = np.clip((levels - low) / np.where(high > low, high - low, np.inf), 0, 1)
    return knots[index - 1] + share * (knots[index] - knots[index - 1])


def other_ratios(points: np.ndarray, seeds: int) -> dict[str, np.ndarray]:
    """log2 ratios by the definitions that were not taken, (draws,) from points (draws, budgets of both arms)."""
    weights = np.full(len(BUDGETS), float(seeds))
    a, b = (isotonic(part, weights) for part in np.split(points, 2, axis=1))
    top, bottom = np.minimum(a[:, -1], b[:, -1]), np.maximum(a[:, 0], b[:, 0])
    levels = [bottom + (top - bottom) * share for share in (np.arange(8) + 0.5) / 8]
    mean = np.mean([budgets_at(a, level) - budgets_at(b, level) for level in levels], axis=0)
    far = np.log2(BUDGETS[-1] / BUDGETS[0])
    mean = np.where(top > bottom, mean, np.where(a[:, -1] <= b[:, 0], far, -far))
    return {"highest level of both": budgets_at(a, top) - budgets_at(b, top), "mean over common levels": mean}


def uncorrected(tables: list[np.ndarray], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Points of the two-way bootstrap without correction: items of all tables, runs of each."""
    n = tables[0].shape[0]
    chosen = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    times = np.bincount(chosen.ravel(), minlength=n * draws).reshape(draws, n)
    found = []
    for table in tables:
        seeds = table.shape[1]
        runs = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
        found.append(((times @ table) * runs).sum(axis=1) / (n * seeds))
    return np.stack(found, axis=1)


def limits(least: np.ndarray, most: np.ndarray) -> tuple[float, float]:
    return float(np.quantile(least, 0.025, method="lower")), float(np.quantile(most, 0.975, method="higher"))


def ratio_row(
    name: str, seeds: int, run_sds: tuple[float, float], arguments: argparse.Namespace
) -> dict[str, np.ndarray]:
    """For each rule (pairs, 4): log2 ratio and limits, infinite where they are bounds; whether it is censored.

    The rules that were not taken only where a row of the second table asks for them.
    """
    uneven = [round(1e4 * run_sds[1])] if run_sds[0] != run_sds[1] else []
    rng = np.random.default_rng([arguments.seed, seeds, round(1e4 * run_sds[0]), list(CURVES).index(name), *uneven])
    knots, weights = np.log2(BUDGETS), np.full(len(BUDGETS), float(seeds))
    shift = Pair(knots, knots, weights, weights).shift
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for pair in range(arguments.pairs):
        a, b = draw_arms(rng, CURVES[name], seeds, run_sds)
        got = budget_ratio(a, b, seed=pair, draws=arguments.draws)
        low = -inf if got.low_censored else np.log2(got.low)
        high = inf if got.high_censored else np.log2(got.high)
        here = np.log2(got.ratio)
        found.setdefault(RULES[0], []).append((here, low, high, float(got.censored is not None)))
        if not (name in TRIED and run_sds == (RUN_SD, RUN_SD)):
            continue
        tables = [arm[budget] for arm in (a, b) for budget in BUDGETS]
        draws = np.random.default_rng(pair)
        naive = shift(uncorrected(tables, arguments.draws, draws))
        found.setdefault(RULES[1], []).append((here, *limits(naive.least, naive.most), 0.0))
        drawn, _ = resample(tables, arguments.draws, draws)
        means = other_ratios(np.array([[table.mean() for table in tables]]), seeds)
        for rule, values in other_ratios(drawn, seeds).items():
            found.setdefault(rule, []).append((float(means[rule][0]), *limits(values, values), 0.0))
    return {rule: np.array(rows) for rule, rows in found.items()}


def true_ratio(name: str) -> float:
    """log2 of the ratio: how far one curve is the other moved, else the shipped definition on the true curves."""
    if "to" not in name:
        return log2(float(name.removeprefix("ratio ")))
    knots, weights = np.log2(BUDGETS), np.ones(len(BUDGETS))
    points = np.array([[curve(budget) for curve in CURVES[name] for budget in BUDGETS]])
    return float(Pair(knots, knots, weights, weights).shift(points).least[0])


def ratio_tables(arguments: argparse.Namespace) -> None:
    """Coverage of the shipped ratio, then every rule on the same data."""
    print("| curves | seeds | run sd | true | median | censored % | covers % | too low % | too high % | x/ |")
    print(f"|{'---|' * 10}")
    tried = []
    for name, seeds, run_sds in ROWS:
        found = ratio_row(name, seeds, run_sds, arguments)
        truth = true_ratio(name)
        for rule in found:
            values = found[rule]
            below, above = 100 * (values[:, 2] < truth - 1e-9).mean(), 100 * (values[:, 1] > truth + 1e-9).mean()
            ends = np.clip(values[:, 1:3], -FAR, FAR)
            cells = (
                *(
                    name,
                    str(seeds),
                    " / ".join(f"{100 * sd:.1f}" for sd in dict.fromkeys(run_sds)),
                    f"{2**truth:.2f}",
                    f"{2 ** np.median(values[:, 0]):.2f}",
                ),
                *(f"{100 * values[:, 3].mean():.1f}", f"{100 - below - above:.1f}", f"{below:.1f}", f"{above:.1f}"),
                f"{2 ** (np.median(ends[:, 1] - ends[:, 0]) / 2):.2f}",
            )
            if rule == RULES[0]:
                print("| " + " | ".join(cells) + " |", flush=True)
            if len(found) > 1:
                spread = f"{values[:, 0].std():.2f}"
                tried.append("| " + " | ".join((rule, *cells[:2], cells[4], spread, *cells[6:])) + " |")
    print("\n| rule | curves | seeds | median | sd of log2 | covers % | too low % | too high % | x/ |")
    print(f"|{'---|' * 9}")
    print("\n".join(sorted(tried, key=lambda line: RULES.index(line.split(" | ")[0].removeprefix("| ")))))


def did_blocks(
    seeds: tuple[int, int], common: float, own: float, effect: float, arguments: argparse.Namespace
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of arms, (comparisons, items, seeds); an arm with one run is the same model in every comparison's truth.

    ``common`` is the spread of a run's means that both groups share, ``own`` what each group has for itself. The first
    arm is 3 points better everywhere and ``effect`` better still on the targeted items.
    """
    rng = np.random.default_rng([arguments.seed, *seeds, round(1e4 * common), round(1e4 * own), round(1e4 * effect)])
    spread = interaction_spread(INTERACTION)
    targeted = MASK[:, None]
    for start in range(0, arguments.comparisons, BLOCK):
        size = min(BLOCK, arguments.comparisons - start)
        shared = np.float32(sqrt(SPREAD**2 - spread**2)) * rng.standard_normal((size, ITEMS, 1), dtype=np.float32)
        arms = []
        for count, gains in zip(seeds, ((0.03 + effect, 0.03), (0.0, 0.0)), strict=True):
            logit = shared + np.float32(spread) * rng.standard_normal((size, ITEMS, 1), dtype=np.float32)
            logit = logit + np.where(targeted, *(np.float32(logit_shift(0.5 + gain)) for gain in gains))
            if count > 1:
                both, on, off = rng.standard_normal((3, size, 1, count), dtype=np.float32) / np.float32(slope())
                logit = logit + np.float32(common) * both + np.float32(own) * np.where(targeted, on, off)
            arms.append((rng.random((size, ITEMS, count), dtype=np.float32) < expit(logit)).astype(np.float32))
        yield arms[0], arms[1]


def as_independent(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard error and degrees of freedom if the two groups had no runs in common."""
    one, other = (standard_error(parts(a[:, group], b[:, group])) for group in (MASK, ~MASK))
    square = one.se**2 + other.se**2
    return np.sqrt(square), square**2 / (one.se**4 / one.df + other.se**4 / other.df)


def did_table(arguments: argparse.Namespace) -> None:
    """False positives without an effect and coverage with one, by the shipped rule and with groups as independent."""
    print(
        "| seeds | run sd, common | own | false positives % | covers % | power % | +- | as independent: f. p. % | +- |"
    )
    print(f"|{'---|' * 9}")
    for seeds, common, own in DID_ROWS:
        sums = np.zeros(6)
        for effect in (0.0, EFFECT):
            for a, b in did_blocks(seeds, common, own, effect, arguments):
                gap = a.mean(axis=2) - b.mean(axis=2)
                difference = gap[:, MASK].mean(axis=1) - gap[:, ~MASK].mean(axis=1)
                error = standard_error(contrast_parts(a, b, MASK))
                half = error.se * stdtrit(error.df, 0.975)
                se, df = as_independent(a, b)
                wide = se * stdtrit(df, 0.975)
                if effect:
                    sums[1] += (np.abs(difference - effect) <= half).sum()
                    sums[2] += (np.abs(difference) > half).sum()
                else:
                    sums[[0, 4]] += (np.abs(difference) > half).sum(), (np.abs(difference) > wide).sum()
                    sums[[3, 5]] += half.sum(), wide.sum()
        shares = 100 * sums / arguments.comparisons
        cells = (
            f"{seeds[0]} and {seeds[1]}",
            f"{100 * common:.1f}",
            f"{100 * own:.1f}",
            *(f"{share:.1f}" for share in shares[:3]),
            f"{shares[3]:.2f}",
            f"{shares[4]:.1f}",
            f"{shares[5]:.2f}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of curves a row")
    parser.add_argument(
        "--draws", type=int, default=400, help="bootstrap draws of each; the product's default is 4,000"
    )
    parser.add_argument("--comparisons", type=int, default=1000, help="differences in differences a row")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.process_time()
    ratio_tables(arguments)
    print()
    did_table(arguments)
    print(f"\n{time.process_time() - started:.0f} s of one core")


if __name__ == "__main__":
    main()
