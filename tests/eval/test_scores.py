"""Files of item x arm x seed: what is read, and each fault with its place."""

from pathlib import Path

import pytest

from eval.scores import read_scores
from memory.errors import DataError

HEADING = "item,arm,seed,correct\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "scores.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_table_is_read_in_any_order(tmp_path: Path) -> None:
    text = "seed,Correct,note,arm,item\n1,1,x,a,q1\n1,0,x,a,q2\n2,TRUE,x,a,q2\n2,0.0,x,a,q1\n\n"
    text += "7,False,x,b,q2\n7,1.0,,b,q1\n"
    found = read_scores(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert found.items == ("q1", "q2")
    assert found.seeds == {"a": ("1", "2"), "b": ("7",)}
    assert found.tables["a"].tolist() == [[1, 0], [0, 1]]
    assert found.tables["b"].tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the heading must name item, arm, seed, correct"),
        ("item,arm,seed\n", "line 1.*'correct' stands there 0 times"),
        ("item,arm,seed,correct,arm\n", "line 1.*'arm' stands there 2 times"),
        (HEADING, "no rows"),
        (HEADING + "q1,a,1,1\nq2,a,1\n", "line 3: 3 fields where the heading has 4"),
        (HEADING + "q1,a,1,1\nq2,a,1,0.5\n", "line 3: correct is 0 or 1, not '0.5'"),
        (HEADING + "q1,a,1,\n", "line 2: correct is 0 or 1"),
        (HEADING + "q1,a,1,nan\n", "line 2: correct is 0 or 1"),
        (HEADING + "q1,,1,1\n", "line 2: item, arm and seed must not be empty"),
        (HEADING + "q1,a,1,1\nq1,a,1,1\n", "line 3: a second row for item 'q1', arm 'a', seed '1'"),
        (HEADING + 'q1,a,1,"1\n', "line 2: not CSV"),
        (HEADING.encode() + b"q\xff,a,1,1\n", "not UTF-8"),
        (
            HEADING + "q1,a,1,1\nq2,a,1,1\nq1,b,1,1\n",
            "1 of 4 cells are missing, the first: item 'q2', arm 'b', seed '1'",
        ),
        (HEADING + "q1,a,1,1\nq2,a,2,1\n", "2 of 4 cells are missing"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path)
