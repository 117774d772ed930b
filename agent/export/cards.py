"""The cards of an export: what the data and the adapter are, and where every part of them came from.

Names and labels in them are text from configs and problems: they are escaped for Markdown and YAML.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import yaml

from agent.export.gather import Training
from agent.report.terminal import one_line
from memory.records import Accepted

#: Looks like an id of the hub, which cards may link; a folder of some machine does not.
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def dataset_card(found: Training, data_file: str, licence: str) -> str:
    """README.md of the data, with the metadata that `datasets` and the hub read."""
    head = {
        "license": licence,
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "math", "remedial"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": data_file}]}],
    }
    counts = found.counts
    lines = [
        f"# Training data of {text(found.name)}",
        "",
        f"{sum(counts.values()):,} examples in training order: those on which Remedial trained the final student of "
        "this run.",
        "",
        "| column | meaning |",
        "|---|---|",
        "| `origin` | `new`: practice written for what the student got wrong, verified. `replay`: validated data it "
        "should not forget |",
        "| `round` | the round whose mixture the example stood in; an example of replay can stand in several |",
        "| `id`, `source`, `answer`, `weight` | hash of statement and answer, who wrote it, final answer, weight |",
        "",
        *_rounds_table(found),
        "",
        *_order_note(found),
        *provenance(found, licence),
    ]
    return _front(head) + "\n".join(lines) + "\n"


def model_card(found: Training, licence: str) -> str:
    """README.md of the adapter."""
    base = found.base_name
    head: dict[str, Any] = {"license": licence, "library_name": "peft", "tags": ["lora", "remedial"]}
    if _HUB_ID.fullmatch(base) and not Path(found.config.student.model_name_or_path).is_dir():
        head |= {"base_model": base, "base_model_relation": "adapter"}
    adapter = found.adapter
    lines = [
        f"# LoRA adapter of {text(found.name)}",
        "",
        f"For the base `{code(base)}`; rank {adapter.rank}, id `{adapter.id}`. Load it with "
        "`peft.PeftModel.from_pretrained(base, folder)`.",
        "",
        *_results(found),
        "",
        *_rounds_table(found),
        "",
        *_order_note(found),
        *provenance(found, licence),
    ]
    return _front(head) + "\n".join(lines) + "\n"


def provenance(found: Training, licence: str) -> list[str]:
    """Where everything came from, as a list."""
    config, manifest = found.config, found.manifest
    verify = config.verify
    versions = {key: value for key, value in manifest["versions"].items() if key != "platform"}
    revision = f" at revision `{code(config.student.revision)}`" if config.student.revision else ""
    teacher = config.teacher.model if config.teacher.kind == "llm" else None
    wrote = sorted({draft.teacher for facts in found.rounds for batch in facts.batches for draft in batch.drafts})
    need = ", ".join(f"`{code(name)}`" for name in verify.require) if verify.require is not None else "as configured"
    lines = [
        "## Provenance",
        "",
        f"- base model: `{code(found.base_name)}`{revision}",
        f"- teacher: {text(config.teacher.kind)}" + (f", `{code(teacher)}`" if teacher else "")
        + f"; drafts signed by {', '.join(f'`{code(name)}`' for name in wrote) or 'none'}; "
        f"strategy `{code(config.draft.strategy)}`",
        f"- verification: {', '.join(f'`{code(name)}`' for name in verify.verifiers)}; at least "
        f"{verify.min_independent} independent check(s); required: {need}",
        f"- replay: {manifest['plan'].get('replay', '?')} usable problems, fingerprint "
        f"`{manifest['data']['replay'][:16]}`",
        f"- rounds run {len(found.status['rounds'])}, trained on here: "
        f"{', '.join(str(facts.index) for facts in found.rounds)}",
        f"- config hash `{manifest['config_hash']}`, seed {manifest['seed']}, run `{code(str(manifest['run_id']))}`",
        f"- versions: {', '.join(f'{text(name)} {text(str(value))}' for name, value in sorted(versions.items()))}",
        f"- licence: {text(licence)}" + (
            " (nobody has said; the terms of the replay, of the teacher and of the base apply)"
            if licence == "unknown" else ""
        ),
        "",
        "No problem of the probe, dev, guard or test split is part of the training data. This was checked when the "
        "export was written: by id, and for probe and dev by text too.",
    ]  # fmt: skip
    return lines


def _results(found: Training) -> list[str]:
    test = found.status["test"]
    if test is None:
        return ["The sealed test was not opened yet when this was exported."]
    return [
        f"Sealed test, opened once after the last round (n = {test['n']}): base {test['base']:.1f} %, with this "
        f"adapter {test['final']:.1f} %; {test['difference']:+.1f} points, paired 95 % interval "
        f"[{test['low']:+.1f}, {test['high']:+.1f}]."
    ]


def _rounds_table(found: Training) -> list[str]:
    """What each round drafted, accepted and trained on, and its gain on dev."""
    lines = ["| round | drafted | accepted | refused | trained: new | replay | dev, paired change |", "|" + "---|" * 7]
    gains = {entry["index"]: entry["dev"] for entry in found.status["rounds"]}
    for facts in found.rounds:
        unread = sum(len(batch.refusals) for batch in facts.batches)
        drafted = sum(len(batch.drafts) for batch in facts.batches) + unread
        yes = sum(1 for verdict in facts.verdicts.values() if verdict.accepted is Accepted.YES)
        counts = facts.mixture.counts if facts.mixture else {}
        dev = gains.get(facts.index)
        gain = "not measured"
        if dev and dev["difference"] is not None:
            gain = f"{dev['difference']:+.1f} [{dev['difference_low']:+.1f}, {dev['difference_high']:+.1f}] points"
        lines.append(
            f"| {facts.index} | {drafted:,} | {yes:,} | {drafted - yes:,} | {counts.get('new', 0):,} | "
            f"{counts.get('replay', 0):,} | {gain} |"
        )
    return lines


def _order_note(found: Training) -> list[str]:
    if len(found.rounds) < 2:
        return []
    return [
        "The rounds were trained one after the other, each on top of the last one's adapter. One training from the "
        "base on all of it at once is not the same and was not measured.",
        "",
    ]


def _front(head: dict[str, Any]) -> str:
    return "---\n" + yaml.safe_dump(head, sort_keys=False, allow_unicode=True) + "---\n\n"


def text(value: str) -> str:
    """A foreign string as plain text in Markdown."""
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", html.escape(one_line(value, 200), quote=False))


def code(value: str) -> str:
    """A foreign string between backticks."""
    return one_line(value, 200).replace("`", "'").replace("|", "/")
