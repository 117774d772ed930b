"""A result of arms that were run, as `remedial compare --json` gives it, with numbers that are easy to follow."""

from collections.abc import Sequence
from typing import Any

GAINS = (8.0, 6.0, 5.0, 0.2, 4.0, 7.0, 3.0, 2.0)


def change(difference: float, half: float, p: float = 0.01) -> dict[str, float]:
    return {"difference": difference, "low": difference - half, "high": difference + half, "p": p}


def result(
    arms: Sequence[str] = ("targeted", "retrieval", "random", "replay"),
    labels: Sequence[str] = ("percent of a rest", "two trains"),
    dry: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole result; arms in ``dry`` ran dry."""
    gains = dict(zip(arms, GAINS, strict=False))
    budgets = [250, 500, 1000]
    pairs = [(a, b) for at, a in enumerate(arms) for b in arms[at + 1 :]]
    return {
        "headline": f"UNEQUAL BUDGETS: {dry[0]} ran dry" if dry else "Equal budgets: 1,000 new examples a round",
        "file": "runs/world-compare",
        "benchmark": "test",
        "items": 600,
        "alpha": 0.05,
        "baseline": None,
        "seeds": [0, 1, 2],
        "budget": 1000,
        "rounds": 1,
        "base": {"mean": 46.0, "low": 42.0, "high": 50.0},
        "arms": [_arm(arm, gain, arm in dry) for arm, gain in gains.items()],
        "pairs": [_pair(a, b, gains[a] - gains[b]) for a, b in pairs],
        "clusters": [
            {"label": label, "items": 90 - at, "gains": {arm: change(gain - 2 * at, 4) for arm, gain in gains.items()}}
            for at, label in enumerate(labels)
        ],
        "curves": {
            "budgets": budgets,
            "arms": {
                arm: [
                    {"budget": b, "seeds": 3, "mean": 46 + g * b / 1000, "low": 45 + g * b / 1000, "high": 47 + g}
                    for b in budgets
                ]
                for arm, g in gains.items()
            },
            "ratios": [
                {"a": arms[2], "b": arms[0], "level": 51.0, "ratio": 2.1, "low": 1.3, "high": 3.6, "censored": None},
                {"a": arms[1], "b": arms[0], "level": 52, "ratio": 4.0, "low": 1.5, "high": 8, "censored": "at_least"},
            ],
        },
        "detectable": {
            "seeds": 3, "disagreement": 19.5, "run_sd": 0.8, "power": 0.8, "one_pair": 3.4, "all_pairs": 5.2,
        },
        "notes": ["the first note", "is it the second?"],
        "config": {"name": "world", "allocate": {"new_examples": 1000}},
        "command": "remedial compare -c world.yaml --arms targeted,random --seeds 0,1,2",
        "seconds": 12345.6,
        "versions": {"remedial": "0.1.0"},
    }  # fmt: skip


def _arm(arm: str, gain: float, dry: bool) -> dict[str, Any]:
    return {
        "arm": arm,
        "seeds": 3,
        "mean": 46 + gain,
        "low": 44 + gain,
        "high": 48 + gain,
        "within_arm_disagreement": 19.5,
        "change": change(gain, 3),
        "marks": ["dry"] if dry else [],
        "new_examples": 812.0 if dry else 1000.0,
        "requested": 1000,
        "drafted": 1312.4,
        "accepted": 1262.0,
        "train_tokens": 435_000.0,
        "teacher_tokens": 0.0,
        "per_1000_accepted": gain,
        "per_1000_generated": gain / 1.3,
        "per_million_teacher_tokens": None,
        "per_million_train_tokens": gain / 0.435,
        "targeted": {"items": 330, **change(1.5 * gain, 4)},
        "untargeted": {"items": 270, **change(0.5 * gain, 4)},
        "did": change(gain, 5),
    }


def _pair(a: str, b: str, difference: float) -> dict[str, Any]:
    decided = abs(difference) > 5
    return {
        "a": a, "b": b, **change(difference, 2.5, 0.0004 if decided else 0.3), "se": 1.2, "df": 50.0,
        "p_holm": 0.002 if decided else 1.0,
        "verdict": ("better" if difference > 0 else "worse") if decided else "not distinguishable",
        "method": "crossed", "runs_alike": True, "did": change(difference / 2, 5, 0.4),
    }  # fmt: skip
