"""What became of a round's drafts: the funnel through reading and checks, and what the teacher said of each cluster."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from agent.report.reading import read_records
from agent.report.terminal import plain_table, safe
from agent.review.revise import revise_verdicts
from agent.review.state import decided, waves
from memory.records import DraftBatch, Verdict
from memory.reviews import Point
from memory.store import RunFolder
from synthesis.verification.funnel import funnel


def batches(run: RunFolder, stage: str) -> list[DraftBatch]:
    """The batches of all finished waves of a round, in order."""
    return [found for wave in waves(run, stage, "draft") for found in read_records(run, stage, wave, DraftBatch)]


def verdicts(run: RunFolder, stage: str) -> list[Verdict]:
    """The verdicts of all finished waves of a round, in order, as a review left them."""
    found = [item for wave in waves(run, stage, "verify") for item in read_records(run, stage, wave, Verdict)]
    review = decided(run, int(stage.removeprefix("round-")), Point.VERIFY)
    return revise_verdicts(found, review.decisions if review is not None else None)


def round_funnel(run: RunFolder, stage: str) -> list[dict[str, Any]] | None:
    """The rows of `synthesis.verification.funnel` over all waves that were verified, a review included; None
    where there is none.
    """
    verified = waves(run, stage, "verify")
    if not verified:
        return None
    drafted = [
        batch for wave in verified for batch in read_records(run, stage, wave.replace("verify", "draft", 1), DraftBatch)
    ]
    return [asdict(row) for row in funnel(drafted, verdicts(run, stage))]


def misconceptions(run: RunFolder, stage: str) -> dict[str, str]:
    """By cluster, the first sentence in which the teacher said what the student gets wrong."""
    found: dict[str, str] = {}
    for batch in batches(run, stage):
        clusters = [part.weakness_id for part in batch.drafts] or [part.weakness_id for part in batch.refusals]
        if batch.misconception and clusters:
            found.setdefault(clusters[0], batch.misconception)
    return found


def funnel_table(rows: list[dict[str, Any]]) -> Table:
    """The funnel for people. Fits 80 columns, but for long reasons."""
    table = plain_table("verification funnel")
    table.add_column("stage", no_wrap=True)
    for heading in ("in", "left", "abstained"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("refused by reason")
    for row in rows:
        reasons = ", ".join(f"{safe(reason, 60)} {count:,}" for reason, count in row["reasons"].items())
        table.add_row(row["name"], f"{row['entered']:,}", f"{row['left']:,}", f"{row['abstained']:,}", Text(reasons))
    return table
