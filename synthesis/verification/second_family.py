"""The `second_family` verifier: does a model of another family find the teacher's answer?

Other training means other mistakes, so that its agreement is independent evidence, as far as the two families are
independent: a misreading that a statement invites they may share. Everything it does is `solving.SolverCheck`'s.
"""

from __future__ import annotations

from synthesis.verification.solving import SolverCheck


class SecondFamily(SolverCheck):
    """`SolverCheck` by a second model."""

    name = "second_family"
    independent = True
