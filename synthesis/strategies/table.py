"""The one visible table of strategies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from memory.errors import ConfigError
from synthesis.strategies.base import Strategy
from synthesis.strategies.focused import Focused
from synthesis.strategies.hard_loss import HardLoss
from synthesis.strategies.random import Random
from synthesis.strategies.replay import Replay
from synthesis.strategies.retrieval import Retrieval
from synthesis.strategies.shuffled import Shuffled
from synthesis.strategies.targeted import Targeted
from synthesis.strategies.variants import Variants
from synthesis.strategies.web import Web

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "targeted": Targeted,
    "focused": Focused,
    "retrieval": Retrieval,
    "variants": Variants,
    "random": Random,
    "hard_loss": HardLoss,
    "shuffled": Shuffled,
    "replay": Replay,
    "web": Web,
}


def make_strategy(name: str, **settings: Any) -> Strategy:
    """A strategy by name; of the settings of the draft section it gets those it has.

    Raises:
        ConfigError: an unknown name; the message lists the known ones.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"draft.strategy: no strategy '{name}'; known ones: {', '.join(sorted(STRATEGIES))}.")
    takes = inspect.signature(STRATEGIES[name]).parameters
    return STRATEGIES[name](**{key: value for key, value in settings.items() if key in takes})
