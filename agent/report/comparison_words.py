"""A comparison of arms in words and numbers, for the terminal and the page alike.

Everything that comes from a file or a model leaves here on one line, without control or bidirectional characters.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from agent.report.terminal import safe

#: What a mark of an arm means.
MARKS = {
    "dry": "fewer new examples than wanted",
    "tokens": "training tokens more than 1 % off",
}


def name(text: object, limit: int = 40) -> str:
    """The name of an arm or a cluster on one line."""
    return " ".join(safe(str(text), limit).split()) or "(no name)"


def sentence(text: object, limit: int = 2000) -> str:
    """A line of text that ends like a sentence."""
    shown = name(text, limit)
    return shown if shown[-1] in "?.!" else f"{shown}."


def level(found: Mapping[str, Any]) -> str:
    """``95 %``."""
    return f"{100 * (1 - found['alpha']):g} %"


def p_value(value: float | None) -> str:
    """``0.021`` or ``<0.001``."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def share(value: float | None, digits: int = 1) -> str:
    """``54.1``, in percent."""
    return "-" if value is None else f"{value:.{digits}f}"


def points(value: float | None) -> str:
    """``+8.2``; two places below one, so that a small yield is not shown as none."""
    if value is None:
        return "-"
    return f"{value:+.2f}" if abs(value) < 0.95 else f"{value:+,.1f}"


def bounds(entry: Mapping[str, Any] | None, sign: str = "+") -> str:
    """``[+5.1, +11.5]``, or ``-`` where there is no interval."""
    if not entry or entry.get("low") is None or entry.get("high") is None:
        return "-"
    return f"[{entry['low']:{sign}.1f}, {entry['high']:{sign}.1f}]"


def gain(entry: Mapping[str, Any] | None) -> str:
    """``+8.3 [+5.1, +11.5]``."""
    if not entry or entry.get("difference") is None:
        return "-"
    limits = bounds(entry)
    return f"{entry['difference']:+.1f}" + ("" if limits == "-" else f" {limits}")


def mean(entry: Mapping[str, Any] | None) -> str:
    """``54.1 [51.2, 57.0]``."""
    if not entry or entry.get("mean") is None:
        return "-"
    limits = bounds(entry, "")
    return f"{entry['mean']:.1f}" + ("" if limits == "-" else f" {limits}")


def count(value: float | None) -> str:
    """``1,262``."""
    return "-" if value is None else f"{value:,.0f}"


def excludes_zero(entry: Mapping[str, Any] | None) -> bool:
    """Whether there is an interval, and zero lies outside."""
    if not entry or entry.get("low") is None or entry.get("high") is None:
        return False
    return bool(entry["low"] > 0 or entry["high"] < 0)


