"""The tables of a comparison as rows of text, laid out by the terminal and by the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.report.comparison_words import MARKS, bounds, count, gain, level, mean, name, p_value, points, share

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A title, a heading a column, and rows of as many cells; headings and cells may break lines to stay narrow.

    ``text`` names the columns that are read as words.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: frozenset[str] = frozenset({"arm", "pair", "cluster", "verdict", "marks"})
    note: str = ""

    def without(self, *headings: str) -> Grid:
        """The same table, fewer columns."""
        kept = [at for at, heading in enumerate(self.headings) if heading not in headings]
        return Grid(
            self.title,
            tuple(self.headings[at] for at in kept),
            tuple(tuple(row[at] for at in kept) for row in self.rows),
            self.text,
            self.note,
        )


def arms_grid(found: Found) -> Grid:
    """Means with intervals over seeds; beside them the change over the base and the marks, where arms were run."""
    ran = any(arm.get("change") for arm in found["arms"])
    marked = any(arm.get("marks") for arm in found["arms"])
    headings = ["arm", "seeds", "mean %", "interval"]
    headings += ["change over base", "p"] if ran else []
    headings += ["runs\ndisagree" if ran else "runs disagree"] + (["marks"] if marked else [])
    rows = []
    for arm in found["arms"]:
        apart, change = arm.get("within_arm_disagreement"), arm.get("change") or {}
        row = [name(arm["arm"]), str(arm["seeds"]), share(arm["mean"], 2), bounds(arm, "")]
        row += [gain(change), p_value(change.get("p"))] if ran else []
        row += ["-" if apart is None else f"{apart:.1f} %"]
        row += [", ".join(name(mark) for mark in arm.get("marks") or ()) or "-"] if marked else []
        rows.append(tuple(row))
    used = dict.fromkeys(mark for arm in found["arms"] for mark in arm.get("marks") or ())
    note = "; ".join(f"{name(mark)}: {MARKS[mark]}" for mark in used if mark in MARKS)
    return Grid(f"arms, {level(found)} interval over seeds", tuple(headings), tuple(rows), note=note)


def pairs_grid(found: Found) -> Grid:
    """Paired differences with intervals, p-values and verdicts."""
    rows = tuple(
        (
            f"{name(pair['a'])}\n- {name(pair['b'])}",
            "-" if pair["difference"] is None else f"{pair['difference']:+.2f}",
            bounds(pair),
            p_value(pair["p"]),
            p_value(pair["p_holm"]),
            name(pair["verdict"]),
        )
        for pair in found["pairs"]
    )
    headings = ("pair", "difference", "interval", "p", "p Holm", "verdict")
    return Grid(f"differences in points, {level(found)} interval over new items and runs", headings, rows)


def effort_grid(found: Found) -> Grid | None:
    """What each arm used; None where no arm tells."""
    if not any(arm.get("new_examples") is not None for arm in found["arms"]):
        return None
    rows = tuple(
        (
            name(arm["arm"]),
            f"{count(arm.get('new_examples'))} of {count(arm.get('requested'))}",
            f"{count(arm.get('accepted'))} of {count(arm.get('drafted'))}",
            count(arm.get("teacher_tokens")),
            count(arm.get("train_tokens")),
        )
        for arm in found["arms"]
    )
    headings = ("arm", "new of\nwanted", "accepted\nof drafted", "teacher\ntokens", "training\ntokens")
    return Grid("what was used, means a run", headings, rows, note="teacher tokens include those of refused drafts")


#: Heading and key of what the points gained are divided by.
YIELDS = (
    ("1,000\naccepted", "per_1000_accepted"),
    ("1,000\ngenerated", "per_1000_generated"),
    ("million\nteacher tokens", "per_million_teacher_tokens"),
    ("million\ntraining tokens", "per_million_train_tokens"),
)


def yield_grid(found: Found) -> Grid | None:
    """Points gained over the base for what was used; None where no arm tells."""
    if not any(arm.get(key) is not None for arm in found["arms"] for _, key in YIELDS):
        return None
    rows = tuple((name(arm["arm"]), *(points(arm.get(key)) for _, key in YIELDS)) for arm in found["arms"])
    title = "points gained over the base per"
    return Grid(title, ("arm", *(heading for heading, _ in YIELDS)), rows, note="-: none was used")


def where_grid(found: Found) -> Grid | None:
    """The change on targeted and untargeted items and their difference; None where no arm tells."""
    arms = found["arms"]
    if not any(arm.get(key) for arm in arms for key in ("targeted", "untargeted", "did")):
        return None
    rows = tuple(
        (
            name(arm["arm"]),
            gain(arm.get("targeted")),
            gain(arm.get("untargeted")),
            gain(arm.get("did")),
            p_value((arm.get("did") or {}).get("p")),
        )
        for arm in arms
    )
    sizes = {key: sorted({arm[key]["items"] for arm in arms if arm.get(key)}) for key in ("targeted", "untargeted")}
    n = {key: " or ".join(f"{size:,}" for size in found_sizes) or "no" for key, found_sizes in sizes.items()}
    note = (
        f"targeted: {n['targeted']} items whose nearest probe problem the base failed; untargeted: {n['untargeted']} "
        "items where it was solved; difference: targeted minus untargeted"
    )
    title = "change over the base by where the failures were, in points"
    return Grid(title, ("arm", "targeted", "untargeted", "difference", "p"), rows, note=note)


def pair_where_grid(found: Found) -> Grid | None:
    """Differences in differences of the pairs; None where there is none."""
    rows = tuple(
        (f"{name(pair['a'])}\n- {name(pair['b'])}", gain(pair["did"]), p_value(pair["did"].get("p")))
        for pair in found["pairs"]
        if pair.get("did")
    )
    if not rows:
        return None
    note = "above 0: the first arm's lead is larger on targeted items; p without Holm"
    title = "differences in differences: targeted minus untargeted, in points"
    return Grid(title, ("pair", "difference", "p"), rows, note=note)


def curves_grid(found: Found) -> Grid | None:
    """Mean accuracy by budget; None where only one budget was run."""
    curves = found.get("curves")
    if not curves or not curves.get("arms"):
        return None
    budgets = curves["budgets"]
    rows = []
    for arm, entries in curves["arms"].items():
        at = {entry["budget"]: mean(entry) for entry in entries}
        rows.append((name(arm), *(at.get(budget, "-").replace(" [", "\n[") for budget in budgets)))
    title = f"accuracy in % by number of new examples, {level(found)} interval over seeds"
    return Grid(title, ("arm", *(f"{budget:,}" for budget in budgets)), tuple(rows))


def clusters_grid(found: Found) -> Grid | None:
    """The change over the base in each cluster; None where there are no clusters."""
    clusters = found.get("clusters")
    if not clusters:
        return None
    arms = [arm["arm"] for arm in found["arms"]]
    rows = tuple(
        (
            name(cluster["label"], 120),
            count(cluster["items"]),
            *(gain((cluster.get("gains") or {}).get(arm)).replace(" [", "\n[") for arm in arms),
        )
        for cluster in clusters
    )
    title = f"change over the base by cluster, in points, {level(found)} interval"
    return Grid(title, ("cluster", "items", *(name(arm) for arm in arms)), rows)
