"""Reading mathematical notation, LaTeX or plain, into exact values.

Owns the tokenizer and the precedence parser; evaluates while it reads. Text is hostile: length, depth, digits
and exponents are bounded, and what is ambiguous or unknown is None, never a guess. Knows nothing of prose
(`eval.expressions` finds equations in it) or of grading (`eval.answers`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from eval.exact import (
    Undecided,
    Value,
    add,
    divide,
    factorial_of,
    letters_of,
    multiply,
    negate,
    power,
    root,
    variable,
)

MAX_CHARS = 400
MAX_DEPTH = 24
MAX_DIGITS = 400
MAX_TOKENS = 300

PI = "π"


class Kind(StrEnum):
    """What sort of thing an expression is. ``LIST`` is a bare ``1, 2``, whose order does not matter."""

    SCALAR = "scalar"
    TUPLE = "tuple"
    SET = "set"
    LIST = "list"
    INTERVAL = "interval"


@dataclass(frozen=True)
class Expr:
    """A read expression.

    Attributes:
        kind: scalar or a collection.
        value: the exact value of a scalar, else None.
        items: the members of a collection.
        brackets: opening and closing bracket of an interval or tuple, such as ``[)``.
        name: the letter in an ``x = ...`` prefix.
        percent: the scalar was written with a percent sign (already divided by 100).
        decimals: digits after the point of a plain decimal literal, else None.
    """

    kind: Kind
    value: Value | None = None
    items: tuple[Expr, ...] = ()
    brackets: str = ""
    name: str | None = None
    percent: bool = False
    decimals: int | None = None


_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_CHARS = str.maketrans(
    {
        "×": "*", "·": "*", "⋅": "*", "∗": "*", "∙": "*", "÷": "/", "∕": "/", "⁄": "/", "−": "-", "–": "-",
        "\u00a0": " ", "\u202f": " ", "\u2009": " ", "√": "\\sqrt ", "²": "^2", "³": "^3", "≈": "≈", "∞": "∞",
        "⟨": "?", "⟩": "?",
        **{char: f" {text} " for char, text in _VULGAR.items()},
    }
)  # fmt: skip
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|displaystyle|bigl|bigr|big|Big)(?![A-Za-z])", ""),
        (r"\\[!,;:> ]|~|\\quad\b|\\qquad\b", " "),
        (r"\\[dtc]frac", r"\\frac"),
        (r"(?<![A-Za-z\\])sqrt\s*(?=\()", r"\\sqrt"),
        (r"\\(?:cdot|times|ast)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\pi(?![A-Za-z])", PI),
        (r"\\infty(?![A-Za-z])|\binfinity\b", "∞"),
        (r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|°", ""),
        (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"\\sqrt\s*(\d)(?!\d)", r"\\sqrt{\1}"),
        (r"\\sqrt\s*([a-zπ])(?![a-z])", r"\\sqrt{\1}"),
        (r"\{,\}", ","),
        (r"\\%", "%"),
        (r"\\\$|\$|€|£|\\\(|\\\)|\\\[|\\\]", " "),
        (r"\\\{", "⟨"),  # a set's brace, as against a group's
        (r"\\\}", "⟩"),
        (r"\*\*", "^"),
    )
)
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+"
_TOKEN = re.compile(
    rf"\s*(?:(?P<num>{_NUMBER})|(?P<cmd>\\[A-Za-z]+)|(?P<word>[A-Za-z]+|π|∞)|(?P<op>[-+*/^%!(){{}}\[\],⟨⟩]))"
)
_NAME = re.compile(r"\s*([A-Za-z])\s*(?:=|\\in(?![A-Za-z]))\s*(?!=)")
_PLAIN = re.compile(r"[-+]?\d{1,40}")
_DECIMAL = re.compile(r"[-+]?\d*\.(\d+)")
_CLOSER = {"(": ")", "[": "]", "⟨": "⟩", "{": "}"}
#: Runs of letters read as products; any other run is a word.
_PRODUCT = re.compile(r"[xyz]+|[abc]+|mn|pq|rs|π[a-z]")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # num, cmd, word, op
    text: str
    spaced: bool  # white space before it


def parse(text: str) -> Expr | None:
    """Read one expression; None where it is too large, ambiguous, or not one at all. Never raises."""
    if len(text) > MAX_CHARS:
        return None
    if _PLAIN.fullmatch(text):  # most answers: skip the rest
        return Expr(Kind.SCALAR, Fraction(int(text)))
    try:
        name, body = None, rewrite(text)
        match = _NAME.match(body)
        if match:
            name, body = match.group(1), body[match.end() :]
        expr = _collection(_tokens(body))
    except (Undecided, RecursionError):
        return None
    if name is not None:
        expr = Expr(expr.kind, expr.value, expr.items, expr.brackets, name, expr.percent, expr.decimals)
    return expr


def rewrite(text: str) -> str:
    """LaTeX spacing, aliases, signs and currency brought to one plain form."""
    text = text.translate(_CHARS)
    if "\\" in text or not text.isalnum():
        for pattern, replacement in _REWRITES:
            text = pattern.sub(replacement, text)
    return text.strip()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None or len(found) >= MAX_TOKENS:
            raise Undecided
        kind = match.lastgroup
        piece = match.group(kind)
        spaced = match.start(kind) > position
        if kind == "word" and len(piece) > 1:
            if not _PRODUCT.fullmatch(piece):
                raise Undecided
            found += [_Token("word", letter, spaced and index == 0) for index, letter in enumerate(piece)]
        else:
            found.append(_Token(kind, piece, spaced))
        position = match.end()
    return found


def _collection(tokens: list[_Token]) -> Expr:
    """A scalar, or a tuple, set, interval or bare list of scalars."""
    if not tokens:
        raise Undecided
    parts = _split(tokens)
    if len(parts) > 1:
        if any("," in token.text and not token.spaced for part in parts[1:] for token in part):
            raise Undecided  # 1,2,345
        return Expr(Kind.LIST, items=tuple(_scalar(part) for part in parts))
    first, last = tokens[0].text, tokens[-1].text
    # "{1,2}" without backslashes is a set too; a lone group is only a group.
    if first in "([⟨{" and last in ")]⟩}" and tokens[0].kind == "op" and _encloses(tokens):
        inner = _split(tokens[1:-1])
        if first == "⟨" or (first == "{" and len(inner) > 1):
            if last != _CLOSER[first]:
                raise Undecided
            return Expr(Kind.SET, items=tuple(_scalar(part) for part in inner if part or len(inner) > 1))
        if len(inner) > 1:
            if any("," in token.text for part in inner for token in part):
                raise Undecided
            items = tuple(_scalar(part, unbounded=len(inner) == 2) for part in inner)
            plain = first == "(" and last == ")" and not any(_unbounded(item) for item in items)
            if plain or len(items) != 2:
                if first + last != "()":
                    raise Undecided
                return Expr(Kind.TUPLE, items=items, brackets="()")
            return Expr(Kind.INTERVAL, items=items, brackets=first + last)
        if len(tokens) == 3 and tokens[1].kind == "num" and "," in tokens[1].text:
            raise Undecided  # (1,234): a pair or a number
        if first != "(" and first != "{":
            raise Undecided
    return _scalar(tokens)


def _split(tokens: list[_Token]) -> list[list[_Token]]:
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "op" and token.text in "([{⟨":
            depth += 1
        elif token.kind == "op" and token.text in ")]}⟩":
            depth -= 1
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _encloses(tokens: list[_Token]) -> bool:
    """The first bracket closes only at the last token."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "op" and token.text in "([{⟨":
            depth += 1
        elif token.kind == "op" and token.text in ")]}⟩":
            depth -= 1
            if depth == 0:
                return index == len(tokens) - 1
    return False


def _unbounded(expr: Expr) -> bool:
    return expr.value is not None and "∞" in letters_of(expr.value)


def _scalar(tokens: list[_Token], unbounded: bool = False) -> Expr:
    parser = _Parser(tokens)
    value = parser.expression(0)
    if parser.position != len(tokens):
        raise Undecided
    if "∞" in letters_of(value) and not unbounded:
        raise Undecided
    text = "".join(token.text for token in tokens)
    decimal = _DECIMAL.fullmatch(text.rstrip("%").replace(",", ""))
    return Expr(
        Kind.SCALAR,
        value,
        percent=tokens[-1].text == "%",
        decimals=len(decimal.group(1)) if decimal else None,
    )


class _Parser:
    """Precedence climbing over one scalar's tokens; ``position`` is the next token."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.position = tokens, 0

    def peek(self, ahead: int = 0) -> _Token | None:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def at(self, text: str) -> bool:
        token = self.peek()
        return token is not None and token.text == text

    def take(self, text: str) -> None:
        if not self.at(text):
            raise Undecided
        self.position += 1

    def expression(self, depth: int) -> Value:
        """Sums."""
        if depth > MAX_DEPTH:
            raise Undecided
        total = self.term(depth)
        while (token := self.peek()) is not None and token.kind == "op" and token.text in "+-":
            self.position += 1
            part = self.term(depth)
            total = add(total, part if token.text == "+" else negate(part))
        return total

    def term(self, depth: int) -> Value:
        """Products and quotients; a juxtaposition after a slash is ambiguous (1/2x) and undecided."""
        value = self.signed(depth)
        divided = slash_spaced = False
        while (token := self.peek()) is not None:
            if token.kind == "op" and token.text in "*/":
                self.position += 1
                following = self.peek()
                spaced = token.spaced or (following is not None and following.spaced)
                factor = self.signed(depth)
                if token.text == "/":
                    if divided and spaced != slash_spaced:
                        raise Undecided  # 28 / 1/5 is meant as 28 / (1/5)
                    divided, slash_spaced = True, spaced
                value = multiply(value, factor) if token.text == "*" else divide(value, factor)
            elif self.is_times(token):
                self.position += 1
                value = multiply(value, self.signed(depth))
            elif token.kind in ("cmd", "word") or token.text in "({":
                if divided:
                    raise Undecided
                value = multiply(value, self.powered(depth))
            else:
                return value
        return value

    def is_times(self, token: _Token) -> bool:
        """An x between a number and a number is a times sign."""
        following = self.peek(1)
        before = self.tokens[self.position - 1] if self.position else None
        return (
            token.text in ("x", "X")
            and following is not None
            and following.kind == "num"
            and before is not None
            and (before.kind == "num" or before.text in ")%}")
        )

    def signed(self, depth: int) -> Value:
        """Unary signs."""
        sign = 1
        for _ in range(3):
            if self.at("-"):
                sign = -sign
            elif not self.at("+"):
                break
            self.position += 1
        value = self.powered(depth)
        return value if sign > 0 else negate(value)

    def powered(self, depth: int) -> Value:
        """An atom with exponents, factorials and percent signs."""
        value = self.atom(depth)
        while (token := self.peek()) is not None and token.kind == "op" and token.text in "^!%":
            self.position += 1
            if token.text == "^":
                value = power(value, self.exponent(depth + 1))
                if self.at("^"):
                    raise Undecided  # 2^3^2 is read both ways
            elif token.text == "!":
                value = factorial_of(value)
            else:
                following = self.peek()
                if following is not None and (following.kind in ("num", "word", "cmd") or following.text in "(%"):
                    raise Undecided  # a remainder, perhaps
                value = divide(value, Fraction(100))
        return value

    def exponent(self, depth: int) -> Value:
        if self.at("-"):
            self.position += 1
            return negate(self.atom(depth))
        return self.atom(depth)

    def group(self, closer: str, depth: int) -> Value:
        value = self.expression(depth + 1)
        self.take(closer)
        return value

    def atom(self, depth: int) -> Value:
        token = self.peek()
        if token is None or depth > MAX_DEPTH:
            raise Undecided
        self.position += 1
        if token.kind == "num":
            return self.number(token)
        if token.kind == "word":
            return variable(token.text)
        if token.text in ("(", "[", "{"):
            return self.group(_CLOSER[token.text], depth)
        if token.text == "\\frac":
            return self.fraction(depth)
        if token.text == "\\sqrt":
            index = 2
            if self.at("["):
                self.position += 1
                wanted = self.group("]", depth)
                if not isinstance(wanted, Fraction) or wanted.denominator != 1:
                    raise Undecided
                index = wanted.numerator
            return root(self.braced(depth), index)
        if token.text == "\\boxed":
            return self.braced(depth)
        raise Undecided

    def fraction(self, depth: int) -> Value:
        numerator = self.braced(depth)
        return divide(numerator, self.braced(depth))

    def braced(self, depth: int) -> Value:
        if self.at("("):
            self.take("(")
            return self.group(")", depth)
        self.take("{")
        return self.group("}", depth)

    def number(self, token: _Token) -> Value:
        """A literal, or a mixed number: an integer right before a literal proper fraction."""
        value = _literal(token)
        following = self.peek()
        if following is None or value.denominator != 1 or "." in token.text:
            self.no_number(following)
            return value
        if following.kind == "num" and following.spaced:
            slash, below = self.peek(1), self.peek(2)
            after = self.peek(3)
            if slash is None or below is None or slash.text != "/" or below.kind != "num":
                raise Undecided
            if after is not None and (after.text in "^!(" or after.kind in ("word", "cmd", "num")):
                raise Undecided
            self.position += 3
            return value + _proper(_literal(following), _literal(below))
        if following.text == "\\frac":
            start = self.position
            self.position += 1
            above, below_value = self.braced_literal(), self.braced_literal()
            if above is None or below_value is None or not 0 < above < below_value:
                self.position = start
                return value
            return value + above / below_value
        self.no_number(following)
        return value

    def braced_literal(self) -> Fraction | None:
        opener, inner, closer = self.peek(), self.peek(1), self.peek(2)
        if opener is None or inner is None or closer is None:
            return None
        if opener.text != "{" or inner.kind != "num" or closer.text != "}" or "." in inner.text:
            return None
        self.position += 3
        return _literal(inner)

    @staticmethod
    def no_number(following: _Token | None) -> None:
        if following is not None and following.kind == "num":
            raise Undecided


def _literal(token: _Token) -> Fraction:
    text = token.text.replace(",", "")
    if len(text) > MAX_DIGITS:
        raise Undecided
    whole, _, decimals = text.partition(".")
    if not decimals:
        return Fraction(int(whole or "0"))
    return Fraction(int((whole or "0") + decimals), 10 ** len(decimals))


def _proper(above: Fraction, below: Fraction) -> Fraction:
    if above.denominator != 1 or below.denominator != 1 or not 0 < above < below:
        raise Undecided
    return above / below
