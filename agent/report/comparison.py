"""A comparison of arms for people. Names come from a file and are printed without markup or control characters."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.terminal import plain_table, safe


def print_comparison(found: dict[str, Any], console: Console) -> None:
    """Arms, pairs, what could have been found, and what must be known to read it."""
    level = f"{100 * (1 - found['alpha']):g} %"
    console.print(Text(f"{safe(found['file'])}: {found['items']:,} items"), soft_wrap=True)
    arms = plain_table(f"arms, {level} interval over seeds")
    for heading in ("arm", "seeds", "mean %", "interval", "runs disagree"):
        arms.add_column(heading, no_wrap=heading != "arm", justify="left" if heading == "arm" else "right")
    for arm in found["arms"]:
        apart = arm["within_arm_disagreement"]
        arms.add_row(
            Text(safe(arm["arm"], 40)),
            str(arm["seeds"]),
            f"{arm['mean']:.2f}",
            "-" if arm["low"] is None else f"[{arm['low']:.1f}, {arm['high']:.1f}]",
            "-" if apart is None else f"{apart:.1f} %",
        )
    console.print(arms)
    pairs = plain_table(f"differences in points, {level} interval over new items and runs")
    for heading in ("pair", "difference", "interval", "p", "p Holm", "verdict"):
        text = heading in ("pair", "verdict")
        pairs.add_column(heading, no_wrap=not text, overflow="fold", justify="left" if text else "right")
    for pair in found["pairs"]:
        pairs.add_row(
            Text(f"{safe(pair['a'], 40)}\n- {safe(pair['b'], 40)}"),
            f"{pair['difference']:+.2f}",
            f"[{pair['low']:+.1f}, {pair['high']:+.1f}]",
            *(_p(pair[name]) for name in ("p", "p_holm")),
            pair["verdict"],
        )
    console.print(pairs)
    for line in _lines(found):
        console.print(Text(safe(line, 2000)), soft_wrap=True)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _lines(found: dict[str, Any]) -> list[str]:
    n = len(found["pairs"])
    lines = []
    if n > 1:
        lines.append(
            f"The verdict is Holm's over {n} pairs at {found['alpha']:g}; the intervals are for one pair each."
        )
    could = found["detectable"]
    if could is not None:
        effects = [(could["one_pair"], "for one pair")] + (
            [(could["all_pairs"], f"after Holm over {n}")] if n > 1 else []
        )
        texts = [f"{'no difference' if effect is None else f'{effect:.1f} points'} {text}" for effect, text in effects]
        lines.append(
            f"Found with {100 * could['power']:.0f} % power on {found['items']:,} items and {could['seeds']} seeds an "
            f"arm: {', '.join(texts)}."
        )
    return lines + [f"Note: {note}." if note[-1] not in "?." else f"Note: {note}" for note in found["notes"]]
