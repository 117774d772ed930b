"""The page of a comparison: what stands in it, in which order, and what hostile text can do (nothing)."""

import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.report.comparison_page import render_page, write_page
from agent.report.svg import spread, text_width, ticks
from memory.errors import UsageError
from tests.agent.comparison_result import change, result

Cli = Callable[..., subprocess.CompletedProcess[str]]
VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "ansi": "\x1b[31mred\x1b[0m",
    "rtl": "\u202egnp.exe\u202c",
    "long": "x" * 10_000,
    "attribute": '" onmouseover="alert(1)',
    "template": "{{ 7 * 7 }}{% raw %}",
    "surrogate": "lone \ud800",
    "close": "</title></style></svg></pre><img onerror=alert(1)>",
}


class Page(HTMLParser):
    """Tags, attributes and text of a page; every tag that opens must close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = "\n".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        if data.strip():
            self.words.append(data.strip())
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_page(result(dry=("retrieval",))))


def test_the_order_of_what_is_said(page: Page) -> None:
    body = page.text[page.text.index("UNEQUAL BUDGETS") :]
    places = [
        body.index(words)
        for words in (
            "UNEQUAL BUDGETS: retrieval ran dry",
            "targeted, retrieval, random and replay compared",
            "1,000 new examples a round",
            "First arm minus second",
            "arms, 95 % interval over seeds",
            "what was used, means a run",
            "points gained over the base per",
            "change over the base by where the failures were",
            "random needs 2.1 times the examples of targeted to reach 51.0 % (1.3 to 3.6).",
            "retrieval needs at least 4.0 times the examples of targeted",
            "change over the base by cluster",
            "the first note.",
            "is it the second?",
            "3.4 points for one pair, 5.2 points after Holm over 6",
            "remedial compare -c world.yaml --arms targeted,random --seeds 0,1,2",
        )
    ]
    assert places == sorted(places)
    assert next(words for words in page.words if words != "!" and "Remedial" not in words).startswith("UNEQUAL")


def test_the_numbers_of_the_tables(page: Page) -> None:
    for row in (
        ["retrieval", "3", "52.00", "[50.0, 54.0]", "+6.0 [+3.0, +9.0]", "0.010", "19.5 %", "dry"],
        ["retrieval", "812 of 1,000", "1,262 of 1,312", "0", "435,000"],
        ["targeted", "+8.0", "+6.2", "-", "+18.4"],
        ["replay", "+0.20", "+0.15", "-", "+0.46"],
        ["targeted", "+12.0 [+8.0, +16.0]", "+4.0 [+0.0, +8.0]", "+8.0 [+3.0, +13.0]", "0.010"],
        ["targeted\n- replay", "+7.80", "[+5.3, +10.3]", "<0.001", "0.002", "better"],
        ["targeted\n- replay", "+3.9 [-1.1, +8.9]", "0.400"],
        ["random", "47.2\n[46.2, 52.0]", "48.5\n[47.5, 52.0]", "51.0\n[50.0, 52.0]"],
        ["two trains", "89", "+6.0\n[+2.0, +10.0]", "+4.0\n[+0.0, +8.0]", "+3.0\n[-1.0, +7.0]", "-1.8\n[-5.8, +2.2]"],
    ):
        assert row in page.cells


def test_figures_are_whole_named_and_in_proportion() -> None:
    text = render_page(result())
    drawings = re.findall(r"<svg viewBox.*?</svg>", text, re.S)
    assert len(drawings) == 6  # three figures, each for wide and for narrow screens
    for drawing in drawings:
        root = ET.fromstring(drawing)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        width, height = map(float, str(root.get("viewBox")).split()[2:])
        for shape in root.iter("line"):
            assert all(0 <= float(str(shape.get(end))) <= width for end in ("x1", "x2"))
            assert all(0 <= float(str(shape.get(end))) <= height for end in ("y1", "y2"))
    forest = ET.fromstring(drawings[0])
    zero = next(float(str(e.get("x1"))) for e in forest.iter("line") if e.get("class") == "zero")
    rows = [g for g in forest if g.tag == "g" and g.find("title") is not None]
    assert len(rows) == 6
    places = {}
    for row in rows:
        point = next(e for e in row if e.get("class") == "point")
        x = float(re.findall(r"[\d.]+", str(point.get("transform")))[0])
        ends = sorted(float(str(e.get("x1"))) for e in row if e.get("class") == "whisker")
        assert ends[0] < x < ends[-1]
        places[str(row.findtext("title")).split(":")[0]] = x - zero
    assert places["targeted − replay"] / places["targeted − retrieval"] == pytest.approx(7.8 / 2.0, rel=0.02)
    assert "targeted − replay: +7.8 [+5.3, +10.3], p &lt;0.001, p Holm 0.002, better" in text


def test_equal_budgets_are_not_shouted() -> None:
    assert 'class="headline equal"' in render_page(result())
    assert 'class="headline unequal"' in render_page(result(dry=("random",)))
    silent = result() | {"headline": "something else"}
    silent["arms"][0]["marks"] = ["tokens"]
    assert 'class="headline unequal"' in render_page(silent)


def test_nothing_is_requested_and_nothing_runs() -> None:
    text = render_page(result())
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"} & set(page.tags)
    assert not [
        key for _, key, _ in page.attributes if key.startswith("on") or key in ("src", "href", "style", "srcset")
    ]
    for forbidden in ("http://", "https://", "src=", "@import", "url(", "javascript:"):
        assert forbidden not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 300_000
    assert text == render_page(result())


def hostile() -> dict[str, Any]:
    found = result(arms=list(HOSTILE.values()), labels=list(HOSTILE.values()))
    every = " ".join(HOSTILE.values())
    found |= {"headline": HOSTILE["tag"] + every, "notes": list(HOSTILE.values()), "command": every, "file": every}
    found |= {"benchmark": every, "versions": {HOSTILE["tag"]: HOSTILE["close"]}}
    found["config"] = {"a": HOSTILE["close"], "b": HOSTILE["rtl"], "c": HOSTILE["ansi"], "d": "é"}
    found["arms"][0]["marks"] = [HOSTILE["tag"]]
    found["pairs"][0]["verdict"] = HOSTILE["attribute"]
    return found


def test_hostile_text_is_shown_as_text() -> None:
    plain, text = Page(render_page(result(arms="abcdefgh", labels="abcdefgh"))), render_page(hostile())
    page = Page(text)
    assert set(page.tags) - {"strong"} == set(plain.tags) - {"strong"}
    assert {(tag, key) for tag, key, _ in page.attributes} <= {(tag, key) for tag, key, _ in plain.attributes} | {
        ("strong", "class"),  # a mark
        ("text", "transform"),  # long headings are turned
    }
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}{% raw %}" in page.text
    assert "x" * 2001 not in text.partition('<h2 id="repeat"')[0]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    for drawing in re.findall(r"<svg viewBox.*?</svg>", text, re.S):
        ET.fromstring(drawing)
    assert len(text) < 600_000


def test_the_configuration_reads_back_exactly() -> None:
    found = hostile()
    page = Page(render_page(found))
    shown = next(words for words in page.words if words.startswith("a: "))
    assert yaml.safe_load(shown) == found["config"]
    assert "é" in Page(render_page(result() | {"config": {"name": "é"}})).text


def test_whatever_may_be_missing_or_null() -> None:
    found = result()
    for key in (
        "headline",
        "curves",
        "config",
        "command",
        "versions",
        "base",
        "seeds",
        "seconds",
        "detectable",
        "file",
    ):
        render_page({**found, key: None})
        render_page({other: value for other, value in found.items() if other != key})
    for arm in found["arms"]:
        arm |= dict.fromkeys(
            ("low", "high", "within_arm_disagreement", "change", "marks", "new_examples", "requested", "drafted",
             "accepted", "train_tokens", "teacher_tokens", "per_1000_accepted", "per_1000_generated",
             "per_million_train_tokens", "targeted", "untargeted", "did")
        )  # fmt: skip
    for pair in found["pairs"]:
        pair["did"] = None
    found["clusters"] = [
        {"label": "", "items": 5, "gains": {"targeted": None}},
        {"label": "y", "items": 4, "gains": {}},
    ]
    found["curves"]["arms"]["random"] = [{"budget": 250, "seeds": 1, "mean": 50.0, "low": None, "high": None}]
    found["curves"]["arms"]["replay"] = []
    found["curves"]["arms"]["targeted"][1]["mean"] = None
    found["curves"]["ratios"] = [
        {"a": "a", "b": "b", "level": None, "ratio": None, "low": None, "high": None, "censored": None},
        {"a": "a", "b": "b", "level": 50.0, "ratio": 0.5, "low": None, "high": 1.0, "censored": "at_most"},
        {"a": "a", "b": "c", "level": 50.0, "ratio": 2.0, "low": 1.0, "high": None, "censored": "at_least"},
        {
            "a": "a",
            "b": "d",
            "level": 50.0,
            "ratio": 2.0,
            "low": 1.0,
            "high": 4.0,
            "censored": None,
            "high_censored": True,
        },
    ]
    page = Page(render_page(found))
    assert "None" not in page.text
    assert "nan" not in page.text
    assert "a against b: no budget ratio can be told at the same accuracy." in page.text
    assert "a needs at most 0.50 times the examples of b to reach 50.0 % (no lower limit, up to 1.00)." in page.text
    assert "a needs at least 2.0 times the examples of c to reach 50.0 % (from 1.00, no upper limit)." in page.text
    assert "a needs 2.0 times the examples of d to reach 50.0 % (1.00 to at least 4.0)." in page.text


def test_many_arms_are_cut_where_a_figure_would_not_hold_them() -> None:
    found = result()
    found["arms"] = [{**found["arms"][0], "arm": f"arm {at}"} for at in range(30)]
    found["pairs"] = [
        {**found["pairs"][0], "a": f"arm {a}", "b": f"arm {b}", **change(0.1 * (b - a), 2)}
        for a in range(30)
        for b in range(a + 1, 30)
    ]
    found["curves"]["arms"] = {f"arm {at}": found["curves"]["arms"]["random"] for at in range(30)}
    text = render_page(found)
    assert "The first 60 of 435 pairs are drawn." in text
    assert "the first 200 of 435 rows; --json holds all" in text
    assert len(text) < 700_000


def test_ends_of_lines_do_not_lie_on_each_other() -> None:
    for places in ([5.0] * 6, [0.0, 1.0, 100.0, 99.0, 50.0], [98.0, 99.0, 100.0, 3.0], []):
        found = spread(places, 15, 0, 100)
        assert all(-1e-6 <= place <= 100 + 1e-6 for place in found)
        ordered = sorted(found)
        assert all(b - a >= 15 - 1e-6 for a, b in pairwise(ordered))
        assert [at for _, at in sorted(zip(places, range(len(places)), strict=True))] == [
            at for _, at in sorted(zip(found, range(len(found)), strict=True))
        ]
    assert spread([10.0, 50.0, 90.0], 15, 0, 100) == [10, 50, 90]
    assert sorted(spread([50.0] * 20, 15, 0, 100))[-1] == pytest.approx(100)


def test_ticks_and_widths() -> None:
    assert ticks(-1.0, 10.5, 6) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.0, 0.03, 3) == [0, 0.01, 0.02, 0.03]
    assert ticks(3, 3) == [3]
    assert text_width("漢字", 10) > text_width("ab", 10)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/page\.html: the page cannot be written"):
        write_page(result(), tmp_path / "nowhere" / "page.html")
    write_page(result(), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_scores_of_elsewhere(cli: Cli, tmp_path: Path) -> None:
    scores = tmp_path / "s.csv"
    lines = [
        f"q{i},{arm},{s},{int((i * 7 + s * k) % 10 < k)}"
        for arm, k in (("a", 7), ("<b>", 4))
        for i in range(50)
        for s in (1, 2)
    ]
    scores.write_text("\n".join(["item,arm,seed,correct", *lines]) + "\n", encoding="utf-8")
    done = cli("compare", "--scores", scores, "--html", tmp_path / "out.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "headline" not in [value for _, key, value in page.attributes if key == "class"]
    assert page.text.count("better") >= 1
    assert {"curves", "clusters", "where"}.isdisjoint(value for _, key, value in page.attributes if key == "id")
    assert f"remedial compare --scores {scores} --arms 'a,<b>' --alpha 0.05" in page.text
    done = cli("compare", "--scores", scores, "--html", tmp_path / "no" / "out.html")
    assert done.returncode == 2
    assert "the page cannot be written" in done.stderr
