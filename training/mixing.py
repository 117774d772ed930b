"""The training set of a round: exactly the requested shares of new and replay problems, by counts.

Owns the arithmetic of shares, the sampling of replay and the training order. Knows nothing of
tokenizers or models (lengths in tokens are handed in), and never weights or repeats a problem: an impossible
mixture is an error.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from memory.errors import MixError
from memory.ids import derive_seed, short_id
from memory.records import Mixture, MixtureItem, Origin, Problem, refuse_labels, refuse_sealed

#: Shares are decimal numbers a person wrote; 0.1 + 0.9 sums to 1 within this.
SHARE_TOLERANCE = 1e-9


def mix(
    new: Sequence[Problem],
    replay: Sequence[Problem],
    *,
    new_share: float = 0.2,
    replay_share: float = 0.8,
    n_new: int | None = None,
    total: int | None = None,
    seed: int,
) -> Mixture:
    """Mix new problems with replay in exact counts.

    ``n_new`` new problems (default: all of them) need ``n_new * replay_share / new_share`` replay
    problems, rounded to the nearest integer, halves up. With ``total`` the new count is
    ``total * new_share`` rounded the same way, and replay is the rest. Where fewer than all are
    wanted, both sides are drawn without replacement from the id-sorted problems, so that the
    result does not depend on the order of the input. ``items`` is in training order, shuffled by ``seed``.

    Args:
        new: verified practice of this round.
        replay: validated problems the student should keep solving.
        new_share: share of new problems in [0, 1]; 0 is the replay-only control and needs ``total``.
        replay_share: share of replay in [0, 1]; the two sum to 1.
        n_new: how many of ``new`` to use.
        total: the size of the mixture; not together with ``n_new``.
        seed: for both draws and for the order.

    Raises:
        MixError: the mixture cannot be made exactly; says what is there, what is needed, and the cure.
        SplitError: a problem of dev, test or guard is among the input.
        LabelError: a problem carries a hidden label.
    """
    _check_shares(new_share, replay_share)
    _check_input(new, replay)
    want_new, want_replay = _counts(len(new), _exact(new_share), n_new, total)
    _check_enough(len(new), len(replay), want_new, want_replay)
    chosen_new = _draw(new, want_new, derive_seed(seed, "mix.new"))
    chosen_replay = _draw(replay, want_replay, derive_seed(seed, "mix.replay"))
    return _mixture(chosen_new, chosen_replay, new_share, replay_share, seed)


def _mixture(
    chosen_new: Sequence[Problem], chosen_replay: Sequence[Problem], new_share: float, replay_share: float, seed: int
) -> Mixture:
    """The record, in training order."""
    items = [MixtureItem(problem_id=problem.id, origin=Origin.NEW) for problem in chosen_new]
    items += [MixtureItem(problem_id=problem.id, origin=Origin.REPLAY) for problem in chosen_replay]
    random.Random(derive_seed(seed, "mix.order")).shuffle(items)
    n = len(items)
    counts = {"new": len(chosen_new), "replay": len(chosen_replay)}
    identity = [[item.model_dump(mode="json") for item in items], counts, seed]
    return Mixture(
        id=short_id("mix", identity),
        items=tuple(items),
        requested={"new": new_share, "replay": replay_share},
        realised={name: count / n for name, count in counts.items()},
        counts=counts,
        seed=seed,
    )


def mix_to_tokens(
    new: Sequence[Problem],
    replay: Sequence[Problem],
    lengths: Mapping[str, int],
    *,
    new_share: float,
    total: int,
    seed: int,
) -> Mixture:
    """All of ``new``, and replay until the mixture weighs as much as ``total`` replay problems do on the average.

    For arms of a comparison: whatever an arm's new problems are like, and however many it has, all arms train on
    the same number of tokens, to within half a replay problem. Replay stays a uniform sample (in a seeded order, of
    which the mixture takes as much as it needs), so that only its amount differs between arms.

    Args:
        new: verified practice; may be empty (the replay-only control).
        replay: validated problems.
        lengths: tokens of each problem as it is trained, by id.
        new_share: the share asked for, written down in ``requested``.
        total: problems that a mixture by counts would have.
        seed: for the draw and for the order.

    Raises:
        MixError: the new problems alone weigh more, or there is too little replay.
        SplitError: a problem of dev, test or guard is among the input.
        LabelError: a problem carries a hidden label.
    """
    _check_input(new, replay)
    if total < 1 or not replay:
        raise MixError(f"A mixture of {total} problems from {len(replay)} replay problems cannot be made.")
    target = total * sum(lengths[problem.id] for problem in replay) / len(replay)
    have = sum(lengths[problem.id] for problem in new)
    if have > target:
        raise MixError(
            f"{len(new)} new problems weigh {have} tokens, more than the {target:.0f} that {total} replay problems "
            "weigh on the average, so no replay fits beside them; lower mix.new."
        )
    ordered = sorted(replay, key=lambda problem: problem.id)
    random.Random(derive_seed(seed, "mix.replay")).shuffle(ordered)
    chosen: list[Problem] = []
    for problem in ordered:
        if have + lengths[problem.id] / 2 >= target:
            break
        have += lengths[problem.id]
        chosen.append(problem)
    else:
        raise MixError(
            f"The mixture needs {target:.0f} tokens, but all {len(replay)} replay problems and {len(new)} new ones "
            f"weigh {have}; give a larger replay file or lower allocate.new_examples."
        )
    made = _mixture(sorted(new, key=lambda problem: problem.id), chosen, new_share, 1 - new_share, seed)
    return made.model_copy(update={"n_tokens": have})


def replay_needed(n_new: int, new_share: float) -> int:
    """How many replay problems ``n_new`` new ones need at this share: nearest integer, halves up.

    Raises:
        MixError: the share is not in (0, 1].
    """
    if not 0.0 < new_share <= 1.0:
        raise MixError(f"mix.new is {new_share}; a number of replay problems follows only from a share in (0, 1].")
    return _nearest(n_new * (1 - _exact(new_share)) / _exact(new_share))


def _exact(share: float) -> Fraction:
    """The decimal number that was written, not its binary neighbour: 0.2 is one fifth."""
    return Fraction(repr(float(share)))


def _nearest(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _check_shares(new_share: float, replay_share: float) -> None:
    for name, share in (("new", new_share), ("replay", replay_share)):
        if not 0.0 <= share <= 1.0:
            raise MixError(f"mix.{name} is {share}, but a share is a number from 0 to 1; write 0.2 for 20 %.")
    if abs(new_share + replay_share - 1.0) > SHARE_TOLERANCE:
        raise MixError(
            f"mix.new {new_share} and mix.replay {replay_share} sum to {new_share + replay_share:g}, not 1; "
            f"for this share of new problems set mix.replay to {1 - new_share:g}."
        )


def _check_input(new: Sequence[Problem], replay: Sequence[Problem]) -> None:
    for problems, name in ((new, "new"), (replay, "replay")):
        refuse_sealed(problems, "a training mixture")
        refuse_labels(problems, "a training mixture")
        _check_solutions(problems, name)
    _check_unique(new, replay)


def _check_solutions(problems: Sequence[Problem], name: str) -> None:
    for problem in problems:
        if not (problem.solution and problem.solution.strip()):
            raise MixError(
                f"{name} problem {problem.id} (source {problem.source}) has no solution to train on; "
                "name the solution column of its file, or remove the problem."
            )


def _check_unique(new: Sequence[Problem], replay: Sequence[Problem]) -> None:
    for problems, name in ((new, "new"), (replay, "replay")):
        repeated = sorted(key for key, count in Counter(problem.id for problem in problems).items() if count > 1)
        if repeated:
            raise MixError(
                f"{len(repeated)} {name} problems appear more than once, the first is {repeated[0]}; "
                "a repeated problem would be weighted by accident, so keep one of each."
            )
    shared = sorted({problem.id for problem in new} & {problem.id for problem in replay})
    if shared:
        raise MixError(
            f"{len(shared)} new problems are replay problems too, the first is {shared[0]}; "
            "refuse drafts that repeat replay (the duplicate verifier does)."
        )


def _counts(have_new: int, share: Fraction, n_new: int | None, total: int | None) -> tuple[int, int]:
    if n_new is not None and total is not None:
        raise MixError("Give either n_new or total, not both: each follows from the other and the shares.")
    if (n_new is not None and n_new < 0) or (total is not None and total < 1):
        raise MixError(f"A mixture of n_new {n_new}, total {total} cannot be made; give positive numbers.")
    if total is not None:
        want_new = _nearest(total * share)
        return want_new, total - want_new
    if share == 0:
        raise MixError("mix.new is 0, so the size does not follow from the new problems; give total.")
    want_new = have_new if n_new is None else n_new
    if want_new == 0:
        raise MixError(
            f"There are no new problems to mix ({have_new} there), but mix.new is {float(share):g}; "
            "draft and accept some, or set mix.new to 0 for a replay-only control."
        )
    return want_new, _nearest(want_new * (1 - share) / share)


def _check_enough(have_new: int, have_replay: int, want_new: int, want_replay: int) -> None:
    if have_new < want_new:
        raise MixError(
            f"The mixture needs {want_new} new problems, but {have_new} are there; "
            "ask for fewer, or draft and accept more."
        )
    if have_replay < want_replay:
        raise MixError(
            f"{want_new} new problems need {want_replay} replay problems at these shares, but only {have_replay} are "
            f"there; add {want_replay - have_replay} to the replay file, use fewer new problems, or raise mix.new."
        )


def _draw(problems: Sequence[Problem], n: int, seed: int) -> list[Problem]:
    """``n`` problems without replacement, independent of the input's order, sorted by id."""
    ordered = sorted(problems, key=lambda problem: problem.id)
    return sorted(random.Random(seed).sample(ordered, n), key=lambda problem: problem.id)
