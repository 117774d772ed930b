"""A small run with a paid teacher for tests: the demo's data, the quickstart's student, a teacher on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from agent.cli import cli
from agent.demo import write_demo

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "sk-test-0123456789abcdef"
KEY_ENV = "REMEDIAL_TEST_KEY"


def write_config(folder: Path, url: str, **changes: Any) -> Path:
    """A config whose teacher is at ``url``; ``changes`` are sections to be merged, or other values to be set."""
    write_demo(folder)
    config: dict[str, Any] = {
        "name": "paid",
        "student": {"model_name_or_path": str(ROOT / "examples" / "quickstart" / "student"), "max_new_tokens": 32},
        "teacher": {"kind": "llm", "model": "teacher", "base_urls": [url], "timeout": 10, "max_retries": 0},
        "data": {name: {"path": f"{name}.jsonl"} for name in ("probe", "dev", "test", "replay")} | {"guard_size": 200},
        "diagnose": {"embedder": "hashing"},
        "allocate": {"new_examples": 100},
        "draft": {"problems_per_request": 4},
        "verify": {
            "verifiers": ["algebra", "duplicate", "contamination", "agreement"],
            "same_template": "allow",
            "agreement": {"num_samples": 2, "min_share": 0.5},
        },
        "anneal": {"lora_r": 8, "lora_alpha": 16, "max_length": 320},
        "loop": {"max_rounds": 2},
    }
    for section, value in changes.items():
        if isinstance(value, dict):
            config[section] = {**config.get(section, {}), **value}
        else:
            config[section] = value
    path = folder / "paid.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def call(*arguments: object) -> Result:
    """A command in this process; its deliberate errors are raised, as `agent.cli.main` would see them."""
    return CliRunner().invoke(cli, [str(word) for word in arguments])


def problems_of(result: Result) -> list[str]:
    """The sentences of ``validate --json`` or ``doctor --json`` that say what is wrong."""
    return [f"{item['place']}: {item['message']}" for item in json.loads(result.stdout)["problems"]]
