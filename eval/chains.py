"""Finding equation chains in worked text: where each begins and ends, and its sides without units and words.

Owns the scanner over prose, LaTeX and calculator notes. Decides nothing: `eval.expressions` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from eval.notation import Expr, parse

MAX_RUN = 80  # pieces looked back from an equals sign

_LEADING_ZERO = re.compile(r"0\d")


@dataclass(frozen=True)
class Side:
    """One side of a chain.

    Attributes:
        text: what is to be read, units dropped; None where it is no whole expression.
        units: words and unit letters that stood next to its numbers, without a plural s.
        word: a word or letter stands where the expression should be.
        unsure: it may be part of something larger, so that a mismatch proves nothing.
    """

    text: str | None
    units: frozenset[str] = frozenset()
    word: bool = False
    unsure: bool = False

    @property
    def label(self) -> bool:
        """A bare number with a unit, as at the head of ``2 days = 2*24 = 48``: it names what is computed."""
        return bool(self.units) and self.text is not None and self.text.replace(",", "").replace(".", "").isdigit()

    @property
    def expr(self) -> Expr | None:
        """The side as an expression, where it is understood."""
        return _parsed(self.text) if self.text else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Expr | None:
    return parse(text)


@dataclass(frozen=True)
class Chain:
    """Sides joined by ``=`` or an approximate sign; ``relations[i]`` stands before ``sides[i + 1]``."""

    sides: tuple[Side, ...]
    relations: tuple[str, ...]
    start: int
    end: int


_NUM = r"\d{1,3}(?:,\d{3})+(?![\d,]*\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_SCAN = re.compile(
    r"(?P<clock>\d+:\d+|\d+ : \d+)"
    rf"|(?P<num>{_NUM})"
    r"|(?P<unit>\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]{0,80}\}|/\s?(?:[A-Za-z]{2,})|[A-Za-z]+(?:['’\-][A-Za-z]+)+|[A-Za-z]{2,}|%\s?of\b)"
    r"|(?P<letter>(?<!\\)[A-Za-z]|π)"
    r"|(?P<cmd>\\[A-Za-z]+|√)"
    r"|(?P<stop><=|>=|!=|:=|=>|==|\\\\|[;?]|\.(?=\s|$)|,|:)"
    r"|(?P<eq>=|≈)"
    r"|(?P<percent>\\?%)"
    r"|(?P<money>\\?\$|€|£)"
    r"|(?P<op>\*\*|[-+*/^×·÷−–⋅∗])"
    r"|(?P<open>[({])|(?P<close>[)}])"
    r"|(?P<bang>!(?=\s*[-+*/=)]))"
    r"|(?P<sup>[²³])"
    r"|(?P<glue>&|\\[()\[\],;!: ])"
    r"|(?P<space>[^\S\n]+)"
    r"|(?P<other>[\s\S])"
)
_NOTE = re.compile(r"<<([^<>\n]{0,300})>>")
_CONTINUED = re.compile(r"\n(?=\s*&?\s*=)")
_OPERATORS = {"\\times", "\\cdot", "\\div", "\\ast"}
_MATH = {"√", "\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "\\pi", "\\boxed"}
_APPROXIMATE = {"\\approx", "\\simeq", "≈"}
#: Words that stand for an operation: an expression that begins right after one is not whole.
_OPERATION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """plus minus times divided multiplied half twice double triple third quarter squared cubed subtract add
        mod remainder rem""",
    )
)
#: Words after which an expression may be a part of something larger.
_PART_WORDS = frozenset(re.findall(r"\w+", "of by over less more than from into"))
#: ... but not in "a total of".
_WHOLE_WORDS = frozenset(re.findall(r"\w+", "total sum cost price amount average length area perimeter rate"))
#: Words that end a unit phrase.
_STOP_WORDS = _OPERATION_WORDS | frozenset(
    re.findall(
        r"\w+",
        """is are was were and or so then thus hence gives give equals equal means get gets we he she they it i the
        which that since because if when where for have has had let makes make total answer now but therefore in
        on at to with by over less more than from into of""",
    )
)


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: str
    text: str
    start: int
    end: int
    spaced: bool


def find_chains(text: str) -> list[Chain]:
    """All chains, those of calculator notes among them."""
    chains: list[Chain] = []
    notes = [(match.start(1), match.group(1)) for match in _NOTE.finditer(text)]
    text = _NOTE.sub(lambda match: " " * len(match.group()), text)
    text = _CONTINUED.sub(" ", text)
    for start, note in notes:
        chains += _scan(note, start)
    position = 0
    for line in text.split("\n"):
        if "=" in line or "≈" in line or "\\approx" in line:
            chains += _scan(line, position)
        position += len(line) + 1
    return sorted(chains, key=lambda chain: (chain.start, chain.end))


def _scan(line: str, offset: int) -> list[Chain]:
    """Cut a line at sentence ends, then read each part around its equals signs."""
    chains: list[Chain] = []
    segment: list[_Piece] = []
    for piece in _pieces(line, offset):
        if piece.kind in ("stop", "other"):
            chains += _chains_of(segment)
            segment = []
        else:
            segment.append(piece)
    return chains + _chains_of(segment)


def _pieces(line: str, offset: int) -> list[_Piece]:
    found: list[_Piece] = []
    spaced = True
    for match in _SCAN.finditer(line):
        kind, text = match.lastgroup or "other", match.group()
        if kind in ("space", "glue"):
            spaced = True
            continue
        if kind == "cmd":
            if text in ("\\left", "\\right"):
                continue
            if text in _APPROXIMATE:
                kind, text = "eq", "≈"
            elif text in _OPERATORS:
                kind = "op"
            elif text not in _MATH:
                kind = "other"
        if kind == "unit" and text.startswith("%"):  # "20% of 50"
            found.append(_Piece("percent", "%", offset + match.start(), offset + match.start() + 1, False))
            kind, text = "op", "*"
        found.append(_Piece(kind, text, offset + match.start(), offset + match.end(), spaced))
        spaced = False
    return _resolve_words(found)


def _resolve_words(pieces: list[_Piece]) -> list[_Piece]:
    """``1/2 of 50`` and ``12 x $3`` become products; a lone letter after a space may be a unit."""
    result: list[_Piece] = []
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        numeric = following is not None and following.kind in ("num", "money")
        if numeric and result:
            before = result[-1]
            fraction = len(result) > 2 and before.kind == "num" and result[-2].text == "/"
            times = piece.text in ("x", "X") and before.kind in ("num", "close", "percent", "unit")
            if times or (piece.text == "of" and fraction):
                piece = _Piece("op", "of" if piece.text == "of" else "*", piece.start, piece.end, True)
        result.append(piece)
    return result


def _chains_of(segment: list[_Piece]) -> list[Chain]:
    """Chains of one sentence part: a run between two equals signs that is no expression parts two chains."""
    marks = [index for index, piece in enumerate(segment) if piece.kind == "eq"]
    if not marks:
        return []
    chains: list[Chain] = []
    sides: list[Side] = []
    relations: list[str] = []
    side, start = _left(segment[: marks[0]])
    sides.append(side)
    begin = start if start is not None else segment[marks[0]].start
    for number, mark in enumerate(marks):
        relations.append(segment[mark].text)
        stop = marks[number + 1] if number + 1 < len(marks) else len(segment)
        run = segment[mark + 1 : stop]
        side, end, used = _right(run)
        # "3/3 - 2/3 = 1/3 of the $150" is no product
        if any(piece.text == "of" for piece in run[:used]) or (used < len(run) and _goes_on(run, used)):
            side = replace(side, unsure=True)
        sides.append(side)
        finish = end if end is not None else segment[mark].end
        if stop < len(segment) and used != len(run):
            chains.append(Chain(tuple(sides), tuple(relations), begin, finish))
            side, start = _left(run, used)
            sides, relations = [side], []
            begin = start if start is not None else segment[stop].start
        elif stop == len(segment):
            chains.append(Chain(tuple(sides), tuple(relations), begin, finish))
    return chains


def _left(run: list[_Piece], floor: int = 0) -> tuple[Side, int | None]:
    """The longest expression that ends a run, and where it starts; pieces before ``floor`` belong to another chain."""
    best: tuple[Side, int] | None = None
    for index in range(len(run) - 1, max(floor - 1, len(run) - MAX_RUN), -1):
        if not _may_start(run, index):
            continue
        side, _, used = _right(run[index:])
        if used == len(run) - index and side.text is not None:
            best = (side, index)
    if best is None:
        return Side(None, word=bool(run) and run[-1].kind in ("unit", "letter")), run[0].start if run else None
    side, index = best
    first, before = run[index], run[index - 1] if index else None
    if _LEADING_ZERO.match(first.text):  # "100, 000": the tail of a number
        return Side(None), first.start
    if first.kind == "op" and (first.text == "+" or run[index + 1].spaced):
        if before is not None or first.text == "+":
            return Side(None), first.start  # "apples - 3", or the end of something longer
        bullet, _, _ = _right(run[index + 1 :])  # "- 3 + 4 = 7" in a list
        return replace(bullet, unsure=True), run[index + 1].start
    if before is None:
        return side, first.start
    if before.kind in ("op", "bang", "percent", "clock") or before.text.lower() in _OPERATION_WORDS:
        return Side(None), first.start
    earlier = run[index - 2] if index > 1 else None
    if earlier is not None and earlier.text.lower() in _OPERATION_WORDS:  # "half of 50"
        return Side(None), first.start
    if before.kind == "letter" and not first.spaced:  # "D1 = 3"
        return Side(None, word=True), first.start
    part = before.text.lower() in _PART_WORDS and (earlier is None or earlier.text.lower() not in _WHOLE_WORDS)
    inside = before.kind == "open" and earlier is not None and earlier.kind in ("num", "letter", "op", "cmd")
    mixed = before.text == "and" and run[index + 1 : index + 2] != [] and run[index + 1].text == "/"
    unsure = side.unsure or part or inside or mixed or before.kind in ("close", "num")
    return replace(side, unsure=unsure), first.start


def _goes_on(run: list[_Piece], used: int) -> bool:
    """What follows a right side may belong to it: ``= 98 - least``, ``= 18 000``, ``= 1 and 1/3``."""
    piece = run[used]
    fraction = used + 2 < len(run) and run[used + 2].text == "/"
    return piece.kind in ("op", "num", "open", "letter") or (piece.text == "and" and fraction)


def _may_start(run: list[_Piece], index: int) -> bool:
    piece = run[index]
    if piece.kind in ("num", "money", "open", "cmd", "letter"):
        return True
    return piece.kind == "op" and piece.text in "-+−–"


def _right(run: list[_Piece]) -> tuple[Side, int | None, int]:
    """The longest expression that begins a run: its side, its end in the text, and how many pieces it takes."""
    parts: list[str] = []
    units: set[str] = set()
    depth, used, end = 0, 0, None
    operand = False  # whether the last thing read can end an expression
    keep: tuple[int, int, frozenset[str]] | None = None
    skip = 0
    for index, piece in enumerate(run):
        kind, text = piece.kind, piece.text
        if skip:
            skip -= 1
            continue
        if (kind == "sup" or text == "^") and index and _is_unit(run, index - 1):  # cm^2
            skip = 0 if kind == "sup" else 1
            if keep is not None:
                keep = (index + 1 + skip, keep[1], keep[2])
            continue
        if kind == "num":
            if operand and run[index - 1].kind not in ("cmd",) and not _mixed(run, index):
                break
            parts.append((" " if piece.spaced else "") + text)
            operand = True
        elif kind == "letter":
            if operand and piece.spaced and run[index - 1].kind in ("num", "percent", "unit"):
                if _is_unit(run, index):
                    units.add(text)
                    if depth == 0:
                        keep = (index + 1, len(parts), frozenset(units))
                    continue
                if text in "aAI":
                    break
            elif operand and piece.spaced and run[index - 1].kind == "letter":
                break
            parts.append((" " if piece.spaced else "") + text)
            operand = True
        elif kind == "money":
            if operand:
                # a closing math delimiter, or a new amount
                following = run[index + 1] if index + 1 < len(run) else None
                if following is not None and following.kind in ("num", "letter"):
                    break
            continue
        elif kind == "cmd":
            parts.append("\\sqrt" if text == "√" else text)
            operand = text == "\\pi"
        elif kind == "open":
            depth += 1
            parts.append(text)
            operand = False
        elif kind == "close":
            depth -= 1
            if depth < 0 or not operand:
                break
            parts.append(text)
            operand = True
        elif kind == "percent":
            if not operand:
                break
            parts.append("%")
        elif kind in ("bang", "sup"):
            if not operand:
                break
            parts.append(text)
        elif kind == "op":
            if not operand and text not in "-+−–":
                break
            parts.append(
                " " * piece.spaced
                + {"\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "of": "*"}.get(text, text)
            )
            operand = False
        elif kind == "unit":
            if text.lower() in ("remainder", "rem"):
                return Side(None), piece.end, index
            if not operand or text.lower() in _STOP_WORDS:
                break
            units.add(text.lower().rstrip("s"))
        else:
            break
        if operand and depth == 0 and kind != "unit":
            keep = (index + 1, len(parts), frozenset(units))
            end = piece.end
        if kind == "unit" and depth == 0:
            keep = (index + 1, keep[1] if keep else 0, frozenset(units))
    if keep is None:
        word = bool(run) and run[0].kind in ("unit", "letter")
        return Side(None, word=word), None, 0
    used, count, found = keep
    text = "".join(parts[:count]).strip()
    if end is None:
        end = run[used - 1].end
    return Side(text, found), end, used


def _mixed(run: list[_Piece], index: int) -> bool:
    """The number at ``index`` begins the fraction of a mixed number: ``2 1/2``."""
    if run[index - 1].kind != "num" or index + 2 >= len(run):
        return False
    return run[index + 1].text == "/" and run[index + 2].kind == "num"


def _is_unit(run: list[_Piece], index: int) -> bool:
    """A unit word, or a lone letter such as m or g that stands apart after a number."""
    piece = run[index]
    apart = piece.spaced and index > 0 and run[index - 1].kind in ("num", "percent", "unit")
    return piece.kind == "unit" or (piece.kind == "letter" and apart and piece.text in "mgshlLkcd")
