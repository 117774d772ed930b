"""What is compared: arms, seeds and budgets, and the config of each unit. Runs nothing and reads no model.

A unit is one arm at one budget with one seed: an ordinary run with a config of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.comparison.tables import detectable
from agent.config import RunConfig
from eval.power import Plan
from memory.errors import UsageError
from synthesis.strategies.table import STRATEGIES

#: Stands for what is not known before the first unit has run: published runs of one arm disagree on 20 % of items,
#: and the quickstart's means differ by 0.7 points from seed to seed.
ASSUMED_DISAGREEMENT = 0.20
ASSUMED_RUN_SD = 0.007


@dataclass(frozen=True)
class Unit:
    """One arm at one budget with one seed."""

    arm: str
    budget: int
    seed: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.arm}-{self.budget}-seed-{self.seed}"


@dataclass(frozen=True)
class Design:
    """What shall be compared.

    Attributes:
        arms: strategies, the first of which is compared with each other one unless there is a baseline.
        seeds: of every arm.
        budget: new examples of a unit and round.
        budgets: further budgets for learning curves, ascending.
        curve_arms: the arms that are run at these too.
        curve_seeds: with how many of the seeds, the first ones; None: all.
        rounds: of every unit.
        baseline: compare each arm with this one instead.
        alpha: error rate of all verdicts together, and of each interval.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: int
    budgets: tuple[int, ...] = ()
    curve_arms: tuple[str, ...] = ()
    curve_seeds: int | None = None
    rounds: int = 1
    baseline: str | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        for arm in (*self.arms, *self.curve_arms, *([self.baseline] if self.baseline else [])):
            if arm not in STRATEGIES:
                near = difflib.get_close_matches(arm, STRATEGIES, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Arms: {', '.join(STRATEGIES)}."
                raise UsageError(f"no arm {arm!r}. {hint}")
        if len(set(self.arms)) < len(self.arms) or len(set(self.seeds)) < len(self.seeds):
            raise UsageError("an arm or a seed is named twice")
        if len(self.arms) < 2:
            raise UsageError("a comparison needs two arms; for example --arms targeted,random,replay")
        named = (*self.curve_arms, *([self.baseline] if self.baseline else []))
        missing = [arm for arm in named if arm not in self.arms]
        if missing:
            raise UsageError(f"{missing[0]!r} is not among --arms {','.join(self.arms)}")
        if not self.seeds or self.budget < 1 or any(budget < 1 for budget in self.budgets) or self.rounds < 1:
            raise UsageError("seeds, budgets and rounds are positive numbers, at least one of each")

    @property
    def units(self) -> list[Unit]:
        """All units, the main budget first and seed by seed, so that one stopped half-way has whole seeds."""
        further = [budget for budget in self.budgets if budget != self.budget]
        return [
            *(Unit(arm, self.budget, seed) for seed in self.seeds for arm in self.arms),
            *(
                Unit(arm, budget, seed)
                for seed in self.seeds[: self.curve_seeds]
                for budget in further
                for arm in self.curve_arms
            ),
        ]

    @property
    def all_budgets(self) -> tuple[int, ...]:
        """Every budget that is run, ascending."""
        return tuple(sorted({self.budget, *self.budgets}))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Which arms are compared: the first with each other, or each with the baseline."""
        if self.baseline is not None:
            return [(arm, self.baseline) for arm in self.arms if arm != self.baseline]
        return [(self.arms[0], arm) for arm in self.arms[1:]]

    def as_dict(self) -> dict[str, Any]:
        """As it is written down; `from_dict` reads it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Design:
        """The design that `as_dict` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
        }
        return cls(**fields)


#: Arms that are compared under a name, after the experiments of arXiv 2510.07169.
PRESETS: dict[str, tuple[str, ...]] = {"better-data": ("replay", "web")}


def unit_config(config: RunConfig, design: Design, unit: Unit) -> RunConfig:
    """The config of a unit: same student, teacher, data and checks; every round is kept, and mixtures weigh alike."""
    return _variant(config, design, unit.seed, unit.arm, unit.budget)


def shared_config(config: RunConfig, design: Design, seed: int) -> RunConfig:
    """The config of what all units of a seed share: probe, diagnosis, the base on the test."""
    arms = sorted(design.arms, key=lambda arm: (not getattr(STRATEGIES[arm], "needs_losses", False), arm == "replay"))
    return _variant(config, design, seed, arms[0], design.budget)


def _variant(config: RunConfig, design: Design, seed: int, arm: str, budget: int) -> RunConfig:
    def changed(section: str, **values: Any) -> Any:
        return getattr(config, section).model_copy(update=values)

    # What another arm needs is no part of this one's identity: an arm may be added later.
    sections = {"web": "web", "retrieval": "corpus"}
    others = {name: None for name, writer in sections.items() if STRATEGIES[arm]().writer != writer}
    return config.model_copy(
        update={
            "seed": seed,
            "draft": changed("draft", strategy=arm, **others),
            "allocate": changed("allocate", new_examples=budget),
            "mix": changed("mix", replay_by="tokens"),
            "decide": changed("decide", keep="always"),
            "loop": changed("loop", max_rounds=design.rounds, patience=design.rounds),
        }
    )


def expected_effect(design: Design, items: int) -> dict[str, Any]:
    """The minimum detectable effect before anything is spent, in points; None where none can be found.

    With the disagreement and the spread of runs that are assumed above; the result's own are measured.
    """
    plan = Plan(items, len(design.seeds), ASSUMED_DISAGREEMENT, ASSUMED_RUN_SD**2)
    return {"items": items, **detectable(plan, len(design.pairs), design.alpha)}


def in_words(found: dict[str, Any], pairs: int) -> str:
    """The detectable effect as a sentence."""
    told = []
    for key, text in (("one_pair", "for one pair"), ("all_pairs", f"after Holm over {pairs}")):
        if key == "one_pair" or pairs > 1:
            told.append(f"{'no difference' if found[key] is None else f'{found[key]:.1f} points'} {text}")
    return (
        f"Found with {100 * found['power']:.0f} % power on {found['items']:,} items and {found['seeds']} seed(s) an "
        f"arm: {', '.join(told)} (if two runs of an arm disagree on {found['disagreement']:.0f} % of items and their "
        f"means spread by {found['run_sd']:.1f} points)."
    )


def parse_names(text: str, option: str) -> tuple[str, ...]:
    """``a,b,c`` as names.

    Raises:
        UsageError: there is none.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{option} names nothing")
    return names


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """``1,2,3`` as numbers.

    Raises:
        UsageError: something else stands there.
    """
    try:
        return tuple(int(name) for name in parse_names(text, option))
    except ValueError as error:
        raise UsageError(f"{option} {text}: write whole numbers, with commas between them") from error


def parse_seeds(text: str, first: int) -> tuple[int, ...]:
    """``5`` is five seeds from ``first`` on, ``3,5,8`` are those."""
    numbers = parse_numbers(text, "--seeds")
    return tuple(range(first, first + numbers[0])) if "," not in text else numbers


def chosen_pairs(arms: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs of arms that have results."""
    return [(a, b) for a, b in pairs if a in arms and b in arms]
