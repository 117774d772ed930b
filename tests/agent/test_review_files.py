"""The YAML file of a review: hostile text in it, and every way in which an edited one can be wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.review.check import checked
from agent.review.files import as_yaml, check_file, read_yaml, write_yaml
from agent.review.pending import ClusterView, DraftView, Example, Pending
from agent.review.yaml_text import quoted
from memory.errors import UsageError
from memory.records import Check, CheckOutcome, Trend
from memory.reviews import ClusterDecision, Decisions, DraftDecision, Point

HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x07",
    "\u202eevil\u202c \u200b\u2066x\u2069",
    "line one\nclusters: []\r\n- id: w-9\u2028next\u2029\x85end",
    '!!python/object/apply:os.system ["true"]',
    "&a [*a, *a] # comment\n--- %TAG ! x",
    "\" \\\" \\\\ 'quoted' {a: b} [c] | > @ ` \t",
    "面积 \U0001f600 \ufeff \ufffe \U000e0001 \x00",
    "yes",
    "~",
    "12",
    "",
)


def cluster(name: str, label: str = "sums", **more: Any) -> ClusterView:
    fields = {
        "id": name, "label": label, "keyphrases": (), "n": 9, "failures": 4, "failure_rate": 4 / 9, "low": 0.2,
        "high": 0.7, "stability": None, "trend": Trend.NEW, "parent": None, "parent_failures": None, "note": None,
        "planned": 10, "examples": (),
    }  # fmt: skip
    return ClusterView.model_validate({**fields, **more})


def draft(name: str, *, accepted: bool = True, objection: str | None = None, text: str = "What is 2+2?") -> DraftView:
    check = Check(verifier="algebra", version="1", outcome=CheckOutcome.ABSTAIN, reason="units", evidence=text)
    return DraftView(
        id=name, weakness_id="w-1", cluster=text, strategy="targeted", teacher="t", statement=text, solution=text,
        answer=text, accepted=accepted, reason="" if accepted else text, checks=(check,), objection=objection,
        withheld=False,
    )  # fmt: skip


def asked(*items: ClusterView | DraftView, run: str = "runs/x") -> Pending:
    clusters = tuple(item for item in items if isinstance(item, ClusterView))
    point = Point.DIAGNOSE if clusters else Point.VERIFY
    drafts = tuple(item for item in items if isinstance(item, DraftView))
    decisions = Decisions(round=1, point=point, state="5", clusters=tuple(ClusterDecision(id=c.id) for c in clusters))
    return Pending(
        run=run, round=1, point=point, state="5", budget=100, clusters=clusters, drafts=drafts, decisions=decisions
    )


CLUSTERS = asked(cluster("w-aa11"), cluster("w-bb22"), cluster("w-cc33"))
DRAFTS = asked(draft("d-aa11"), draft("d-bb22"), draft("d-cc33", accepted=False), draft("d-dd44", accepted=False,
               objection="algebra:false_equation: its solution is wrong by exact arithmetic"))  # fmt: skip


@pytest.mark.parametrize("waiting", [CLUSTERS, DRAFTS])
def test_the_file_as_written_approves(waiting: Pending, tmp_path: Path) -> None:
    write_yaml(waiting, tmp_path / "review" / "a.yaml")
    kept = check_file(tmp_path / "review" / "a.yaml", waiting)
    assert (kept.clusters, kept.drafts, kept.comment) == ((), (), "")
    assert kept == checked(waiting, waiting.decisions)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_models_stays_text(text: str, tmp_path: Path) -> None:
    example = Example(id="p-1", statement=text, answer=text, student=text)
    clusters = asked(cluster("w-aa11", text, examples=(example,), note=text), cluster("w-bb22"), run=f"runs/{text}")
    path = tmp_path / "a.yaml"
    write_yaml(clusters, path)
    reading = read_yaml(path)
    assert [(item.id, item.label) for item in reading.decisions.clusters] == [("w-aa11", text), ("w-bb22", "sums")]
    assert check_file(path, clusters).clusters == ()
    drafts = asked(draft("d-aa11", text=text), draft("d-bb22", accepted=False, objection=text, text=text))
    write_yaml(drafts, path)
    assert [item.id for item in read_yaml(path).decisions.drafts] == ["d-aa11"]
    for written in (as_yaml(clusters), as_yaml(drafts)):
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe]", written
        )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_persons_own_words_stay_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    body = as_yaml(CLUSTERS).replace('note: ""', f"note: {quoted(text)}", 1)
    path.write_text(body, encoding="utf-8")
    assert read_yaml(path).decisions.clusters[0].note == text


def test_plain_words_are_not_turned_into_other_types(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    body = as_yaml(CLUSTERS)
    for label in ("No", "1e3", "2024-01-01", "0x10"):
        path.write_text(body.replace('label: "sums"', f"label: {label}", 1), encoding="utf-8")
        assert check_file(path, CLUSTERS).clusters[0].label == label


def test_a_megabyte_is_cut_in_comments(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    waiting = asked(*(draft(f"d-{at}", text=long) for at in range(3)))
    write_yaml(waiting, tmp_path / "a.yaml")
    assert (tmp_path / "a.yaml").stat().st_size < 20_000
    assert "(1,000,000 characters)" in as_yaml(waiting)


def swapped(old: str, new: str, count: int = 1) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, count)

    return change


def about(name: str, old: str, new: str) -> Callable[[str], str]:
    """A change in the lines of one id."""

    def change(text: str) -> str:
        head, sign, tail = text.partition(f'- id: "{name}"')
        assert sign
        assert old in tail
        return head + sign + tail.replace(old, new, 1)

    return change


def then(*changes: Callable[[str], str]) -> Callable[[str], str]:
    def change(text: str) -> str:
        for one in changes:
            text = one(text)
        return text

    return change


def merge(name: str, into: str) -> Callable[[str], str]:
    return about(name, "action: keep", f"action: merge\n    into: {into}")


DROP_ALL = then(*(about(name, "action: keep", "action: drop") for name in ("w-aa11", "w-bb22", "w-cc33")))
VETO_ALL = then(*(about(name, "action: keep", "action: veto") for name in ("d-aa11", "d-bb22")))
#: What is edited, the line on which the fault lies (by a text that stands there), and what is said.
WRONG: tuple[tuple[str, Callable[[str], str], str | None, str], ...] = (
    ("no yaml", swapped("clusters:", "clusters: ["), "  - id: \"w-aa11\"", "not valid YAML"),
    ("tab", about("w-aa11", "    weight", "\tweight"), "\tweight", "not valid YAML"),
    ("tag", swapped("weight: 1", "weight: !!python/object:os.system 1"), "!!python",
     "tags (.*python/object.*) are not"),
    ("own tag", swapped("weight: 1", "weight: !x 1"), "!x", "tags ('!x') are not taken"),
    ("anchor", swapped('note: ""', "note: &a x"), "&a", "anchors (&a) are not taken"),
    ("alias", swapped('note: ""', "note: *a"), "*a", "not valid YAML|aliases (.*) are not taken"),
    ("two documents", lambda text: text + "---\nround: 2\n", "---", "a second document begins here"),
    ("deep", swapped('note: ""', "note: " + "[" * 40 + "]" * 40), "[[[[", "lists and maps stand 9 deep"),
    ("key twice", swapped("weight: 1", "weight: 1\n    weight: 2"), "weight: 2", "key 'weight' is given twice"),
    ("typo", swapped("weight: 1", "wieght: 1"), "wieght", "unknown key 'wieght'; did you mean 'weight'?"),
    ("unknown key", swapped("round: 1", "round: 1\nfoo: 1"), "foo", "unknown key 'foo'"),
    ("no number", swapped("weight: 1", "weight: lots"), "lots", "weight is 'lots'; give a number"),
    ("negative", swapped("weight: 1", "weight: -1"), "weight: -1", "weight -1 must be above 0"),
    ("zero", swapped("weight: 1", "weight: 0"), "weight: 0", "weight 0 must be above 0 .* drop it"),
    ("nan", swapped("weight: 1", "weight: nan"), "nan", "weight nan must be above 0"),
    ("infinite", swapped("weight: 1", "weight: inf"), "inf", "weight inf must be above 0"),
    ("action", about("w-aa11", "action: keep", "action: dorp"), "dorp", "action is 'dorp'; did you mean drop?"),
    ("no list", swapped("clusters:\n", "clusters: 5\nrest:\n"), "rest:", "unknown key 'rest'"),
    ("list as text", swapped('label: "sums"', "label: [a]"), "label: [a]", "label must be text"),
    ("no id", swapped('- id: "w-aa11"\n    action', "- action"), "- action", "an item of clusters has no id"),
    ("unknown id", swapped("w-aa11", "w-aa1"), '"w-aa1"', "no cluster 'w-aa1'; did you mean w-aa11?"),
    ("id twice", swapped("w-bb22", "w-aa11"), "second w-aa11", "cluster w-aa11 is given twice"),
    ("merge where", about("w-aa11", "keep", "merge"), "action: merge", "merge needs into"),
    ("merge with none", merge("w-aa11", "w-zz99"), "into: w-zz99", "into: there is no cluster 'w-zz99'"),
    ("into itself", merge("w-aa11", "w-aa11"), "into: w-aa11", "merged in a circle: w-aa11 -> w-aa11"),
    ("circle", then(merge("w-aa11", "w-bb22"), merge("w-bb22", "w-cc33"), merge("w-cc33", "w-aa11")),
     "into: w-bb22", "merged in a circle: w-aa11 -> w-bb22 -> w-cc33 -> w-aa11"),
    ("into a dropped one", then(merge("w-aa11", "w-bb22"), about("w-bb22", "keep", "drop")), "into: w-bb22",
     "merged into w-bb22, which is dropped"),
    ("into beside keep", about("w-aa11", "weight", "into: w-bb22\n    weight"), "into:",
     "into stands beside action keep"),
    ("nothing left", DROP_ALL, "clusters:", "all clusters are dropped.*remedial resume runs/x --finish"),
    ("note for a dropped one", about("w-aa11", 'keep\n    label: "sums"\n    weight: 1\n    note: ""',
     "drop\n    note: hello"), "note: hello", "note of a cluster that is not kept changes nothing"),
    ("empty name", swapped('label: "sums"', 'label: " "'), 'label: " "', "label is empty"),
    ("long name", swapped('label: "sums"', f"label: {'x' * 201}"), "xxx", "label has 201 characters, at most 200"),
    ("name of two lines", swapped('label: "sums"', 'label: "a\\nb"'), 'a\\nb', "label holds control characters"),
    ("bell", swapped('note: ""', 'note: "a\\a"'), 'a\\a', "note holds control characters"),
    ("hidden label", swapped('note: ""', 'note: "is label:ratio"'), "is label:", "holds a tag label:"),
    ("no state", swapped('state: "5"\n', ""), None, "key 'state' is missing"),
    ("stale round", swapped("round: 1", "round: 0"), "round: 0",
     "made for round 0 after diagnose.*round 1 after diagnose"),
    ("stale state", swapped('state: "5"', 'state: "4"'), "state:", "made for other clusters than the run waits with"),
    ("point", swapped("point: diagnose", "point: mix"), "point: mix", "point is 'mix'; known are diagnose, verify"),
    ("drafts", lambda text: text + "drafts:\n  - {id: d-1, action: veto}\n", "drafts:", "there are no drafts yet"),
)  # fmt: skip
WRONG_DRAFTS: tuple[tuple[str, Callable[[str], str], str | None, str], ...] = (
    ("all vetoed", VETO_ALL, "drafts:", "all accepted drafts are vetoed"),
    ("by no means", lambda text: text.replace("# ---- 1", '  - {id: "d-dd44", action: accept}\n# ---- 1'), "{id",
     "can't be accepted by hand: algebra:false_equation"),
    ("unknown", swapped("d-aa11", "d-ab11"), "d-ab11", "no draft 'd-ab11'; did you mean d-aa11?"),
    ("a cluster's action", about("d-aa11", "keep", "drop"), "drop", "action is 'drop'; known are keep, veto, accept"),
    ("clusters", lambda text: text + "clusters:\n  - id: w-1\n", "clusters:", "the clusters are decided already"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("waiting", "change", "place", "message"),
    [
        pytest.param(waiting, change, place, message, id=name)
        for waiting, cases in ((CLUSTERS, WRONG), (DRAFTS, WRONG_DRAFTS))
        for name, change, place, message in cases
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    waiting: Pending, change: Callable[[str], str], place: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    text = change(as_yaml(waiting))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        check_file(path, waiting)
    assert re.search(message.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?"), str(error.value)), error.value
    lines = text.split("\n")
    if place == "second w-aa11":
        expected = [at for at, line in enumerate(lines) if "w-aa11" in line][1]
    elif place is None:
        expected = 0
    else:
        expected = next(at for at, line in enumerate(lines) if place in line and not line.lstrip().startswith("#"))
    assert f"{path}, line {expected + 1}: " in str(error.value)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(UsageError, match="No file"):
        read_yaml(path)
    for body, message in ((b"\xff\xfe\x00", "not UTF-8"), (b"- a\n", "must hold keys"), (b"", "must hold keys"),
                          (b"{" * 100_000, "stand 9 deep|not valid YAML"), (b"a: \x00", "not valid YAML")):  # fmt: skip
        path.write_bytes(body)
        with pytest.raises(UsageError, match=message):
            read_yaml(path)
    path.write_text(as_yaml(CLUSTERS).replace('note: ""', 'note: "\\ud800"', 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"not valid YAML|lone surrogate"):
        read_yaml(path)


def test_a_file_for_a_run_that_waits_for_nothing_is_stale(tmp_path: Path) -> None:
    write_yaml(CLUSTERS, tmp_path / "a.yaml")
    with pytest.raises(UsageError, match=r"line 11: it was made for round 1 .* the run waits for no review"):
        check_file(tmp_path / "a.yaml", None)


def test_all_faults_are_told_at_once_by_id_where_there_is_no_file() -> None:
    given = CLUSTERS.decisions.model_copy(
        update={"clusters": (ClusterDecision(id="w-aa11", weight=-2), ClusterDecision(id="w-x"))}
    )
    with pytest.raises(UsageError) as error:
        checked(CLUSTERS, given)
    assert "clusters[0] (w-aa11): weight -2 must be above 0" in str(error.value)
    assert "clusters[1] (w-x): there is no cluster 'w-x'" in str(error.value)


def test_merging_may_go_through_a_cluster_that_is_merged_itself() -> None:
    chain = (
        ClusterDecision(id="w-aa11", action="merge", into="w-bb22"),
        ClusterDecision(id="w-bb22", action="merge", into="w-cc33"),
    )
    assert checked(CLUSTERS, CLUSTERS.decisions.model_copy(update={"clusters": chain})).clusters == chain


def test_what_says_nothing_new_is_left_out() -> None:
    same = ClusterDecision(id="w-aa11", label="sums", weight=1, note=" ", into="")
    kept = checked(CLUSTERS, CLUSTERS.decisions.model_copy(update={"clusters": (same,)}))
    assert kept.clusters == ()
    veto_of_refused = DRAFTS.decisions.model_copy(update={"drafts": (DraftDecision(id="d-cc33", action="veto"),)})
    assert checked(DRAFTS, veto_of_refused).drafts == ()
