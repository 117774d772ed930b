"""The page of a run as a file: what stands in it, what cannot, and that its size is bounded. No browser."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from agent.commands.view import report_command
from agent.report.layout import lay_out, run_embedder
from agent.report.packing import pack
from agent.report.page import render_report, write_report
from agent.report.pages import inert
from benchmarks.made_run import make_run, wordy_failures
from memory.embedding import HashingEmbedder
from memory.store import CONFIG, RunFolder

HOSTILE = (
    "</script><script>window.pwned=1</script><!--<script> \u2028\u2029 \x1b[31m \u202e & &amp; <img src=x onerror=x>"
)


class Read(HTMLParser):
    """Scripts by their attributes, and every tag and address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._inside = tag == "script"
        self.tags.append(tag)
        self.addresses += [str(found[key]) for key in ("src", "href", "srcset", "action") if key in found]
        if tag == "script":
            self.scripts.append((found, ""))
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(found["content"])

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data


def index_of(page: Read) -> dict[str, Any]:
    (text,) = [text for attributes, text in page.scripts if attributes.get("id") == "index"]
    found: dict[str, Any] = json.loads(text)
    return found


def chunk_of(page: Read, name: str) -> Any:
    (text,) = [text for attributes, text in page.scripts if attributes.get("id") == f"chunk-{name}"]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_page_holds_all_it_needs_and_only_our_scripts_may_run(unbroken: dict[str, Any]) -> None:
    text = render_report(RunFolder(Path(unbroken["run"])))
    page = Read(text)
    assert page.addresses == ["#failures"]
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    programs = [body for attributes, body in page.scripts if "type" not in attributes]
    hashes = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in programs]
    assert len(programs) == 2
    allowed = " ".join(f"'sha256-{own}'" for own in hashes)
    assert f"script-src {allowed};" in page.policy
    assert "default-src 'none'" in page.policy
    assert "connect-src 'none'" in page.policy
    assert text == render_report(RunFolder(Path(unbroken["run"])))


def test_what_the_page_says_is_what_the_run_says(unbroken: dict[str, Any]) -> None:
    page = Read(render_report(RunFolder(Path(unbroken["run"]))))
    index = index_of(page)
    for card, entry in zip(index["rounds"], unbroken["rounds"], strict=True):
        assert card["changes"]["solved"] == entry["dev"]["gained"]
        assert card["changes"]["regressed"] == entry["dev"]["lost"]
        correct = entry["dev"]["counts"]["correct"]
        assert card["changes"]["failing"] == entry["dev"]["n"] - correct - entry["dev"]["lost"]
        assert card["funnel"][0]["left"] == entry["drafted"]
        assert card["funnel"][-2]["left"] == entry["accepted"]
        assert card["funnel"][-1]["left"] == card["mixture"]["counts"]["new"] == 100
        for before, after in zip(card["funnel"], card["funnel"][1:], strict=False):
            assert before["left"] - sum(after["lost"].values()) == after["left"]
        assert index["items"]["round"].count(card["index"]) == entry["clusters"]["failures"]
    head = chunk_of(page, "h0")[0]
    body = chunk_of(page, "b0")[0]
    assert head[1] != head[2]
    assert body["attempts"][0]["outcome"] == "wrong"
    assert len(body["fate"]) == 3
    assert len(chunk_of(page, "v0")["solved"]) == unbroken["rounds"][0]["dev"]["gained"]


def test_no_attempt_at_the_sealed_test_is_in_the_page(unbroken: dict[str, Any]) -> None:
    run = RunFolder(Path(unbroken["run"]))
    page = Read(render_report(run))
    (line,) = run.read("final", "test")
    sealed = {attempt["id"] for attempt in json.loads(line)["attempts"]}
    everything = json.dumps(
        [chunk_of(page, str(attributes["id"]).removeprefix("chunk-"))
         for attributes, _ in page.scripts if str(attributes.get("id")).startswith("chunk-")]
    )  # fmt: skip
    assert sealed
    assert not [name for name in sealed if name in everything]


