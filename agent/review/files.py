"""The decision as a YAML file that a person edits, and back.

Owns what the file says. Text from models stands in comments only, on one line, cut and stripped of control characters;
the one piece of it that is a value, a cluster's name, is quoted so that it can't break out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.review.check import Fault, faults, slimmed
from agent.review.pending import ClusterView, DraftView, Pending
from agent.review.yaml_text import Keys, Many, Node, Text, comment, quoted, read_nodes
from memory.errors import UsageError
from memory.reviews import ClusterDecision, Decisions, DraftDecision, Point
from memory.store import write_atomic

STATEMENT, SOLUTION, SHORT = 400, 800, 80
_TOP = ("round", "point", "state", "comment", "clusters", "drafts")
_CLUSTER = ("id", "action", "into", "label", "weight", "note")
_DRAFT = ("id", "action")
_ACTIONS: Mapping[str, tuple[str, ...]] = {"clusters": ("keep", "drop", "merge"), "drafts": ("keep", "veto", "accept")}
#: ``(part, place, key)`` of a decision -> its line.
Lines = Mapping[tuple[str, int | None, str | None], int]

_HEAD = """\
# Review of round {round} after {point}, of the run {run}.
# Change what you want changed, save, and go on with: remedial resume {run}
# Saved as it is, this file approves everything. Lines that begin with # are for reading only.
"""
_OF_CLUSTERS = """\
#
# action: keep, drop (no practice for it this round) or merge (then write into: the id of the cluster it joins).
# label: its name, which the teacher sees. weight: multiplies its share of the budget of {budget} examples (2 is twice).
# note: what you want to say to the teacher about it. Several lines: write note: | and indent the lines below.
"""
_OF_DRAFTS = """\
#
# action: keep leaves the verdict as it is; veto refuses an accepted draft; accept takes a refused one: you have read
# its solution and answer for it. Drafts that nobody may accept by hand stand at the end, as comments.
"""


@dataclass(frozen=True)
class Reading:
    """Decisions read from a file, and the lines they stand on."""

    decisions: Decisions
    lines: Lines = field(default_factory=dict)


def write_yaml(waiting: Pending, path: Path) -> None:
    """Write the review that a run waits for, as a file that approves everything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, as_yaml(waiting))


def as_yaml(waiting: Pending) -> str:
    """The file's text."""
    about = {
        "round": waiting.round,
        "point": waiting.point.value,
        "run": comment(waiting.run, 300),
        "budget": waiting.budget,
    }
    head = (_HEAD + (_OF_CLUSTERS if waiting.point is Point.DIAGNOSE else _OF_DRAFTS)).format(**about)
    lines = [
        head,
        f"round: {waiting.round}",
        f"point: {waiting.point.value}",
        f"state: {quoted(waiting.state)}",
        'comment: ""  # kept with the decision',
        "",
    ]
    if waiting.point is Point.DIAGNOSE:
        lines += ["clusters:", *(line for item in waiting.clusters for line in _cluster_lines(item))]
    else:
        open_ = [item for item in waiting.drafts if item.objection is None]
        closed = [item for item in waiting.drafts if item.objection is not None]
        lines += ["drafts:", *(line for item in open_ for line in _draft_lines(item))] if open_ else ["drafts: []"]
        if closed:
            lines += ["", f"# ---- {len(closed)} refused for good", ""]
            lines += [line for item in closed for line in _closed_lines(item)]
    return "\n".join(lines) + "\n"


def _cluster_lines(item: ClusterView) -> Iterator[str]:
    rate = f"{100 * item.failure_rate:.0f} %, 95 % interval {100 * item.low:.0f} to {100 * item.high:.0f} %"
    before = "" if item.parent_failures is None else f"{item.parent_failures} -> {item.failures}, "
    planned = (
        "its share is not known before the strategy chooses"
        if item.planned is None
        else f"{item.planned} examples planned"
    )
    yield f"  # {item.failures} of {item.n} failed ({rate}); {before}{item.trend.value}; {planned}"
    if item.note:
        yield f"  # {comment(item.note, STATEMENT)}"
    for example in item.examples:
        student = "no answer" if example.student is None else comment(example.student, SHORT)
        yield f"  #   {comment(example.statement, STATEMENT)}"
        yield f"  #     gold: {comment(example.answer, SHORT)}   student: {student}"
    yield f"  - id: {quoted(item.id)}"
    yield "    action: keep"
    yield f"    label: {quoted(item.label)}"
    yield "    weight: 1"
    yield '    note: ""'
    yield ""


def _draft_lines(item: DraftView) -> Iterator[str]:
    state = "accepted" if item.accepted else f"refused: {comment(item.reason, SHORT)}; you may accept it"
    yield f"  # {state}; for {comment(item.cluster, SHORT) or item.weakness_id}"
    yield from (f"  #   {line}" for line in _words(item))
    yield f"  - id: {quoted(item.id)}"
    yield "    action: keep"
    yield ""


def _closed_lines(item: DraftView) -> Iterator[str]:
    yield f"# {item.id}: {comment(item.objection or '', STATEMENT)}"
    yield from (f"#   {line}" for line in _words(item))


