"""The one visible table of strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memory.errors import ConfigError
from synthesis.strategies.base import Strategy
from synthesis.strategies.targeted import Targeted

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {"targeted": Targeted}


def make_strategy(name: str, **settings: Any) -> Strategy:
    """A strategy by name.

    Raises:
        ConfigError: an unknown name; the message lists the known ones.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"draft.strategy: no strategy '{name}'; known ones: {', '.join(sorted(STRATEGIES))}.")
    return STRATEGIES[name](**settings)