def test_hostile_texts_are_data_wherever_they_stand(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", [(HOSTILE, HOSTILE, HOSTILE, HOSTILE), ("What is 2+2?", "4", "5", "5")],
        clusters=2, labels=[HOSTILE], drafts=[HOSTILE, "x" * 10],
    )  # fmt: skip
    text = render_report(run)
    page = Read(text)
    assert len([1 for attributes, _ in page.scripts if "type" not in attributes]) == 2
    assert page.tags.count("script") == len(re.findall("</script>", text))
    assert index_of(page)["clusters"][0]["label"] == HOSTILE
    assert chunk_of(page, "h0")[0][:2] == [HOSTILE, HOSTILE]
    assert "window.pwned" not in text.replace("\\u003c/script\\u003e\\u003cscript\\u003ewindow.pwned", "")
    assert not {"\u2028", "\u2029", "\x1b"} & set(text)
    text.encode("utf-8")


def test_inert_json_is_the_same_json() -> None:
    value = {HOSTILE: [HOSTILE + "\ud800"]}
    shown = inert(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert not {"<", ">", "&", "\u2028"} & set(shown)


def test_texts_are_cut_only_where_all_would_not_fit() -> None:
    rng = np.random.default_rng(0)
    noise = {f"b{at}": [rng.bytes(6000).hex()] for at in range(20)}
    assert pack(noise, budget=1_000_000).cap is None
    packed = pack(noise, budget=100_000)
    assert packed.cap == 6000
    assert sum(map(len, packed.chunks.values())) <= 100_000
    (first,) = json.loads(gzip.decompress(base64.b64decode(packed.chunks["b0"])))
    assert first == {"cut": noise["b0"][0][:6000], "of": 12000}


def test_the_map_is_the_same_every_time_and_near_is_alike() -> None:
    texts = [failure[0] for failure in wordy_failures(120, 4, 0)]
    first = lay_out(texts, HashingEmbedder(), "hashed words", 0)
    again = lay_out(texts, HashingEmbedder(), "hashed words", 0)
    assert (first.places == again.places).all()
    assert first.places.min() >= 0
    assert first.places.max() <= 1
    far = np.linalg.norm(first.places[:, None] - first.places[None], axis=2)
    np.fill_diagonal(far, np.inf)
    alike = np.mean([far[at].argmin() % 4 == at % 4 for at in range(120)])
    assert alike > 0.8  # by chance 0.25
    assert "t-SNE" in first.words


def test_equal_texts_are_told_apart_and_a_name_keeps_its_place() -> None:
    places = lay_out(["same"] * 3 + ["same"], HashingEmbedder(), "hashed words", 0, ["a", "b", "c", "a"]).places
    assert len({tuple(place) for place in places.tolist()}) == 3
    assert (places[0] == places[3]).all()


@pytest.mark.parametrize("model", ["package:no_such_package_here", "nobody/no-such-model", "./nowhere"])
def test_without_the_embedding_model_the_map_says_so(tmp_path: Path, model: str) -> None:
    run = make_run(tmp_path / "run", wordy_failures(40, 4, 0), clusters=4)
    config = (run.path / CONFIG).read_text()
    (run.path / CONFIG).write_text(config.replace("{embedder: hashing}", f"{{model_name_or_path: '{model}'}}"))
    embedder, words = run_embedder(run)
    assert isinstance(embedder, HashingEmbedder)
    assert "cannot be used here" in words
    assert "cannot be used here" in index_of(Read(render_report(run)))["map"]


def test_report_prints_and_writes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", wordy_failures(10, 2, 0), clusters=2, drafts=["What is 2+2?", "What is 1+1?"])
    before = run.artifacts()
    printed = CliRunner().invoke(report_command, [str(run.path)])
    assert printed.exit_code == 0, printed.output
    assert "report.html" in printed.output.replace("\n", "")
    assert (run.path / "report.html").is_file()
    other = tmp_path / "new" / "page.html"
    as_json = CliRunner().invoke(report_command, [str(run.path), "-o", str(other), "--json"])
    assert json.loads(as_json.stdout)["page"] == str(other)
    assert other.read_text() == (run.path / "report.html").read_text()
    assert run.artifacts() == before


def test_a_run_without_a_round_has_a_page(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "empty")
    run.path.mkdir()
    (run.path / "manifest.json").write_text("{}")
    write_report(run, tmp_path / "page.html")
    index = index_of(Read((tmp_path / "page.html").read_text()))
    assert index["rounds"] == []
    assert index["items"]["id"] == []
