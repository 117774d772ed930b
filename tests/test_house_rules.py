"""Rules of the house that no linter knows."""

import ast
from pathlib import Path

import pytest

PACKAGES = ("agent", "synthesis", "training", "eval", "memory")


def sources(root: Path) -> list[Path]:
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def test_nothing_rebinds_the_builtin_eval(root: Path) -> None:
    for path in [
        *sources(root),
        *root.glob("tests/**/*.py"),
        *root.glob("examples/**/*.py"),
        *root.glob("benchmarks/*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names if alias.asname is None]
                assert "eval" not in names, f"{path}:{node.lineno}: write `from eval.x import y`"


def test_packages_hold_a_docstring_only(root: Path) -> None:
    for package in PACKAGES:
        for path in (root / package).rglob("__init__.py"):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{path} must hold its docstring only"
            assert isinstance(body[0], ast.Expr)


FORBIDDEN_CALLS = {"sympify", "parse_expr", "exec", "eval", "literal_eval"}
FORBIDDEN_IMPORTS = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_no_call_that_executes_text_and_no_pickle(root: Path) -> None:
    for path in sources(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                # Attribute calls count for the sympy names; `model.eval()` is torch's mode switch.
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                assert name not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
                assert attribute not in {"sympify", "parse_expr"}, f"{path}:{node.lineno}"
                for keyword in node.keywords:
                    if keyword.arg == "trust_remote_code":
                        assert isinstance(keyword.value, ast.Constant), f"{path}:{node.lineno}"
                        assert keyword.value.value is False, f"{path}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                for module in modules:
                    assert module.split(".")[0] not in FORBIDDEN_IMPORTS, f"{path}:{node.lineno}"


def test_files_stay_readable(root: Path) -> None:
    for path in sources(root):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 500, f"{path} is too long; split it"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_owns(root: Path, package: str) -> None:
    for path in (root / package).rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert doc, path
        assert len(doc) > 30, path
