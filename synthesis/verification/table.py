"""The visible table of verifiers, and the one way to make them by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from memory.errors import ConfigError
from memory.records import Problem
from synthesis.verification.algebra import Algebra
from synthesis.verification.base import Verifier
from synthesis.verification.contamination import Contamination, SameTemplate
from synthesis.verification.duplicate import Duplicate


@dataclass(frozen=True)
class VerifyContext:
    """What verifiers compare with.

    Attributes:
        replay: the validated pool.
        accepted_before: problems that earlier rounds and waves accepted.
        sealed: probe, dev, test and guard.
        same_template: whether the same text with other numbers is refused as a copy.
    """

    replay: Sequence[Problem]
    accepted_before: Sequence[Problem]
    sealed: Sequence[Problem]
    same_template: SameTemplate = "refuse"


Factory = Callable[[VerifyContext], Verifier]

#: Every verifier by its name in configs.
VERIFIERS: Mapping[str, Factory] = {
    "algebra": lambda context: Algebra(),
    "duplicate": lambda context: Duplicate(
        context.replay, context.accepted_before, allow_same_template=context.same_template == "allow"
    ),
    "contamination": lambda context: Contamination(context.sealed, context.same_template),
}


def make_verifiers(names: Sequence[str], context: VerifyContext) -> list[Verifier]:
    """The named verifiers, in the order of their names.

    Raises:
        ConfigError: an unknown name, or one that is given twice.
    """
    for position, name in enumerate(names):
        if name not in VERIFIERS:
            near = difflib.get_close_matches(name, VERIFIERS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"verify.verifiers: unknown verifier {name!r}; known are {', '.join(VERIFIERS)}.{hint}")
        if name in names[:position]:
            raise ConfigError(f"verify.verifiers: {name} is given twice; remove one.")
    return [VERIFIERS[name](context) for name in names]