def _words(item: DraftView) -> Iterator[str]:
    if item.withheld:
        yield "its text is not shown"
    else:
        yield comment(item.statement, STATEMENT)
        yield f"solution: {comment(item.solution or '-', SOLUTION)}"
        yield f"answer: {comment(item.answer, SHORT)}"
    for check in item.checks:
        if check.reason or check.evidence:
            evidence = comment(f"{check.reason} {check.evidence}", STATEMENT)
            yield f"{comment(check.verifier, SHORT)} {check.outcome.value}: {evidence}"


def check_file(path: Path, waiting: Pending | None) -> Decisions:
    """The decisions of a file, as far as they change something.

    Raises:
        UsageError: a line for each fault, with the file's line.
    """
    reading = read_yaml(path)
    found = faults(waiting, reading.decisions)
    if found or waiting is None:
        raise UsageError("\n".join(f"{path}, line {_line(fault, reading.lines)}: {fault.text}." for fault in found))
    return slimmed(waiting, reading.decisions)


def _line(fault: Fault, lines: Lines) -> int:
    """The line of the key that is at fault, or of what holds it."""
    places = ((fault.part, fault.at, fault.key), (fault.part, fault.at, None), (fault.part, None, None))
    return next((lines[place] for place in places if place in lines), 1)


def read_yaml(path: Path) -> Reading:
    """Read a file; whether its decisions fit a run is `check_file`'s to say.

    Raises:
        UsageError: not YAML, or not of this shape; with the line.
    """
    root = read_nodes(path)
    reader = _Reader(path)
    reader.keys(root, _TOP, "the file")
    for key in ("round", "point", "state"):
        if key not in root.items:
            raise reader.wrong(1, f"key '{key}' is missing; `remedial review RUN` writes it")
    points = [point.value for point in Point]
    point = reader.text(root, "point")
    if point not in points:
        raise reader.wrong(root.lines["point"], f"point is {point!r}; known are {', '.join(points)}")
    decisions = Decisions(
        round=int(reader.number(root, "round", whole=True) or 0),
        point=Point(point),
        state=reader.text(root, "state") or "",
        comment=reader.text(root, "comment") or "",
        clusters=tuple(reader.cluster(at, item) for at, item in enumerate(reader.many(root, "clusters"))),
        drafts=tuple(reader.draft(at, item) for at, item in enumerate(reader.many(root, "drafts"))),
    )
    for key, line in root.lines.items():
        reader.lines.setdefault((key, None, None) if key in _ACTIONS else ("", None, key), line)
    return Reading(decisions, reader.lines)


class _Reader:
    """Takes nodes apart, and remembers lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[tuple[str, int | None, str | None], int] = {}

    def wrong(self, line: int, text: str) -> UsageError:
        return UsageError(f"{self.path}, line {line}: {text}.")

    def keys(self, node: Node, known: Sequence[str], what: str) -> Keys:
        if not isinstance(node, Keys):
            raise self.wrong(node.line, f"{what} must hold keys ({', '.join(known)}) and values")
        for key in node.items:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
                raise self.wrong(node.lines[key], f"unknown key '{key[:60]}'; {hint}")
        return node

    def many(self, node: Keys, key: str) -> Sequence[Node]:
        found = node.items.get(key)
        if found is None or (isinstance(found, Text) and found.value is None):
            return ()
        if not isinstance(found, Many):
            raise self.wrong(node.lines[key], f"{key} must be a list: a line '- id: ...' for each")
        return found.items

    def text(self, node: Keys, key: str) -> str | None:
        found = node.items.get(key)
        if found is None:
            return None
        if not isinstance(found, Text):
            raise self.wrong(node.lines[key], f"{key} must be text; put it into quotes")
        if found.value is not None and any("\ud800" <= char <= "\udfff" for char in found.value):
            raise self.wrong(node.lines[key], f"{key} holds half of a character (a lone surrogate); take it out")
        return found.value

    def number(self, node: Keys, key: str, *, whole: bool = False) -> float | None:
        text = self.text(node, key)
        if text is None:
            return None
        try:
            return int(text) if whole else float(text)
        except ValueError:
            raise self.wrong(node.lines[key], f"{key} is {text[:60]!r}; give a {'whole ' * whole}number") from None

    def _item(self, part: str, at: int, node: Node, known: Sequence[str]) -> tuple[Keys, str, str]:
        """The item's keys, its id and its action; lines are remembered."""
        keys = self.keys(node, known, f"an item of {part}")
        self.lines[part, at, None] = keys.line
        self.lines.update({(part, at, key): line for key, line in keys.lines.items()})
        name, action = self.text(keys, "id"), self.text(keys, "action") or "keep"
        if name is None:
            raise self.wrong(keys.line, f"an item of {part} has no id")
        if action not in _ACTIONS[part]:
            near = difflib.get_close_matches(action, _ACTIONS[part], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_ACTIONS[part])}"
            raise self.wrong(keys.lines["action"], f"action is {action[:60]!r}; {hint}")
        return keys, name, action

    def cluster(self, at: int, node: Node) -> ClusterDecision:
        keys, name, action = self._item("clusters", at, node, _CLUSTER)
        return ClusterDecision.model_validate(
            {
                "id": name,
                "action": action,
                "into": self.text(keys, "into"),
                "label": self.text(keys, "label"),
                "weight": self.number(keys, "weight"),
                "note": self.text(keys, "note"),
            }
        )

    def draft(self, at: int, node: Node) -> DraftDecision:
        _, name, action = self._item("drafts", at, node, _DRAFT)
        return DraftDecision.model_validate({"id": name, "action": action})
