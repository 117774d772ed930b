"""The README holds; see tests/check_readme.py."""

import importlib.util
from pathlib import Path


def load(root: Path):  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("check_readme", root / "tests" / "check_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_true(root: Path) -> None:
    assert load(root).faults() == []


def test_the_check_can_fail(root: Path) -> None:
    check = load(root)
    targets = {"test"}
    assert check.check_command(["make", "tset"], targets) == "no make target tset"
    assert check.check_command(["remedial", "rnu"], targets) == "no command rnu"
    assert "No such option" in check.check_command([".venv/bin/remedial", "run", "--confg", "x"], targets)
    assert check.check_command(["remedial", "run", "-c", "my.yaml", "--dry-run"], targets) is None
