"""The terminal view of arms that were run, and the CSV of their cells."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from agent.report.comparison import print_comparison
from agent.report.comparison_csv import ScoreRow, write_scores
from eval.scores import read_scores
from memory.errors import DataError
from tests.agent.comparison_result import result


def printed(found: dict[str, object], width: int = 80) -> list[str]:
    stream = io.StringIO()
    print_comparison(found, Console(file=stream, width=width))
    return stream.getvalue().splitlines()


def test_the_terminal_begins_with_the_headline_and_holds_every_table() -> None:
    lines = printed(result(dry=("retrieval",)))
    assert lines[0] == "UNEQUAL BUDGETS: retrieval ran dry"
    assert "base: 46.0 % [42.0, 50.0] before training" in lines[1]
    rows = [" ".join(line.split()) for line in lines]
    for row in (
        "retrieval 3 52.00 [50.0, 54.0] +6.0 [+3.0, +9.0] 19.5 % dry",
        "targeted +7.80 [+5.3, +10.3] <0.001 0.002 better",
        "retrieval 812 of 1,000 1,262 of 1,312 0 435,000",
        "random +5.0 +3.8 - +11.5",
        "targeted +12.0 [+8.0, +16.0] +4.0 [+0.0, +8.0] +8.0 [+3.0, +13.0] 0.010",
        "random 47.2 48.5 51.0",
        "random needs 2.1 times the examples of targeted to reach 51.0 % (1.3 to 3.6).",
        "percent of a rest 90 +8.0* +6.0* +5.0* +0.2",
        "*: the 95 % interval excludes 0",
        "Note: the first note.",
        "Note: is it the second?",
    ):
        assert row in rows
    tables = [line for line in lines if "  " in line]
    assert max(map(len, tables)) <= 80


def test_clusters_that_do_not_fit_are_counted() -> None:
    found = result(arms=[f"a-rather-long-arm-{at}" for at in range(8)], labels=[f"c{at}" for at in range(11)])
    text = "\n".join(printed(found))
    assert "3 further clusters and 6 further arms with all intervals: --html or --json" in text
    assert "c7 " in text
    assert "c8 " not in text


def test_hostile_names_do_not_reach_the_terminal() -> None:
    evil = "\x1b[31m[red]e\x07vil\u202e\nforged row"
    found = result(arms=[evil, "b", "c"], labels=[evil]) | {"headline": evil, "notes": [evil]}
    text = "\n".join(printed(found, 200))
    assert "[red]e" in text
    assert not any(char in text for char in "\x1b\x07\u202e")
    assert not any(line.startswith("forged") for line in text.splitlines())


def test_nulls_are_dashes() -> None:
    found = result()
    for arm in found["arms"]:
        arm |= dict.fromkeys(("low", "high", "change", "targeted", "untargeted", "did", "new_examples", "drafted"))
    found |= {"clusters": [], "curves": None, "detectable": None, "base": None}
    text = "\n".join(printed(found))
    assert "None" not in text
    assert "examples of" not in text


ROWS = [
    ScoreRow(f'q{i}, "x"', arm, seed, (i + seed) % 2 == 0, 1000, i % 3 == 0, "=1+1" if i else None)
    for i in range(4)
    for arm in ("a,b", "c")
    for seed in (0, 1)
]


def test_scores_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(ROWS, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "item,arm,seed,correct,budget,targeted,cluster"
    assert lines[1] == '"q0, ""x""","a,b",0,1,1000,1,'
    assert lines[-1] == '"q3, ""x""",c,1,1,1000,1,\'=1+1'
    found = read_scores(path)
    assert found.items == tuple(f'q{i}, "x"' for i in range(4))
    assert found.seeds == {"a,b": ("0", "1"), "c": ("0", "1")}
    assert found.tables["c"].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    write_scores([ScoreRow("-1", "a", 0, True)], path)
    assert path.read_text(encoding="utf-8") == "item,arm,seed,correct\n-1,a,0,1\n"


def test_several_budgets_are_one_file_but_not_one_comparison(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores([*ROWS, *(row._replace(budget=250) for row in ROWS)], path)
    with pytest.raises(DataError, match=r"a second row for item .*; of several budgets keep the rows of one"):
        read_scores(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to write"),
        ([*ROWS, ROWS[0]], "two rows for item .*, arm 'a,b', seed 0, budget 1000"),
        ([ROWS[0]._replace(arm=" ")], "arm ' ' is empty or begins or ends with a space"),
        ([ROWS[0]._replace(item="")], "item '' is empty"),
    ],
)
def test_wrong_rows(tmp_path: Path, rows: list[ScoreRow], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_scores(rows, tmp_path / "scores.csv")
    assert list(tmp_path.iterdir()) == []