def plural(number: int, word: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def unequal(found: Mapping[str, Any]) -> bool:
    """Whether the budgets of the arms are said to differ anywhere."""
    loud = str(found.get("headline") or "").upper().startswith("UNEQUAL")
    return loud or any(arm.get("marks") for arm in found["arms"])


def scope(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was compared, as terms with their values; only what the result knows."""
    lines = [("Arms", ", ".join(name(arm["arm"]) for arm in found["arms"]))]
    seeds = found.get("seeds")
    if seeds:
        lines.append(("Seeds", ", ".join(map(str, seeds))))
    if found.get("budget") is not None:
        lines.append(("Budget", f"{plural(found['budget'], 'new example')} a round"))
    if found.get("rounds") is not None:
        lines.append(("Rounds", count(found["rounds"])))
    where = f" of {name(found['benchmark'], 80)}" if found.get("benchmark") else ""
    lines.append(("Items", f"{found['items']:,}{where}"))
    if found.get("base"):
        limits = bounds(found["base"], "").replace("-", "")
        lines.append(("Base", f"{share(found['base'].get('mean'))} % {limits}".strip() + " before training"))
    if found.get("baseline") is not None:
        lines.append(("Baseline", f"every arm is compared with {name(found['baseline'])} only"))
    if found.get("file"):
        lines.append(("Results", name(found["file"], 400)))
    if found.get("seconds") is not None:
        lines.append(("Computing", duration(found["seconds"]) + " over all runs"))
    return lines


def title(found: Mapping[str, Any]) -> str:
    """``targeted, random and replay compared``, or how many arms where the names are long."""
    names = [name(arm["arm"]) for arm in found["arms"]]
    words = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{words if len(words) <= 60 else f'{len(names)} arms'} compared"


def duration(seconds: float) -> str:
    """``20 min`` or ``3 h 5 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def ratio(entry: Mapping[str, Any]) -> str:
    """``random needs 2.1 times the examples of targeted to reach 55.1 % (1.3 to 3.6)``."""
    a, b = name(entry["a"]), name(entry["b"])
    at = "the same accuracy" if entry.get("level") is None else f"{entry['level']:.1f} %"
    if entry.get("ratio") is None:
        return f"{a} against {b}: no budget ratio can be told at {at}"
    bound = {"at_least": "at least ", "at_most": "at most "}.get(entry.get("censored") or "", "")
    return f"{a} needs {bound}{times(entry['ratio'])} times the examples of {b} to reach {at}{_ratio_limits(entry)}"


def times(value: float) -> str:
    """``2.1``; what is near 1 or below keeps two places, since there they say on which side it lies."""
    return f"{value:.1f}" if value >= 1.05 else f"{value:.2f}"


def _ratio_limits(entry: Mapping[str, Any]) -> str:
    """The interval; a limit that is itself only a bound says so."""
    low, high = entry.get("low"), entry.get("high")
    if low is None:
        return "" if high is None else f" (no lower limit, up to {times(high)})"
    least = ("at most " if entry.get("low_censored") else "") + times(low)
    if high is None:
        return f" (from {least}, no upper limit)"
    return f" ({least} to {'at least ' if entry.get('high_censored') else ''}{times(high)})"


def detectable(found: Mapping[str, Any]) -> str | None:
    """What a next comparison of this size would find; None where no arm has several seeds."""
    could, n = found.get("detectable"), len(found["pairs"])
    if could is None:
        return None
    effects = [(could["one_pair"], "for one pair")] + ([(could["all_pairs"], f"after Holm over {n}")] if n > 1 else [])
    texts = [f"{'no difference' if effect is None else f'{effect:.1f} points'} {text}" for effect, text in effects]
    return (
        f"Found with {100 * could['power']:.0f} % power on {found['items']:,} items and {could['seeds']} seeds an "
        f"arm: {', '.join(texts)}."
    )


def family(found: Mapping[str, Any]) -> str | None:
    """Which error rate the verdicts hold; None with one pair."""
    n = len(found["pairs"])
    if n < 2:
        return None
    return f"The verdict is Holm's over {n} pairs at {found['alpha']:g}; the intervals are for one pair each."


def command(found: Mapping[str, Any]) -> str:
    """The command that repeats the comparison; built for a file of scores, where the result holds none."""
    if found.get("command"):
        return safe(str(found["command"]), 20_000)
    words = ["remedial", "compare", "--scores", str(found.get("file") or "FILE.csv")]
    arms = [str(arm["arm"]) for arm in found["arms"]]
    if not any("," in arm for arm in arms):
        words += ["--arms", ",".join(arms)]
    if found.get("baseline") is not None:
        words += ["--baseline", str(found["baseline"])]
    return safe(shlex.join([*words, "--alpha", f"{found['alpha']:g}"]), 20_000)


def methods(found: Mapping[str, Any]) -> str:
    """What was done, in the words of a paper; claims only what this result says of itself."""
    parts = []
    arms = found["arms"]
    seeds = {arm["seeds"] for arm in arms}
    runs = plural(seeds.pop(), "run") + " an arm" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)} runs an arm"
    budget = (
        "" if found.get("budget") is None else f" with a budget of {plural(found['budget'], 'new example')} a round"
    )
    where = f" of {name(found['benchmark'], 80)}" if found.get("benchmark") else ""
    parts.append(f"{len(arms)} arms, {runs}{budget}, are measured on {plural(found['items'], 'item')}{where}.")
    if found.get("headline") and unequal(found):
        parts.append("The budgets are not equal: see the first line.")
    kinds = {pair.get("method") for pair in found["pairs"]}
    if kinds - {"single"}:
        parts.append(
            "Differences of arms are paired over items, with items crossed with runs nested in arms; standard errors "
            "come from variance components, with the residual counted once (Owen 2007; Cameron, Gelbach and Miller "
            "2011). The component of the runs is left out where a preliminary F test finds it no larger than the "
            "residual explains; else degrees of freedom are Satterthwaite's."
        )
    if "single" in kinds:
        parts.append("Two single runs are compared by McNemar's exact test with Newcombe's interval, over items only.")
    if len(found["pairs"]) > 1:
        parts.append(
            f"Verdicts hold {found['alpha']:g} over all {len(found['pairs'])} pairs (Holm 1979); {level(found)} "
            "intervals are for one pair each."
        )
    else:
        parts.append(f"Intervals are of {level(found)}.")
    return " ".join(parts)
