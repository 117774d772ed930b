"""Reading the final answer out of a generated text, and comparing it with the gold answer exactly.

Light: no sympy. ``None`` from `compare` means "not decided here"; `eval.grading` then asks math-verify in a worker
process. Never raises on any text; work is linear in its length.

Decisions, with their reasons in docs/grading.md: a percent sign belongs to the value (50 is not 50 %), but a gold
answer without a sign leaves the unit to the question, so that 50 % is right for a gold 50; two answers
("3, maybe 7") are never equal to one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction

from eval.exact import Undecided, divide, letters_of, multiply
from eval.expressions import Expr, Kind, parse, same
from eval.notation import PI

VERSION = "answers-1"
MAX_ANSWER = 1000  # a longer answer is no answer
_MAX_BOX = 2000
_MAX_BOXES = 64

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)|\\boxed[ \t]+(?=[-\w.])")
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S[^\n]*)$", re.MULTILINE)
_A_LINE = re.compile(r"^[ \t*]*A:[ \t*]*(\S[^\n]*)$")
_ANSWER_LINE = re.compile(r"^[ \t*#]*(?:final[ \t]+)?answer[ \t*]*:[ \t*]*(\S[^\n]*)$", re.MULTILINE | re.IGNORECASE)
_ANSWER_IS = re.compile(r"\banswer[ \t]*(?:is|:|=|equals)[ \t]*:?[ \t]*(?=[^\s])", re.IGNORECASE)
_SENTENCE = re.compile(r"[^\n]{1,400}?(?=\.(?:\s|$)|\n|$)")
_LAST_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?")


class AnswerType(StrEnum):
    """What sort of answer an answer is: each sort is compared exactly, what is none of them is not."""

    INTEGER = "integer"
    RATIONAL = "rational"  # fraction, decimal, percent, mixed number
    EXPRESSION = "expression"  # with letters or roots
    SET = "set"  # a bare list too: its order does not matter
    TUPLE = "tuple"
    INTERVAL = "interval"
    CHOICE = "choice"  # one letter from A to E


def extract(text: str, *, allow_last_number: bool = False) -> str | None:
    r"""The final answer a text states, or None.

    In this order: the last ``\boxed{...}`` that is closed, the last ``#### x`` line, a last line ``A: x``, the last
    ``answer: x`` line, the last "answer is x"; with ``allow_last_number`` at last the last number.
    """
    found = extract_marked(text)
    if found is not None:
        return found
    match = _last(_ANSWER_LINE, text)
    if match is None and (said := _last(_ANSWER_IS, text)):
        match = _SENTENCE.match(text, said.end())
    if match is not None and (answer := _clean(match.group(match.lastindex or 0))):
        return answer
    if allow_last_number:
        match = _last(_LAST_NUMBER, text)
        return match.group().strip() if match else None
    return None


def extract_marked(text: str, *, whole: bool = False) -> str | None:
    r"""An answer set off from the prose: boxed, after ``####``, or on a last line ``A: x``.

    ``whole`` asks that nothing of it can have been cut off: a box is closed, a line has ended.
    """
    boxed = _last_box(text)
    if boxed is not None:
        return boxed
    match = _last(_HASHES, text)
    if match is None:
        body = text.rstrip()
        start = body.rfind("\n") + 1
        match = _A_LINE.match(body[start:])
        ended = len(body) < len(text) and "\n" in text[len(body) :]
    else:
        ended = match.end() < len(text)
    if match is None or (whole and not ended):
        return None
    return _clean(match.group(1)) or None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def _last_box(text: str) -> str | None:
    """The content of the last closed, non-empty box."""
    marks = [match.end() for match in _BOX.finditer(text)]
    for start in reversed(marks[-_MAX_BOXES:]):
        if text[start] != "{":
            word = re.match(r"[-\w.,/]+", text[start : start + _MAX_BOX])
            content = word.group() if word else ""
        else:
            content = _braced(text, start)
        if cleaned := _clean(content):
            return cleaned
    return None


def _braced(text: str, start: int) -> str:
    depth = 0
    for index in range(start, min(len(text), start + _MAX_BOX)):
        char = text[index]
        if char in "{}" and (index == 0 or text[index - 1] != "\\"):
            depth += 1 if char == "{" else -1
            if depth == 0:
                return text[start + 1 : index]
    return ""


_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def _clean(text: str) -> str:
    """Strip what surrounds an answer: blanks, math and markdown delimiters, a final full stop."""
    text = text[: 2 * MAX_ANSWER].strip()
    changed = True
    while changed and text:
        changed = False
        for opener, closer in _WRAPPERS:
            inner = text[len(opener) : -len(closer)]
            if text.startswith(opener) and text.endswith(closer) and inner and opener not in inner:
                text, changed = inner.strip(), True
        stripped = re.sub(r"(?<!\.)[.;:,!]+$|^[=:]\s*", "", text).strip()
        if stripped != text and not re.fullmatch(r"\d+!", text):
            text, changed = stripped, True
    return text


def answer_type(answer: str) -> AnswerType | None:
    """The type of an answer, units aside; None for prose and whatever else `compare` cannot decide exactly."""
    if len(answer) > MAX_ANSWER:
        return None
    text = _clean(answer)
    choice = _CHOICE.fullmatch(text)
    if choice and choice.group(1) <= "E":
        return AnswerType.CHOICE
    body, _ = split_unit(text)
    expr = _read(body)
    if expr is None:
        return None
    if expr.kind in (Kind.SET, Kind.LIST):
        return AnswerType.SET
    if expr.kind is not Kind.SCALAR:
        return AnswerType(expr.kind.value)
    if not isinstance(expr.value, Fraction):
        return AnswerType.EXPRESSION
    whole = expr.value.denominator == 1 and expr.decimals is None and not expr.percent
    return AnswerType.INTEGER if whole else AnswerType.RATIONAL


_CHOICE = re.compile(r"\(?\s*(?:\\text(?:bf)?\s*\{)?\s*\(?([A-J])\)?\s*\}?\s*[).]?")
_CHOSEN = re.compile(r"\(?\s*(?:\\text(?:bf)?\s*\{)?\s*\(?([A-J])(?:\)?\}?\s*$|[).:]\s.*|\)\s*\}?.*)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{2,}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\s*\{([^{}]*)\}")
_UNIT = re.compile(
    r"^(?P<body>.*?[\d)}\]%π])\s*(?P<unit>[A-Za-z][A-Za-z.'’ /\-]*(?:\^\s*\{?[23]\}?|[²³])?)$", re.DOTALL
)
_LEAD = re.compile(r"^(?:(?:a|an|the|is|total|of|about|approximately|around|exactly|only|answer|there|are)\s+)+", re.I)
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")
_HEDGE = frozenset(
    re.findall(
        r"\w+",
        """or maybe perhaps not either neither possibly probably if unless but versus vs between to from and plus minus
        times more less than over half twice double remainder""",
    )
)
_UNIT_ALIASES = {
    "hr": "hour", "h": "hour", "min": "minute", "sec": "second", "s": "second", "cm": "centimeter", "m": "meter",
    "km": "kilometer", "mm": "millimeter", "kg": "kilogram", "g": "gram", "lb": "pound", "oz": "ounce", "ft": "foot",
    "feet": "foot", "inche": "inch", "in": "inch", "mi": "mile", "centimetre": "centimeter", "metre": "meter",
    "kilometre": "kilometer", "l": "liter", "litre": "liter", "people": "person", "children": "child", "dollar": "$",
    "usd": "$", "degree": "", "percent": "%",
}  # fmt: skip
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}


def compare(answer: str, gold: str) -> bool | None:
    """Whether an answer is the gold answer: True, False, or None where that is not decided exactly."""
    if len(answer) > MAX_ANSWER:
        return False
    answer, gold = _clean(answer), _clean(gold)
    if not answer:
        return False
    if _plain(answer) == _plain(gold):
        return True
    choice = _CHOICE.fullmatch(gold)
    if choice:
        chosen = _CHOSEN.match(answer)
        return bool(chosen and chosen.group(1) == choice.group(1))
    gold_body, gold_unit = split_unit(gold)
    body, unit = split_unit(answer)
    expected, given = _read(gold_body), _read(body)
    if expected is None or given is None:
        return _compare_unread(body, given, gold_body, expected)
    if gold_unit and unit and gold_unit != unit:
        return False
    verdict = _compare_read(given, expected, bare=not gold_unit)
    if verdict is False and not gold_unit:
        return _in_multiples(given, unit, expected) or False
    return verdict


def _compare_read(given: Expr, expected: Expr, bare: bool) -> bool | None:
    if expected.kind is Kind.SCALAR and given.kind is Kind.SCALAR:
        gold, value = expected.value, given.value
        if isinstance(gold, Fraction) and isinstance(value, Fraction):
            if gold == value or _float_noise(given, expected):
                return True
            # The unit of a bare gold answer is the question's; at 1 and below the sign could be meant either way.
            return bool(given.percent and not expected.percent and bare and abs(gold) > 1 and value * 100 == gold)
        if isinstance(gold, Fraction) and value is not None and bare:
            return _letters_as_unit(given, expected)
    return same(given, expected)


def _letters_as_unit(given: Expr, expected: Expr) -> bool | None:
    """``12m`` for 12: a number times one letter, which the gold answer does not have."""
    letters = letters_of(given.value) if given.value is not None else frozenset()
    if len(letters) == 1 and PI not in letters and given.value is not None:
        try:
            unit = parse(next(iter(letters)))
            if unit is not None and unit.value is not None:
                return divide(given.value, unit.value) == expected.value
        except Undecided:
            return None
    return same(given, expected)


def _float_noise(given: Expr, expected: Expr) -> bool:
    """A decimal of six or more places that is the other value but for the last digits."""
    if max(given.decimals or 0, expected.decimals or 0) < 6:
        return False
    a, b = given.value, expected.value
    return isinstance(a, Fraction) and isinstance(b, Fraction) and abs(a - b) * 10**6 < max(Fraction(1), abs(b))


def _in_multiples(given: Expr, unit: str, expected: Expr) -> bool:
    """``5 dozen`` for 60."""
    factor = _MULTIPLES.get(unit.split(" ")[0]) if unit else None
    if factor is None or given.value is None or expected.value is None:
        return False
    try:
        return multiply(given.value, Fraction(factor)) == expected.value
    except Undecided:
        return False


def _compare_unread(body: str, given: Expr | None, gold: str, expected: Expr | None) -> bool | None:
    """At least one side is no expression. Prose is never equal to a number, and only LaTeX is left undecided."""
    if expected is not None:
        if _COMMAND.search(body) and not _has_prose(body):
            return None
        return False if isinstance(expected.value, Fraction) or _has_prose(body) else None
    if not _has_prose(gold):
        return None
    if _COMMAND.search(gold) and _COMMAND.search(body):
        return None
    # "5 feet 6 inches": the same numbers in the same units.
    return _NUMBER.findall(body) == _NUMBER.findall(gold) and _unit_words(body) == _unit_words(gold)


def _unit_words(text: str) -> list[str]:
    words = [word for word in re.findall(r"[A-Za-z]+", text.lower()) if word not in ("and", "the", "a")]
    return [_normal_unit([word], "") for word in words]


def _has_prose(text: str) -> bool:
    """Words of two letters or more that are not LaTeX commands."""
    return bool(_WORD.search(_COMMAND.sub(" ", text)))


def split_unit(text: str) -> tuple[str, str]:
    """An answer without the words after (or harmless words before) its number, and those words in a normal form.

    Words that could change the meaning ("3 or 7", "5 less than x") are left where they are.
    """
    text = _TEXT_COMMAND.sub(lambda match: f" {match.group(1)} ", text).strip()
    text = _LEAD.sub("", text)
    currency = "$" if re.match(r"\s*-?\s*\\?\$", text) else ""
    match = _UNIT.match(text)
    if match is None:
        return text, currency
    unit = match.group("unit").strip()
    words = re.findall(r"[A-Za-z]+", unit.lower())
    body = match.group("body")
    # A lone letter is a variable unless it stands apart and is a common unit.
    letter = len(unit) == 1 and not (unit in "mgshl" and text[len(body) : len(body) + 1].isspace())
    if any(word in _HEDGE for word in words) or len(words) > 6 or letter:
        return text, currency
    if words == ["percent"]:
        return body + "%", currency
    return body, _normal_unit(words, unit) or currency


def _normal_unit(words: list[str], unit: str) -> str:
    singular = [
        word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word for word in words
    ]
    power = re.search(r"[23²³]\}?$", unit)
    return " ".join(_UNIT_ALIASES.get(word, word) for word in singular) + (power.group().strip("}") if power else "")


def _read(text: str) -> Expr | None:
    """`parse` after what only answers have: ``(x, y) = (1, 2)``, ``x = 3 or x = 7``."""
    text = re.sub(r"^\(\s*[a-z](?:\s*,\s*[a-z])+\s*\)\s*=\s*", "", text)
    if re.fullmatch(r"-?\d{1,3}(?: \d{3})+", text):
        return parse(text.replace(" ", ""))
    parts = re.split(r",|\bor\b|\band\b", text)
    if 1 < len(parts) <= 20:
        named = [re.match(r"\s*([A-Za-z])\s*=\s*", part) for part in parts]
        names = {match.group(1) for match in named if match}
        if all(named) and len(names) == 1:
            text = ", ".join(part[match.end() :] for part, match in _pairs(parts, named))
        elif "," not in text and not any(named):
            text = ", ".join(parts)
    return parse(text)


def _pairs(parts: list[str], named: list[re.Match[str] | None]) -> Iterator[tuple[str, re.Match[str]]]:
    for part, match in zip(parts, named, strict=True):
        if match is not None:
            yield part, match


def _plain(text: str) -> str:
    """Text for literal comparison: no blanks or LaTeX spacing; words without case, single letters with it."""
    text = _TEXT_COMMAND.sub(lambda match: match.group(1), text)
    text = re.sub(r"\\(?:left|right)(?![A-Za-z])|\\[!,;: ]|\s+|\\?\$", "", text).replace("\\dfrac", "\\frac")
    return re.sub(r"[A-Za-z]{2,}", lambda match: match.group().lower(), text)
