"""The `agreement` verifier: does the teacher find its own answer again?

The teacher solves the statement in a fresh context, without its first solution. Two solvers that agree may share a
mistake, so this is required (see `policy`) but is no independent evidence. Everything it does is
`solving.SolverCheck`'s.
"""

from __future__ import annotations

from synthesis.verification.solving import SolverCheck


class Agreement(SolverCheck):
    """`SolverCheck` by the teacher itself."""

    name = "agreement"
    independent = False
