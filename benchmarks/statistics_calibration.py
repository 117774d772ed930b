"""Whether the verdicts, intervals and minimum detectable effects of `remedial compare` hold what they say.

Simulates comparisons of two arms over items and runs and judges each by the product's own rule. Items and runs are
drawn anew for every comparison. A cell is right with probability logistic(item + item by arm + run); items spread so
that arms are right on half of the cells and two runs of one arm disagree on 19.5 % of items, as in public results of
1,000 items and five arms of five runs. Prints the tables of docs/statistics.md. Run from the repository root:

    python benchmarks/statistics_calibration.py [--comparisons 8000] [--seed 1] [--json FILE]
    python benchmarks/statistics_calibration.py --scores FILE.csv --pair A B      # other rules on one pair of a file
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, ndtri, roots_hermite, stdtr, stdtrit

from eval.crossed import Parts, parts, standard_error
from eval.power import Plan, detectable_effect, power
from eval.scores import read_scores
from eval.stats import mcnemar, paired_difference

ALPHA = 0.05
DISAGREEMENT = 0.195
#: Standard deviation of the true means of an arm's runs: none; as estimated from the public results; large.
RUN_SDS = (0.0, 0.0078, 0.02)
#: Variance over items of the true difference between two arms, as estimated from the public results.
INTERACTION = 0.0064
HEADINGS = (
    *("items", "seeds", "run sd", "item x arm", "false positives %", "by theory %"),
    *("covers 0 %", "covers MDE %", "+-", "MDE", "power %"),
)
NODES, WEIGHTS = roots_hermite(80)
CELLS = 4_000_000


@dataclass(frozen=True)
class Setting:
    items: int
    seeds: int
    run_sd: float
    interaction: float = 0.0


def over_items(spread: float, shift: float, power: int = 1) -> float:
    """The mean over items of p (1 - p) for ``power`` 2 and of p for 1, where the logit is normal(shift, spread)."""
    p = expit(shift + spread * sqrt(2) * NODES)
    return float(WEIGHTS @ (p if power == 1 else p * (1 - p))) / float(WEIGHTS.sum())


def bisect(wanted: float, low: float, high: float, function: Any) -> float:
    """Where an increasing ``function`` reaches ``wanted``."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return (low + high) / 2


#: Spread of the items on the logit scale that makes two runs disagree as wanted.
SPREAD = bisect(-DISAGREEMENT, 0.1, 30.0, lambda spread: -2 * over_items(spread, 0.0, 2))


@cache
def slope() -> float:
    """Change of an arm's mean for a small shift of all logits."""
    return over_items(SPREAD, 0.0, 2)


@cache
def interaction_spread(variance: float) -> float:
    """Spread of each arm's item-by-arm term on the logit scale that gives the difference this variance over items."""
    if variance == 0:
        return 0.0
    rng = np.random.default_rng(0)
    item, left, right = rng.standard_normal((3, 400_000))

    def found(spread: float) -> float:
        centre = item * sqrt(max(0.0, SPREAD**2 - spread**2))
        return float((expit(centre + spread * left) - expit(centre + spread * right)).var())

    return bisect(variance, 0.0, 2.0, found)


def shift_for(effect: float) -> float:
    """The shift of one arm's logits that raises its mean by ``effect``."""
    return bisect(0.5 + effect, 0.0, 30.0, lambda shift: over_items(SPREAD, shift))


