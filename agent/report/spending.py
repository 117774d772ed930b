"""What a run paid for: tokens, requests and retries from its ledger, and money where the config has prices.

Money is worked out from ``teacher.prices`` alone, which carry a date; without them it is null, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from agent.config import Prices
from agent.models import CACHE, LEDGER
from agent.report.reading import read_records, rounds_of
from memory.cache import RequestCache
from memory.ledger import Ledger, Spent
from memory.records import Diagnosis
from memory.store import CONFIG, MANIFEST, RunFolder

COUNTED = (
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "requests",
    "retries",
    "failed",
    "from_cache",
    "seconds",
)
_GROUPS = {
    "by_step": ("stage", "step"),
    "by_strategy": ("strategy",),
    "by_cluster": ("weakness_id",),
    "by_model": ("model",),
}


def spending(run: RunFolder) -> dict[str, Any] | None:
    """What was paid so far; None where nothing of the run answers over HTTP.

    ``total`` holds everything. ``unclaimed`` is the part of it that no finished batch has entered into the accounts
    yet: replies in flight, or paid for just before a kill; it is in none of the groups, nor in the money.

    Raises:
        StoreError: the ledger or the cache is damaged.
    """
    path = run.path / LEDGER
    if not path.is_file():
        return None
    config = _config(run)
    cache_path = Path(config["cache"]) if config.get("cache") else run.path.resolve().parent / CACHE
    cache = RequestCache(cache_path) if cache_path.is_file() else None
    run_id = str(json.loads((run.path / MANIFEST).read_text(encoding="utf-8"))["run_id"])
    ledger = Ledger(path, run_id, cache)
    try:
        groups = {name: [_counts(item) for item in ledger.totals(by)] for name, by in _GROUPS.items()}
        by_model = ledger.totals(("model",))
        unclaimed = ledger.unclaimed()
        total = _sum([ledger.spent(), unclaimed])
    finally:
        ledger.close()
        if cache is not None:
            cache.close()
    names = _labels(run)
    for entry in groups["by_cluster"]:
        entry["label"] = names.get(entry["weakness_id"])
    teacher = config.get("teacher") or {}
    priced = [item for item in by_model if item.group["model"] == teacher.get("model")]
    return {
        "total": _counts(total),
        "unclaimed": _counts(unclaimed),
        **groups,
        "money": money(_sum(priced), teacher.get("prices"), str(teacher.get("model"))),
    }


def money(spent: Spent, prices: Any, model: str) -> dict[str, Any] | None:
    """What a model's tokens cost by the config's prices; None without prices.

    Args:
        spent: of this model. What the server had cached is part of the prompt, at its own price where there is one.
        prices: the section ``teacher.prices`` or None.
        model: which model the prices are for.
    """
    if prices is None:
        return None
    price = Prices.model_validate(prices)
    cached = min(spent.cached_tokens, spent.prompt_tokens)
    cached_price = price.prompt_per_million if price.cached_per_million is None else price.cached_per_million
    amount = (
        (spent.prompt_tokens - cached) * price.prompt_per_million
        + cached * cached_price
        + spent.completion_tokens * price.completion_per_million
    ) / 1_000_000
    return {
        "amount": round(amount, 6),
        "currency": price.currency,
        "prices_as_of": price.as_of.isoformat(),
        "model": model,
    }


def _config(run: RunFolder) -> dict[str, Any]:
    path = run.path / CONFIG
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found if isinstance(found, dict) else {}


def _labels(run: RunFolder) -> dict[str, str]:
    diagnoses = [found for stage in rounds_of(run) for found in read_records(run, stage, "diagnose", Diagnosis)]
    found = {weakness.id: weakness.label for diagnosis in diagnoses for weakness in diagnosis.weaknesses}
    return {"gold": "verifiers tried on gold answers", **found}


def _sum(parts: Sequence[Spent]) -> Spent:
    names = [name for name in Spent.model_fields if name not in ("group", "schema_version")]
    return Spent(**{name: sum(getattr(part, name) for part in parts) for name in names})


def _counts(spent: Spent) -> dict[str, Any]:
    found = {**spent.group, **{name: getattr(spent, name) for name in COUNTED}}
    return {**found, "seconds": round(spent.seconds, 1)}
