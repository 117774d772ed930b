"""The cache command lists and prunes; nothing goes without a yes, and what was paid stays on record."""

import json
import sqlite3
from pathlib import Path

import pytest

from memory.cache import CachedReply, RequestCache
from memory.errors import UsageError
from memory.ledger import Usage
from memory.records import Finish
from tests.agent.paid import call


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "requests.sqlite"
    cache = RequestCache(file)
    for index, model in enumerate(["small", "small", "large"]):
        usage = Usage(prompt_tokens=10, completion_tokens=index, requests=1, paid_by="run")
        cache.put(CachedReply(f"{index}" * 64, model, "text", Finish.STOP, usage))
    cache.close()
    with sqlite3.connect(file) as db:
        db.execute("UPDATE replies SET last_used = '2020-01-01T00:00:00.000000+00:00' WHERE key LIKE '0%'")
    db.close()
    return file


def models(*words: object) -> dict[str, int]:
    result = call("cache", "--json", *words)
    assert result.exit_code == 0, result.exception
    return {entry["model"]: entry["entries"] for entry in json.loads(result.stdout)["models"]}


def test_it_lists_each_model(path: Path) -> None:
    assert models("--path", path) == {"large": 1, "small": 2}
    assert models("--path", path, "--model", "large") == {"large": 1}
    shown = call("cache", "--path", path)
    assert shown.exit_code == 0
    assert "small" in shown.output


def test_old_replies_go_and_what_was_paid_stays(path: Path) -> None:
    assert models("--path", path, "--prune-older-than", "30d", "--model", "large", "--yes") == {"large": 1}
    assert models("--path", path, "--prune-older-than", "30d", "--yes") == {"large": 1, "small": 1}
    assert models("--path", path, "--prune-older-than", "0d", "--yes") == {}
    assert RequestCache(path).spent("run").requests == 3


def test_damaged_replies_go(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE replies SET text = 'other' WHERE key LIKE '1%'")
    db.close()
    found = json.loads(call("cache", "--path", path, "--prune-damaged", "--yes", "--json").stdout)
    assert found["removed"] == {"damaged": 1}
    assert {entry["model"]: entry["entries"] for entry in found["models"]} == {"large": 1, "small": 1}


def test_nothing_goes_without_a_yes(path: Path) -> None:
    for form in ([], ["--json"]):
        result = call("cache", "--path", path, "--prune-older-than", "0d", *form)
        assert isinstance(result.exception, UsageError)
        assert "add --yes" in str(result.exception)
    assert models("--path", path) == {"large": 1, "small": 2}


def test_bad_words_are_refused(path: Path, tmp_path: Path) -> None:
    assert call("cache", "--path", path, "--prune-older-than", "soon").exit_code == 2
    missing = call("cache", "--path", tmp_path / "none.sqlite")
    assert isinstance(missing.exception, UsageError)
    assert not (tmp_path / "none.sqlite").exists(), "looking makes no file"