def tables(
    setting: Setting, effect: float, comparisons: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of simulated arms, each (comparisons, items, seeds) of zeros and ones."""
    n, seeds = setting.items, setting.seeds
    block = max(1, CELLS // (n * seeds))
    own = interaction_spread(setting.interaction)
    shared = sqrt(SPREAD**2 - own**2)
    shifts = (shift_for(effect) if effect else 0.0, 0.0)
    for start in range(0, comparisons, block):
        size = min(block, comparisons - start)
        item = shared * rng.standard_normal((size, n, 1), dtype=np.float32)
        arms = []
        for shift in shifts:
            logit = item + np.float32(shift)
            if own:
                logit = logit + own * rng.standard_normal((size, n, 1), dtype=np.float32)
            if setting.run_sd:
                runs = rng.standard_normal((size, 1, seeds), dtype=np.float32)
                logit = logit + np.float32(setting.run_sd / slope()) * runs
            chance = expit(logit)
            arms.append((rng.random((size, n, seeds), dtype=np.float32) < chance).astype(np.uint8))
        yield arms[0], arms[1]


@cache
def exact(gained: int, lost: int) -> float:
    return mcnemar(gained, lost)


def judge(a: np.ndarray, b: np.ndarray, effect: float) -> tuple[int, int, float, int]:
    """Of a block: comparisons with a verdict, intervals that hold ``effect``, sum of half-widths, runs found alike."""
    if a.shape[-1] == 1:
        found = covered = 0
        width = 0.0
        for left, right in zip(a[..., 0].astype(np.int64), b[..., 0].astype(np.int64), strict=True):
            _, low, high = paired_difference(left, right, 1 - ALPHA)
            found += exact(int((left > right).sum()), int((left < right).sum())) <= ALPHA
            covered += low <= effect <= high
            width += (high - low) / 2
        return found, covered, width, 0
    difference = a.mean(axis=(1, 2)) - b.mean(axis=(1, 2))
    error = standard_error(parts(a, b))
    half = stdtrit(error.df, 1 - ALPHA / 2) * error.se
    p = 2 * stdtr(error.df, -np.abs(difference) / error.se)
    covered = (np.abs(difference - effect) <= half).sum()
    return int((p <= ALPHA).sum()), int(covered), float(half.sum()), int(error.runs_alike.sum())


def rules(found: Parts, seeds: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Standard error and degrees of freedom by the product's rule and by others, for arms of ``seeds`` runs."""
    t_i, t_s, t_r = found.items, sum(found.runs), sum(found.residuals)
    of_runs = sum(run**2 / df for run, df in zip(found.runs, found.dfs, strict=True))
    both = np.maximum(t_i, t_i + t_s - t_r)
    of_items = t_i**2 / (found.n - 1)
    endless = np.full_like(t_i, np.inf)
    kept = 1 - 1 / seeds
    ours = standard_error(found)
    return {
        "as shipped": (ours.se, ours.df),
        "items only, T_I": (np.sqrt(t_i), endless),
        "runs only, T_S (Welch)": (np.sqrt(t_s), t_s**2 / of_runs),
        "T_I + T_S - T_R, at least T_I; normal": (np.sqrt(both), endless),
        "T_I + T_S - T_R, at least T_I; Satterthwaite": (np.sqrt(both), both**2 / (of_items + of_runs)),
        "two-way bootstrap, uncorrected": (np.sqrt(t_i + kept * (t_s + t_r)), endless),
    }


def alternatives(comparisons: int, seed: int) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """False positives and mean half-widths of every rule over `RUN_SDS`, for 3 and 5 seeds on 1,000 items."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seeds in (3, 5):
        for sd in RUN_SDS:
            rng = np.random.default_rng([seed, seeds, round(1e4 * sd)])
            sums: dict[str, np.ndarray] = {}
            for a, b in tables(Setting(1000, seeds, sd), 0.0, comparisons, rng):
                difference = np.abs(a.mean(axis=(1, 2)) - b.mean(axis=(1, 2)))
                for name, (se, df) in rules(parts(a, b), seeds).items():
                    half = se * np.where(
                        np.isinf(df), ndtri(1 - ALPHA / 2), stdtrit(np.minimum(df, 1e9), 1 - ALPHA / 2)
                    )
                    sums[name] = sums.get(name, np.zeros(2)) + np.array([(difference > half).sum(), half.sum()])
            for name, both in sums.items():
                found.setdefault((name, seeds), []).append((both[0] / comparisons, both[1] / comparisons))
    return found


def one_pair(path: Path, names: list[str]) -> None:
    """Every rule on one pair of a file."""
    a, b = (read_scores(path).tables[name] for name in names)
    difference = 100 * float(a.mean() - b.mean())
    print("| rule | standard error | interval |\n|---|---|---|")
    for name, (se, df) in rules(parts(a, b), min(a.shape[1], b.shape[1])).items():
        half = 100 * float(se) * float(ndtri(1 - ALPHA / 2) if np.isinf(df) else stdtrit(df, 1 - ALPHA / 2))
        interval = f"{difference:+.2f} [{difference - half:+.2f}, {difference + half:+.2f}]"
        print(f"| {name} | {100 * float(se):.2f} | {interval} |")
    found = parts(a, b)
    print(f"\nT_S / T_R = {float(sum(found.runs)) / float(sum(found.residuals)):.2f}")


def simulate(setting: Setting, effect: float, comparisons: int, seed: int) -> dict[str, float]:
    """Shares over ``comparisons`` simulated comparisons."""
    rng = np.random.default_rng([seed, setting.items, setting.seeds, round(1e4 * setting.run_sd), round(1e6 * effect)])
    sums = np.zeros(4)
    for a, b in tables(setting, effect, comparisons, rng):
        sums += judge(a, b, effect)
    return dict(zip(("found", "covered", "half_width", "runs_alike"), (sums / comparisons).tolist(), strict=True))


def measure(setting: Setting, comparisons: int, seed: int) -> dict[str, Any]:
    """False positives without an effect, then coverage and power at the minimum detectable effect."""
    # A single run cannot know of a run component: the plan made for it does not either.
    known = setting.run_sd**2 if setting.seeds > 1 else 0.0
    plan = Plan(setting.items, setting.seeds, DISAGREEMENT, known, setting.interaction)
    effect = detectable_effect(plan, alpha=ALPHA)
    null = simulate(setting, 0.0, comparisons, seed)
    found = simulate(setting, effect, max(1, comparisons // 4), seed)
    return {
        "items": setting.items,
        "seeds": setting.seeds,
        "run_sd": setting.run_sd,
        "interaction": setting.interaction,
        "false_positives": null["found"],
        "expected": power(plan, 0.0, ALPHA) if setting.seeds > 1 else None,
        "coverage_null": null["covered"],
        "coverage": found["covered"],
        "half_width": null["half_width"],
        "runs_alike": null["runs_alike"],
        "detectable": effect,
        "power": found["found"],
    }


def settings() -> list[Setting]:
    chosen = [Setting(1000, seeds, sd) for seeds in (5, 3) for sd in RUN_SDS]
    chosen += [Setting(1000, 10, sd) for sd in RUN_SDS[:2]]
    chosen += [Setting(200, seeds, sd) for seeds in (5, 3) for sd in RUN_SDS]
    chosen += [Setting(4000, 5, sd) for sd in RUN_SDS[:2]]
    chosen += [Setting(1000, 5, sd, INTERACTION) for sd in RUN_SDS]
    chosen += [Setting(1000, 2, sd) for sd in RUN_SDS]
    chosen += [Setting(n, 1, sd) for n in (200, 1000) for sd in RUN_SDS[:2]]
    return chosen


def row(found: dict[str, Any]) -> str:
    cells = [
        f"{found['items']:,}",
        str(found["seeds"]),
        f"{100 * found['run_sd']:.1f}",
        f"{found['interaction']:.4f}" if found["interaction"] else "0",
        f"{100 * found['false_positives']:.1f}",
        "-" if found["expected"] is None else f"{100 * found['expected']:.1f}",
        f"{100 * found['coverage_null']:.1f}",
        f"{100 * found['coverage']:.1f}",
        f"{100 * found['half_width']:.2f}",
        f"{100 * found['detectable']:.2f}",
        f"{100 * found['power']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=8000, help="equal arms a row; a quarter for the rest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--scores", type=Path, help="do not simulate: every rule on --pair of this file")
    parser.add_argument("--pair", nargs=2, metavar="ARM")
    arguments = parser.parse_args()
    if arguments.scores:
        one_pair(arguments.scores, arguments.pair)
        return
    started = time.process_time()
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    rows = []
    for setting in settings():
        rows.append(measure(setting, arguments.comparisons, arguments.seed))
        print(row(rows[-1]), flush=True)
    print("\n| rule | seeds | false positives %, run sd 0 / 0.8 / 2 | +- |\n|---|---|---|---|")
    for (name, seeds), values in alternatives(arguments.comparisons // 4, arguments.seed).items():
        found, half = (" / ".join(f"{100 * value[i]:.{i + 1}f}" for value in values) for i in (0, 1))
        print(f"| {name} | {seeds} | {found} | {half} |", flush=True)
    print(
        f"\n{arguments.comparisons} comparisons of equal arms a row, {time.process_time() - started:.0f} s of one core"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
