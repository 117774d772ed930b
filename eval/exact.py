"""Exact numbers: rationals, and polynomials in letters and square roots with rational coefficients.

Owns arithmetic with bounds on size, so that no input can hold the program. Knows nothing of text:
`eval.expressions` reads it. A value is a ``Fraction`` whenever it is rational, else a ``Poly``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import factorial, gcd, isqrt

MAX_BITS = 4096  # of a numerator or denominator
MAX_TERMS = 64
MAX_EXPONENT = 64
MAX_RADICAND = 10**12
MAX_FACTORIAL = 25

#: A square-free radicand and sorted (letter, exponent) pairs: ``(2, (("x", 3),))`` is sqrt(2) x^3.
Monomial = tuple[int, tuple[tuple[str, int], ...]]

_ONE: Monomial = (1, ())


class Undecided(Exception):
    """The value is outside what is computed exactly here; never leaves `eval.expressions`."""


class Poly:
    """A non-rational value: coefficients by monomial, none of them zero.

    Square roots of distinct square-free integers are linearly independent over the rationals
    (Besicovitch 1940), so two values are equal exactly when their coefficients are.
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, Fraction]) -> None:
        self.terms = dict(terms)

    @property
    def letters(self) -> frozenset[str]:
        """Letters that occur."""
        return frozenset(letter for _, powers in self.terms for letter, _ in powers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __repr__(self) -> str:
        return f"Poly({self.terms!r})"


Value = Fraction | Poly


def letters_of(value: Value) -> frozenset[str]:
    """Letters in a value; none in a rational."""
    return value.letters if isinstance(value, Poly) else frozenset()


def variable(letter: str) -> Poly:
    """One letter as a value."""
    return Poly({(1, ((letter, 1),)): Fraction(1)})


def add(a: Value, b: Value) -> Value:
    """a + b."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return _bounded(a + b)
    terms = dict(_terms(a))
    for key, coefficient in _terms(b).items():
        terms[key] = terms.get(key, Fraction(0)) + coefficient
    return _collect(terms)


def negate(a: Value) -> Value:
    """-a."""
    return -a if isinstance(a, Fraction) else Poly({key: -value for key, value in a.terms.items()})


def multiply(a: Value, b: Value) -> Value:
    """a * b."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return _bounded(a * b)
    left, right = _terms(a), _terms(b)
    if len(left) * len(right) > MAX_TERMS * 8:
        raise Undecided
    terms: dict[Monomial, Fraction] = {}
    for (root_a, powers_a), x in left.items():
        for (root_b, powers_b), y in right.items():
            common = gcd(root_a, root_b)
            root = (root_a // common) * (root_b // common)
            if root > MAX_RADICAND:
                raise Undecided
            key = (root, _join(powers_a, powers_b))
            terms[key] = terms.get(key, Fraction(0)) + x * y * common
    return _collect(terms)


def divide(a: Value, b: Value) -> Value:
    """a / b for a rational or single-root b, and for polynomials that are multiples of each other; else undecided."""
    if isinstance(b, Fraction):
        if b == 0:
            raise Undecided
        return multiply(a, 1 / b)
    if len(b.terms) == 1:
        ((root, powers), coefficient) = next(iter(b.terms.items()))
        if not powers:  # 1 / (c sqrt r) = sqrt r / (c r)
            return multiply(a, Poly({(root, ()): 1 / (coefficient * root)}))
        return _divide_monomial(a, root, powers, coefficient)
    ratio = _ratio(_terms(a), b.terms)
    if ratio is None:
        return _divide_conjugate(a, b)
    return ratio


def power(base: Value, exponent: Value) -> Value:
    """base ** exponent for small integers, and the square root for 1/2; else undecided."""
    if not isinstance(exponent, Fraction):
        raise Undecided
    if exponent == Fraction(1, 2):
        return square_root(base)
    if exponent.denominator != 1 or (exponent <= 0 and base == 0):
        raise Undecided
    n = abs(exponent.numerator)
    if isinstance(base, Fraction):
        if n * max(base.numerator.bit_length(), base.denominator.bit_length(), 1) > MAX_BITS:
            raise Undecided
        return base**exponent.numerator
    if n > MAX_EXPONENT:
        raise Undecided
    result: Value = Fraction(1)
    for _ in range(n):
        result = multiply(result, base)
    return divide(Fraction(1), result) if exponent < 0 else result


def square_root(value: Value) -> Value:
    """The square root of a rational that is not negative; else undecided."""
    if not isinstance(value, Fraction) or value < 0:
        raise Undecided
    whole, rest = _square_free(value.numerator * value.denominator)
    outside = Fraction(whole, value.denominator)
    return outside if rest == 1 else _collect({(rest, ()): outside})


def root(value: Value, index: int) -> Value:
    """The ``index``-th root where it is rational (or a square root); else undecided."""
    if index == 2:
        return square_root(value)
    if not isinstance(value, Fraction) or value < 0 or not 2 < index <= 16:
        raise Undecided
    return Fraction(_integer_root(value.numerator, index), _integer_root(value.denominator, index))


def factorial_of(value: Value) -> Value:
    """n! for small n; else undecided."""
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        raise Undecided
    return Fraction(factorial(value.numerator))


def substitute(value: Value, known: Mapping[str, Fraction]) -> Value:
    """Replace letters by numbers where they are known."""
    if isinstance(value, Fraction):
        return value
    total: Value = Fraction(0)
    for (radicand, powers), coefficient in value.terms.items():
        term: Value = _collect({(radicand, tuple(p for p in powers if p[0] not in known)): coefficient})
        for letter, exponent in powers:
            if letter in known:
                term = multiply(term, power(known[letter], Fraction(exponent)))
        total = add(total, term)
    return total


def _terms(value: Value) -> Mapping[Monomial, Fraction]:
    if isinstance(value, Poly):
        return value.terms
    return {_ONE: value} if value else {}


def _collect(terms: Mapping[Monomial, Fraction]) -> Value:
    kept = {key: _bounded(value) for key, value in terms.items() if value}
    if len(kept) > MAX_TERMS:
        raise Undecided
    if not kept:
        return Fraction(0)
    if len(kept) == 1 and _ONE in kept:
        return kept[_ONE]
    return Poly(kept)


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Undecided
    return value


def _join(a: tuple[tuple[str, int], ...], b: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if not a or not b:
        return a or b
    powers = dict(a)
    for letter, exponent in b:
        powers[letter] = powers.get(letter, 0) + exponent
        if powers[letter] > MAX_EXPONENT:
            raise Undecided
    return tuple(sorted(powers.items()))


def _divide_monomial(a: Value, radicand: int, powers: tuple[tuple[str, int], ...], coefficient: Fraction) -> Value:
    terms: dict[Monomial, Fraction] = {}
    for (root_a, powers_a), x in _terms(multiply(a, Poly({(radicand, ()): Fraction(1)}))).items():
        left = dict(powers_a)
        for letter, exponent in powers:
            left[letter] = left.get(letter, 0) - exponent
            if left[letter] < 0:
                raise Undecided
        terms[(root_a, tuple(sorted((k, v) for k, v in left.items() if v)))] = x / (coefficient * radicand)
    return _collect(terms)


def _ratio(a: Mapping[Monomial, Fraction], b: Mapping[Monomial, Fraction]) -> Fraction | None:
    if a.keys() != b.keys():
        return None
    ratios = {a[key] / b[key] for key in a}
    return ratios.pop() if len(ratios) == 1 else None


def _divide_conjugate(a: Value, b: Poly) -> Value:
    """a / (p + q sqrt r) by the conjugate."""
    if len(b.terms) != 2 or b.letters:
        raise Undecided
    first, second = b.terms.items()
    conjugate = Poly(dict([first, (second[0], -second[1])]))
    norm = multiply(b, conjugate)
    if not isinstance(norm, Fraction) or norm == 0:
        raise Undecided
    return multiply(multiply(a, conjugate), 1 / norm)


def _square_free(n: int) -> tuple[int, int]:
    """n = whole^2 * rest with rest square-free."""
    exact = isqrt(n)
    if exact * exact == n:
        return (exact, 1) if n else (0, 1)
    if n > MAX_RADICAND:
        raise Undecided
    whole, rest, divisor = 1, 1, 2
    # Past the cube root what is left is a prime, a square of one, or a product of two distinct ones.
    while divisor * divisor * divisor <= n:
        count = 0
        while n % divisor == 0:
            n //= divisor
            count += 1
        whole *= divisor ** (count // 2)
        rest *= divisor ** (count % 2)
        divisor += 1 if divisor == 2 else 2
    exact = isqrt(n)
    return (whole * exact, rest) if exact * exact == n else (whole, rest * n)


def _integer_root(n: int, index: int) -> int:
    if n.bit_length() > MAX_BITS:
        raise Undecided
    low, high = 0, 1 << (n.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**index <= n:
            low = middle
        else:
            high = middle - 1
    if low**index != n:
        raise Undecided
    return low
