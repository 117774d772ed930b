"""`remedial compare --scores`: the table, the JSON, and every wrong input."""

import io
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agent.comparison.tables import Choice, compare_scores
from agent.report.comparison import print_comparison
from memory.errors import DataError, UsageError

Cli = Callable[..., subprocess.CompletedProcess[str]]


def write(path: Path, tables: Mapping[str, np.ndarray]) -> Path:
    lines = ["item,arm,seed,correct"]
    for arm, cells in tables.items():
        lines += [f"q{i},{arm},{s},{int(cells[i, s])}" for i in range(cells.shape[0]) for s in range(cells.shape[1])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(seed: int, seeds: int, gain: float = 0.0, items: int = 120) -> np.ndarray:
    chance = np.random.default_rng(0).random((items, 1))
    return (np.random.default_rng(seed).random((items, seeds)) < chance + gain).astype(int)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    return write(tmp_path / "scores.csv", {"plain": table(1, 4), "good": table(2, 4, 0.3), "like": table(3, 4)})


def printed(found: dict[str, object], width: int = 80) -> str:
    stream = io.StringIO()
    print_comparison(found, Console(file=stream, width=width))
    return stream.getvalue()


def test_the_shape_of_the_result(scores: Path) -> None:
    found = compare_scores(scores, Choice())
    assert found["arms"][0]["arm"] == "good"
    for arm in found["arms"]:
        assert list(arm) == ["arm", "seeds", "mean", "low", "high", "within_arm_disagreement"]
        assert 0 <= arm["low"] < arm["mean"] < arm["high"] <= 100
    assert len(found["pairs"]) == 3
    for pair in found["pairs"]:
        assert {"a", "b", "difference", "low", "high", "p", "p_holm", "verdict"} <= set(pair)
        assert pair["difference"] >= 0
        assert pair["low"] < pair["difference"] < pair["high"]
        assert pair["p"] <= pair["p_holm"] <= 1
    verdicts = {frozenset((pair["a"], pair["b"])): pair["verdict"] for pair in found["pairs"]}
    assert verdicts[frozenset(("good", "plain"))] == "better"
    assert verdicts[frozenset(("like", "plain"))] == "not distinguishable"
    assert 0 < found["detectable"]["one_pair"] < found["detectable"]["all_pairs"]
    assert found["notes"] == []


def test_arms_and_baseline_order_the_pairs(scores: Path) -> None:
    found = compare_scores(scores, Choice(arms=("plain", "good")))
    assert [(pair["a"], pair["b"], pair["verdict"]) for pair in found["pairs"]] == [("plain", "good", "worse")]
    assert found["pairs"][0]["p"] == found["pairs"][0]["p_holm"]
    found = compare_scores(scores, Choice(baseline="plain"))
    assert {(pair["a"], pair["b"]) for pair in found["pairs"]} == {("good", "plain"), ("like", "plain")}
    found = compare_scores(scores, Choice(arms=("good",), baseline="plain"))
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [("good", "plain")]


def test_alpha_is_the_level_of_the_intervals(scores: Path) -> None:
    narrow, wide = (compare_scores(scores, Choice(alpha=alpha))["pairs"][0] for alpha in (0.2, 0.01))
    assert wide["low"] < narrow["low"]
    assert wide["p"] == narrow["p"]


def test_one_seed_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", {"a": table(1, 1), "b": table(2, 1), "c": table(3, 3), "d": table(4, 2)})
    found = compare_scores(path, Choice(arms=("a", "b", "c", "d")))
    first = found["arms"][0]
    assert (first["seeds"], first["low"], first["high"], first["within_arm_disagreement"]) == (1, None, None, None)
    assert [pair["method"] for pair in found["pairs"]] == ["single", *["crossed"] * 5]
    assert "one seed only: a, b" in found["notes"][0]
    assert "McNemar" in found["notes"][1]
    assert "two seeds only: d" in found["notes"][2]
    text = printed(found)
    assert "Note: one seed only: a, b" in text
    both = compare_scores(path, Choice(arms=("a", "b")))
    assert both["detectable"] is None
    json.dumps(both, allow_nan=False)


def test_identical_arms_and_copied_runs_are_said(tmp_path: Path) -> None:
    cells = table(1, 3)
    copied = np.repeat(table(2, 1), 3, axis=1)
    path = write(tmp_path / "s.csv", {"a": cells, "b": cells[:, ::-1], "c": copied})
    found = compare_scores(path, Choice(arms=("a", "b", "c")))
    assert found["pairs"][0]["verdict"] == "not distinguishable"
    assert (found["pairs"][0]["difference"], found["pairs"][0]["p"]) == (0, 1)
    assert any("identical arms: a and b" in note for note in found["notes"])
    assert any("all runs of c are the same" in note for note in found["notes"])


def test_names_are_printed_as_they_are_not_as_markup(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", {"[red]x[/red]": table(1, 2), "e\x1b[31mvil": table(2, 2)})
    text = printed(compare_scores(path, Choice()), 200)
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(arms=("plain", "god")), "no arm 'god'.*Did you mean 'good'"),
        (Choice(baseline="zzzz"), "no arm 'zzzz'.*Arms in the file: plain, good, like"),
        (Choice(arms=("plain", "plain")), "names an arm twice"),
        (Choice(arms=("plain",)), "needs two arms; there is only 'plain'"),
        (Choice(arms=("plain",), baseline="plain"), "needs two arms"),
    ],
)
def test_wrong_arms(scores: Path, choice: Choice, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_scores(scores, choice)


def test_too_little_to_compare(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs two arms"):
        compare_scores(write(tmp_path / "s.csv", {"a": table(1, 2)}), Choice())
    with pytest.raises(DataError, match="one item only"):
        compare_scores(write(tmp_path / "s.csv", {"a": table(1, 2, items=1), "b": table(2, 2, items=1)}), Choice())


def test_the_command(cli: Cli, scores: Path, tmp_path: Path) -> None:
    done = cli("compare", "--scores", scores, "--arms", "good, plain", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pairs"][0]["verdict"] == "better"
    done = cli("compare", "--scores", scores)
    assert "not distinguishable" in done.stdout
    assert "80 % power" in done.stdout
    broken = tmp_path / "broken.csv"
    broken.write_text("item,arm,seed,correct\nq1,a,1,yes\n")
    for arguments, message in (
        (("--scores", broken), f"{broken}, line 2: correct is 0 or 1, not 'yes'"),
        (("--scores", scores, "--arms", "nobody,plain"), "no arm 'nobody'"),
        (("--scores", scores, "--arms", ","), "--arms names nothing"),
        (("--scores", scores, "--alpha", "0.7"), "alpha"),
        ((), "Say what to compare"),
    ):
        done = cli("compare", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_public_results(shared: Path) -> None:
    """EvalTree's public predictions, as any user would hand them over."""
    found = compare_scores(shared / "data" / "evaltree" / "math_scores.csv", Choice())
    pairs = {(pair["a"], pair["b"]): pair for pair in found["pairs"]}
    generic = pairs["EvalTree", "Generic-Capability"]
    assert generic["difference"] == pytest.approx(2.16)
    assert generic["se"] == pytest.approx(0.7, abs=0.05)
    assert (generic["low"], generic["high"]) == pytest.approx((0.8, 3.5), abs=0.05)
    sampled = pairs["EvalTree", "Directly-Sampled"]
    assert sampled["difference"] == pytest.approx(0.74)
    assert sampled["verdict"] == "not distinguishable"
    apart = {arm["arm"]: arm["within_arm_disagreement"] for arm in found["arms"]}
    assert apart.pop("base") is None
    assert all(19 <= share <= 20.1 for share in apart.values()), apart
    assert "one seed only: base" in found["notes"][0]
