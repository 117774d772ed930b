"""Exact comparison of expressions, and the equations found in worked text, each true, false or undecided.

Owns `value`, `equal` and `check_equations` over `eval.notation` (reading) and `eval.exact` (arithmetic).
No text reaches sympy or the interpreter. Light; never raises on any text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from eval.chains import Chain, Side, find_chains
from eval.exact import Undecided, Value, add, letters_of, negate, substitute
from eval.notation import PI, Expr, Kind, parse

__all__ = ["EquationCheck", "Expr", "Kind", "Reason", "check_equations", "equal", "parse", "value"]

MAX_TEXT = 20_000
MAX_EQUATIONS = 400

#: Letters that also stand for constants, so that a difference in them proves nothing.
_CONSTANTS = frozenset("ei∞")


def value(text: str) -> Fraction | None:
    """The exact rational value of an expression; None where it has none or is not understood."""
    expr = parse(text)
    return expr.value if expr is not None and isinstance(expr.value, Fraction) else None


def equal(a: str, b: str) -> bool | None:
    """Whether two expressions are the same exactly; None is undecided.

    Sets and bare lists ignore order and repetition, tuples and intervals do not. A percent sign is part of
    the value: ``50%`` is 1/2, not 50.
    """
    left, right = parse(a), parse(b)
    return None if left is None or right is None else same(left, right)


def same(a: Expr, b: Expr) -> bool | None:
    """`equal` on what was read already."""
    if a.name is not None and b.name is not None and a.name != b.name:
        return None
    if a.value is not None and b.value is not None:
        return _same_value(a.value, b.value)
    if a.kind is Kind.SCALAR or b.kind is Kind.SCALAR:
        return _single(a, b)
    kinds = {a.kind, b.kind}
    if Kind.INTERVAL in kinds:
        if a.kind is b.kind or Kind.TUPLE in kinds:
            return False if a.brackets != b.brackets else _ordered(a.items, b.items)
        return None
    if kinds <= {Kind.SET, Kind.LIST}:
        return _unordered(a.items, b.items)
    if kinds <= {Kind.TUPLE, Kind.LIST}:
        return _ordered(a.items, b.items)
    return None  # a tuple and a set


def _single(a: Expr, b: Expr) -> bool | None:
    """A scalar and a collection: a set of one is taken for its member."""
    collection, scalar = (a, b) if b.kind is Kind.SCALAR else (b, a)
    if collection.kind is Kind.SET and len(collection.items) == 1:
        return same(collection.items[0], scalar)
    return False


def _same_value(a: Value, b: Value) -> bool | None:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    try:
        if add(a, negate(b)) == 0:
            return True
    except Undecided:
        return None
    ours, theirs = letters_of(a), letters_of(b)
    # Different letters may be two names of one thing, or units.
    return None if ours - {PI} != theirs - {PI} or (ours | theirs) & _CONSTANTS else False


def _ordered(a: Sequence[Expr], b: Sequence[Expr]) -> bool | None:
    if len(a) != len(b):
        return False
    words = [same(x, y) for x, y in zip(a, b, strict=True)]
    return False if False in words else None if None in words else True


def _unordered(a: Sequence[Expr], b: Sequence[Expr]) -> bool | None:
    def matched(items: Sequence[Expr], others: Sequence[Expr]) -> bool | None:
        words = [[same(item, other) for other in others] for item in items]
        if all(True in row for row in words):
            return True
        return None if any(True not in row and None in row for row in words) else False

    if max(len(a), len(b)) > 40:
        return None
    there, back = matched(a, b), matched(b, a)
    return False if False in (there, back) else None if None in (there, back) else True


class Reason(StrEnum):
    """Why an equation got its verdict."""

    EXACT = "exact"  # all sides are exactly equal, or some are not
    ROUNDED = "rounded"  # true, one side being the correct rounding of the other
    SUBSTITUTED = "substituted"  # decided with the values the text gives its letters
    ASSIGNMENT = "assignment"  # x = 7: gives a value and claims nothing else; undecided
    FREE = "free_letter"  # a letter whose value the text does not give; undecided
    UNITS = "units"  # not equal as numbers, but with different units; undecided
    NAMED = "named"  # a word on one side: total = 12; undecided
    UNREAD = "unread"  # a side was not understood; undecided


@dataclass(frozen=True)
class EquationCheck:
    """One equation chain found in a text.

    Attributes:
        text: the chain as written.
        start: where it begins in the text.
        end: where it ends, exclusive.
        verdict: True, False, or None for undecided.
        reason: why.
        rounded: True where a side is only the correct rounding of its neighbour.
    """

    text: str
    start: int
    end: int
    verdict: bool | None
    reason: Reason
    rounded: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """Where the chain stands in the text: start, and end exclusive."""
        return self.start, self.end


def check_equations(text: str) -> list[EquationCheck]:
    """Every equation chain in worked text with a verdict, in the order of their starts.

    Chains of numbers (``22*9=180+18=198``, ``$12 x 3 = $36``, ``<<48/2=24>>``) are decided exactly. Equations
    with letters are true where both sides are the same polynomial, else decided with the one value the text
    gives each letter (``x=21/3=7``). Words and units next to numbers are dropped; where units
    differ a mismatch is undecided (``3 feet = 36 inches``). Text beyond ``MAX_TEXT`` characters is not read, and
    says so with one undecided check.
    """
    cut = text[:MAX_TEXT]
    chains = find_chains(cut)
    known = _known_letters(chains)
    checks = [_check(chain, known, cut) for chain in chains[:MAX_EQUATIONS]]
    if len(text) > MAX_TEXT or len(chains) > MAX_EQUATIONS:
        checks.append(EquationCheck("", len(cut), len(text), None, Reason.UNREAD))
    return checks


def _known_letters(chains: Sequence[Chain]) -> dict[str, Fraction]:
    """Letters to which the text gives exactly one value, as ``x = 21/3 = 7`` or ``7 = x``."""
    found: dict[str, set[Fraction]] = {}
    for chain in chains:
        exprs = [side.expr for side in chain.sides]
        letters = {_bare_letter(side.text) for side in chain.sides} - {None}
        values = [expr.value for expr in exprs if expr is not None and isinstance(expr.value, Fraction)]
        for letter in letters:
            if letter is not None and values and "≈" not in chain.relations:
                found.setdefault(letter, set()).add(values[-1])
    return {letter: values.pop() for letter, values in found.items() if len(values) == 1}


def _bare_letter(text: str | None) -> str | None:
    text = text.strip(" {}()") if text else ""
    return text if len(text) == 1 and text.isalpha() else None


_WEAKEST_FIRST = (Reason.ROUNDED, Reason.SUBSTITUTED, Reason.EXACT)


def _check(chain: Chain, known: Mapping[str, Fraction], text: str) -> EquationCheck:
    """All pairs of neighbours: false if one is, true if all are."""
    verdicts: list[tuple[bool | None, Reason]] = []
    for a, b, relation in zip(chain.sides, chain.sides[1:], chain.relations, strict=False):
        verdicts.append(_check_pair(a, b, relation, known))
    words = [verdict for verdict, _ in verdicts]
    rounded = any(reason is Reason.ROUNDED for verdict, reason in verdicts if verdict)
    if False in words:
        verdict, reason = False, verdicts[words.index(False)][1]
    else:
        # A letter or name at the head of an otherwise decided chain claims nothing.
        open_reasons: list[Reason] = [
            r for v, r in verdicts if v is None and r not in (Reason.ASSIGNMENT, Reason.NAMED)
        ]
        decided = [r for v, r in verdicts if v]
        if open_reasons or not decided:
            verdict, reason = None, (open_reasons or [verdicts[0][1]])[0]
        else:
            verdict, reason = True, next(r for r in _WEAKEST_FIRST if r in decided)
    return EquationCheck(text[chain.start : chain.end], chain.start, chain.end, verdict, reason, rounded)


def _check_pair(a: Side, b: Side, relation: str, known: Mapping[str, Fraction]) -> tuple[bool | None, Reason]:
    left, right = a.expr, b.expr
    if left is None or right is None:
        return None, Reason.NAMED if a.word or b.word else Reason.UNREAD
    if left.value is None or right.value is None:
        word = same(left, right)
        return word, Reason.EXACT if word is not None else Reason.UNREAD
    if left.name or right.name:
        return None, Reason.UNREAD
    if _same_value(left.value, right.value):
        return True, Reason.EXACT
    if isinstance(left.value, Fraction) and isinstance(right.value, Fraction):
        return _check_numbers(a, b, relation)
    if letters_of(left.value) | letters_of(right.value) == {PI}:
        return None, Reason.FREE
    if _assigns(a, right) or _assigns(b, left):
        return None, Reason.ASSIGNMENT
    try:
        x, y = substitute(left.value, known), substitute(right.value, known)
    except Undecided:
        return None, Reason.FREE
    if not isinstance(x, Fraction) or not isinstance(y, Fraction):
        word = _same_value(x, y) or None
        return word, Reason.SUBSTITUTED if word else Reason.FREE
    return x == y, Reason.SUBSTITUTED


def _assigns(side: Side, other: Expr) -> bool:
    return _bare_letter(side.text) is not None and isinstance(other.value, Fraction)


def _check_numbers(a: Side, b: Side, relation: str) -> tuple[bool | None, Reason]:
    """Two unequal rationals: a correct rounding, different units, or false."""
    for literal, other in ((a.expr, b.expr), (b.expr, a.expr)):
        if literal is not None and other is not None and _is_rounding(literal, other, relation):
            return True, Reason.ROUNDED
    if relation == "≈":
        return None, Reason.ROUNDED
    left, right = a.expr, b.expr
    percent = left is not None and right is not None and left.percent != right.percent
    if (
        percent
        or a.label
        or "cent" in a.units | b.units
        or (a.units and b.units and a.units != b.units)
        or len(a.units) > 1
        or len(b.units) > 1
    ):
        return None, Reason.UNITS
    return (None, Reason.UNREAD) if a.unsure or b.unsure else (False, Reason.EXACT)


def _is_rounding(literal: Expr, other: Expr, relation: str) -> bool:
    """``literal`` is ``other`` rounded to the digits shown; a half may go either way.

    Whole numbers count as rounded only after an approximate sign.
    """
    if not isinstance(literal.value, Fraction) or not isinstance(other.value, Fraction):
        return False
    decimals = literal.decimals
    if decimals is None:
        if relation != "≈" or literal.value.denominator != 1:
            return False
        decimals = 0
    digits = decimals + (2 if literal.percent else 0)
    return bool(abs(literal.value - other.value) * (2 * 10**digits) <= 1)
