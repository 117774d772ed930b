"""From checks to verdicts: who is asked about what, and what is accepted.

Knows no verifier by name but `agreement`, which is required where it is configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory.errors import ConfigError
from memory.records import Accepted, Check, CheckOutcome, Draft, Verdict, refuse_labels, refuse_sealed
from synthesis.verification.base import Verifier

#: Required where it is among the verifiers and nothing else is said.
AGREEMENT = "agreement"
INDEPENDENT = "independent"


@dataclass(frozen=True)
class Policy:
    """What a draft needs besides no failing check.

    Attributes:
        require: verifiers that must pass it; to abstain is not enough.
        min_independent: how many independent verifiers must pass it.
    """

    require: tuple[str, ...] = ()
    min_independent: int = 1

    @classmethod
    def of(
        cls, verifiers: Sequence[Verifier], *, require: Sequence[str] | None = None, min_independent: int = 1
    ) -> Policy:
        """The policy with these verifiers; ``require`` None is `agreement` where it is one of them.

        Raises:
            ConfigError: a required verifier is not configured.
        """
        names = [verifier.name for verifier in verifiers]
        if require is None:
            require = [AGREEMENT] if AGREEMENT in names else []
        for name in require:
            if name not in names:
                raise ConfigError(
                    f"verify.require: {name} is not one of verify.verifiers ({', '.join(names) or 'none'}); add it."
                )
        return cls(tuple(require), min_independent)

    def __str__(self) -> str:
        needs = [*self.require, f"{self.min_independent} independent"]
        return f"no failing check; {' and '.join(needs)}"

    def missing(self, checks: Sequence[Check], verifiers: Sequence[Verifier]) -> tuple[str, ...]:
        """What these checks of one draft by these verifiers lack."""
        passed = [
            verifier for check, verifier in zip(checks, verifiers, strict=True) if check.outcome is CheckOutcome.PASS
        ]
        names = {verifier.name for verifier in passed}
        lacking = tuple(name for name in self.require if name not in names)
        enough = sum(verifier.independent for verifier in passed) >= self.min_independent
        return lacking if enough else (*lacking, INDEPENDENT)


def judge(
    drafts: Sequence[Draft],
    verifiers: Sequence[Verifier],
    *,
    min_independent: int = 1,
    require: Sequence[str] | None = None,
) -> list[Verdict]:
    """One verdict for each draft, order kept.

    Verifiers that cost nothing see the whole batch. Costly ones come after them and see, in their order, the drafts
    that can still be accepted. Accepted is NO with a failing check, YES without one and with all that the policy asks
    for, else UNDECIDED, which is not trained on. Checks are kept in the order of the verifiers.

    Raises:
        SplitError: a draft is of a sealed split.
        LabelError: a draft carries a hidden label.
        ConfigError: see `Policy.of`.
    """
    problems = [draft.problem for draft in drafts]
    refuse_sealed(problems, "a verdict")
    refuse_labels(problems, "a verdict")
    policy = Policy.of(verifiers, require=require, min_independent=min_independent)
    found: list[dict[int, Check]] = [{} for _ in drafts]  # by the verifier's place
    order = sorted(range(len(verifiers)), key=lambda place: verifiers[place].costly)  # stable: their own order else
    for turn, place in enumerate(order):
        verifier = verifiers[place]
        asked = [
            at
            for at in range(len(drafts))
            if not verifier.costly or _open(found[at], [verifiers[later] for later in order[turn:]], verifiers, policy)
        ]
        if verifier.costly and not asked:
            continue
        checks = verifier.check([drafts[at] for at in asked])
        if len(checks) != len(asked):
            raise ValueError(f"verifier {verifier.name} gave {len(checks)} checks for {len(asked)} drafts")
        for at, check in zip(asked, checks, strict=True):
            found[at][place] = check
    return [_verdict(draft, found[at], verifiers, policy) for at, draft in enumerate(drafts)]


def _open(
    found: Mapping[int, Check], to_come: Sequence[Verifier], verifiers: Sequence[Verifier], policy: Policy
) -> bool:
    """Whether a draft with these checks could be accepted if all that is to come passed it."""
    if any(check.outcome is CheckOutcome.FAIL for check in found.values()):
        return False
    hoped = [Check(verifier=item.name, version="", outcome=CheckOutcome.PASS) for item in to_come]
    return not policy.missing([*found.values(), *hoped], [*(verifiers[place] for place in found), *to_come])


def _verdict(draft: Draft, found: Mapping[int, Check], verifiers: Sequence[Verifier], policy: Policy) -> Verdict:
    places = sorted(found)
    checks = tuple(found[place] for place in places)
    failed = any(check.outcome is CheckOutcome.FAIL for check in checks)
    missing = () if failed else policy.missing(checks, [verifiers[place] for place in places])
    accepted = Accepted.NO if failed else Accepted.UNDECIDED if missing else Accepted.YES
    return Verdict(draft_id=draft.id, accepted=accepted, checks=checks, policy=str(policy), missing=missing)
