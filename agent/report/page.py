"""A run as one HTML file that opens offline and fetches nothing; `remedial view` serves the same with a review in it.

Owns what goes into the file. Strings from models and people travel as JSON and reach the page as text nodes only; the
policy in the page's head lets no script run but ours, by its hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from agent.report.facts import probe_problems, round_facts
from agent.report.lineage import threads
from agent.report.packing import pack
from agent.report.page_items import BODIES, GRID, HEADS, KINDS, cluster_rows, failures, written
from agent.report.page_rounds import dev_changes, round_cards
from agent.report.pages import asset, csp_hash, inert, render, write_html
from agent.report.reading import rounds_of
from agent.report.story import story
from agent.review.pending import pending
from memory.records import Split
from memory.store import MANIFEST, RunFolder

#: The program of the page, in this order; the parts share one scope.
SCRIPTS = ("dom.js", "text.js", "data.js", "map.js", "item.js", "clusters.js", "rounds.js", "review.js", "main.js")
PAGE = "report.html"


@dataclass(frozen=True)
class Live:
    """What a served page knows more: where to send a review, what proves that it may, and the author to propose."""

    token: str
    author: str
    state: str


def page_path(run: RunFolder) -> Path:
    """Where the page of a run lies unless told otherwise."""
    return run.path / PAGE


def write_report(run: RunFolder, path: Path, found: dict[str, Any] | None = None) -> int:
    """Write the page of a run; returns its size in bytes.

    Args:
        run: the run folder, finished or not.
        path: the file.
        found: `agent.report.story.story` of the run, where it was read already.

    Raises:
        UsageError: the file cannot be written.
        StoreError: the run folder is damaged.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    write_html(path, render_report(run, found))
    return path.stat().st_size


def render_report(run: RunFolder, found: dict[str, Any] | None = None, live: Live | None = None) -> str:
    """The page's text; the same for the same run folder at the same place."""
    index, parts = page_data(run, found if found is not None else story(run), live)
    return render_data(index, parts, index["run"], live is not None)


def render_data(index: dict[str, Any], parts: dict[str, Any], title: str, live: bool) -> str:
    """A page from what `page_data` gives: an index that is read at once and parts that are unpacked when needed."""
    packed = pack(parts)
    index = {**index, "cap": packed.cap}
    program = "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in SCRIPTS) + "\n})();\n"
    maths = asset("katex.min.js")
    return render(
        "report.html.j2",
        {
            "title": title,
            "policy": Markup(_policy([maths, program], live=live)),
            "index": Markup(inert(json.dumps(index, separators=(",", ":"), ensure_ascii=False, allow_nan=False))),
            "chunks": sorted(packed.chunks.items()),
            "maths": Markup(maths),
            "program": Markup(program),
        },
    )


def _policy(scripts: list[str], *, live: bool) -> str:
    hashes = " ".join(csp_hash(script) for script in scripts)
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def page_data(run: RunFolder, found: dict[str, Any], live: Live | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The index and the parts of a page; all JSON-able."""
    facts = [round_facts(run, int(stage.removeprefix("round-"))) for stage in rounds_of(run)]
    problems = probe_problems(run)
    probe = {name: problem for name, problem in problems.items() if problem.split is Split.PROBE}
    clusters = cluster_rows(run, facts)
    failed = failures(run, facts, probe, clusters)
    cards = round_cards(found["rounds"], facts)
    parts: dict[str, Any] = {}
    for at in range(0, len(failed.heads), HEADS):
        parts[f"h{at // HEADS}"] = failed.heads[at : at + HEADS]
    for at in range(0, len(failed.bodies), BODIES):
        parts[f"b{at // BODIES}"] = failed.bodies[at : at + BODIES]
    by_cluster = {name: part for own in facts for name, part in written(own).items()}
    for at, row in enumerate(clusters):
        part = by_cluster.get(row["id"])
        row["written"] = None if part is None else {key: part[key] for key in ("n", "accepted", "trained")}
        if part is not None:
            parts[f"d{at}"] = {"drafts": part["drafts"], "unread": part["unread"]}
    for index, changes in dev_changes(run, facts, problems).items():
        parts[f"v{index}"] = changes
        card = next(card for card in cards if card["index"] == index)
        card["changes"] = {name: len(items) for name, items in changes.items()}
    waits = pending(run)
    if waits is not None:
        parts["pending"] = waits.model_dump(mode="json", exclude={"decisions", "run"})
    status = {key: found[key] for key in ("state", "stop_reason", "stop_detail", "base", "test", "seconds", "spend")}
    return {
        "run": run.path.name,
        "path": found["run"],
        "status": status,
        "manifest": _manifest(run),
        "rounds": cards,
        "clusters": clusters,
        "lineage": threads([own.diagnosis for own in facts if own.diagnosis is not None]),
        "items": failed.columns,
        "kinds": KINDS,
        "grid": GRID,
        "heads": HEADS,
        "bodies": BODIES,
        "map": failed.words,
        "waits": None if waits is None else {"round": waits.round, "point": waits.point.value, "state": waits.state},
        "live": None if live is None else {"token": live.token, "author": live.author, "state": live.state},
    }, parts  # fmt: skip


def _manifest(run: RunFolder) -> dict[str, Any]:
    try:
        found = json.loads((run.path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: found[key] for key in ("run_id", "seed", "plan", "versions", "config_hash") if key in found}
