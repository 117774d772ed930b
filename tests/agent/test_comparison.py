"""`remedial compare -c`: arms run at equal budget, killed and gone on with, and every wrong design."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.comparison.design import Design, Unit, expected_effect
from agent.comparison.reading import Used
from agent.comparison.results import headline, parity
from eval.scores import read_scores
from memory.errors import UsageError

Cli = Callable[..., subprocess.CompletedProcess[str]]

ARMS = ("targeted", "random", "hard_loss", "shuffled", "variants", "replay")
SMALL = ("--arms", "targeted,random,replay", "--seeds", "2", "-q")


@pytest.fixture(scope="module")
def whole(cli: Cli, demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Six arms, two seeds, curves at two further budgets for two of them."""
    folder = tmp_path_factory.mktemp("whole") / "cmp"
    done = cli(
        "compare", "-c", demo_config, "--arms", ",".join(ARMS), "--seeds", "2", "--budgets", "40,70,100",
        "--curve-arms", "targeted,random", "-o", folder, "--json", "-q",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def small(cli: Cli, demo_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An undisturbed comparison of three arms, to which disturbed ones are held."""
    folder = tmp_path_factory.mktemp("small") / "cmp"
    done = cli("compare", "-c", demo_config, *SMALL, "-o", folder, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def numbers(found: dict[str, Any]) -> dict[str, Any]:
    """Everything that does not tell the place or the time."""
    return {key: value for key, value in found.items() if key not in ("file", "command", "seconds")}


def markers(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("units/*/*/*.done"))}


def logs_of_finished(folder: Path) -> dict[Path, bytes]:
    finished = [path.parent.parent for path in folder.glob("units/*/final/test-1.done")]
    return {unit / "events.jsonl": (unit / "events.jsonl").read_bytes() for unit in finished}


def test_every_arm_is_there_with_its_price(whole: dict[str, Any]) -> None:
    assert [arm["arm"] for arm in whole["arms"]] == list(ARMS)
    assert [(pair["a"], pair["b"]) for pair in whole["pairs"]] == [("targeted", arm) for arm in ARMS[1:]]
    for arm in whole["arms"]:
        assert arm["seeds"] == 2
        assert arm["marks"] == []
        assert abs(arm["train_tokens"] / whole["arms"][0]["train_tokens"] - 1) < 0.01
        assert arm["change"]["difference"] == pytest.approx(arm["mean"] - whole["base"]["mean"])
        parts = [arm["targeted"], arm["untargeted"]]
        assert sum(part["items"] for part in parts) == whole["items"]
        weighed = sum(part["items"] * part["difference"] for part in parts) / whole["items"]
        assert weighed == pytest.approx(arm["change"]["difference"])
        assert arm["did"]["difference"] == pytest.approx(parts[0]["difference"] - parts[1]["difference"])
    control = whole["arms"][-1]
    assert (control["new_examples"], control["drafted"], control["teacher_tokens"]) == (0, 0, 0)
    assert control["per_1000_accepted"] is None
    for arm in whole["arms"][:-1]:
        assert arm["new_examples"] == 100
        assert arm["per_1000_accepted"] == pytest.approx(arm["change"]["difference"] * 10)
        assert arm["teacher_tokens"] > 0


def test_practice_for_failures_beats_no_practice_where_practice_teaches(whole: dict[str, Any]) -> None:
    against_replay = whole["pairs"][-1]
    assert against_replay["b"] == "replay"
    assert against_replay["verdict"] == "better"
    assert "Equal budgets: 100 new examples" in whole["headline"]


def test_curves_have_a_point_for_each_budget(whole: dict[str, Any]) -> None:
    assert whole["curves"]["budgets"] == [40, 70, 100]
    for arm in ("targeted", "random"):
        assert [point["budget"] for point in whole["curves"]["arms"][arm]] == [40, 70, 100]
    (ratio,) = whole["curves"]["ratios"]
    assert (ratio["a"], ratio["b"]) == ("random", "targeted")
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]


def test_the_files_beside_the_units(whole: dict[str, Any]) -> None:
    folder = Path(whole["file"])
    assert numbers(json.loads((folder / "result.json").read_text())) == numbers(whole)
    scores = read_scores(folder / "scores.csv")
    assert list(scores.tables) == list(ARMS)
    means = {arm["arm"]: arm["mean"] for arm in whole["arms"]}
    assert {arm: 100 * float(table.mean()) for arm, table in scores.tables.items()} == pytest.approx(means)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert whole["headline"] in page


def test_the_scores_written_give_the_same_table_again(cli: Cli, whole: dict[str, Any]) -> None:
    again = cli("compare", "--scores", Path(whole["file"]) / "scores.csv", "--baseline", "replay", "--json")
    found = json.loads(again.stdout)
    for arm in whole["arms"]:
        (same,) = (item for item in found["arms"] if item["arm"] == arm["arm"])
        assert all(same[key] == pytest.approx(arm[key]) for key in ("mean", "low", "high"))


def test_the_command_that_is_written_down_repeats_it(cli: Cli, small: dict[str, Any], tmp_path: Path) -> None:
    words = small["command"].split()
    assert words[:2] == ["remedial", "compare"]
    words[words.index("-o") + 1] = str(tmp_path / "again")
    done = cli(*words[1:], "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert numbers(json.loads(done.stdout)) == numbers(small)


def test_two_workers_make_the_same(cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path) -> None:
    done = cli("compare", "-c", demo_config, *SMALL, "-o", tmp_path / "cmp", "--workers", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert numbers(json.loads(done.stdout)) == numbers(small)


@pytest.mark.parametrize("point", ["step.done:9", "step.done:20", "mix.commit:3", "test.opened:4", "run.finished:5"])
def test_killed_and_gone_on_with_it_is_the_same_to_the_digit(
    cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "cmp"
    killed = cli("compare", "-c", demo_config, *SMALL, "-o", folder, fault=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before, finished = markers(folder), logs_of_finished(folder)
    resumed = cli("resume", folder, "--json", "-q")
    assert resumed.returncode == 0, resumed.stderr
    assert numbers(json.loads(resumed.stdout)) == numbers(small)
    after = markers(folder)
    assert {name: after[name] for name in before} == before  # steps that were finished have not been run again,
    assert {path: path.read_bytes() for path in finished} == finished  # and finished units not been opened


def test_killed_at_random_moments_with_workers(
    cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    folder, rng = tmp_path / "cmp", random.Random(3)
    command = [sys.executable, "-m", "agent.cli", "compare", "-c", str(demo_config), *SMALL, "-o", str(folder)]
    for _ in range(4):
        process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (folder / "units").exists():
            time.sleep(0.05)
        try:
            process.communicate(timeout=rng.uniform(0.0, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    deadline = time.monotonic() + 60
    while True:  # workers end within a second of their parent; until then a unit may still be theirs
        resumed = cli("resume", folder, "--json", "-q")
        if resumed.returncode == 0 or time.monotonic() > deadline:
            break
        assert "is being written by" in resumed.stderr
        time.sleep(0.5)
    assert numbers(json.loads(resumed.stdout)) == numbers(small)


def test_ctrl_c_says_how_to_go_on(cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cmp"
    words = [word for word in SMALL if word != "-q"]
    command = [sys.executable, "-m", "agent.cli", "compare", "-c", str(demo_config), *words, "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("unit 2"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"remedial resume {folder}" in errors
    assert "Traceback" not in errors
    assert numbers(json.loads(cli("resume", folder, "--json", "-q").stdout)) == numbers(small)


def test_seeds_and_arms_may_be_added_later(cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cmp"
    shutil.copytree(small["file"], folder)
    before = markers(folder)
    done = cli("compare", "-c", demo_config, "--arms", "targeted,random,replay,variants", "--seeds", "3", "-o", folder,
               "--json", "-q")  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = markers(folder)
    assert {name: after[name] for name in before} == before
    assert len({name.split("/")[1] for name in after}) == 12


def test_more_rounds_are_more_practice(cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path) -> None:
    done = cli("compare", "-c", demo_config, *SMALL, "--rounds", "2", "-o", tmp_path / "cmp", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [arm["new_examples"] for arm in found["arms"]] == [200, 200, 0]
    assert found["arms"][0]["mean"] > small["arms"][0]["mean"]


def web_config(demo_config: Path, folder: Path) -> Path:
    """The demo with web-like text beside it: its replay with every second answer wrong, one row without an answer."""
    config = yaml.safe_load(demo_config.read_text(encoding="utf-8"))
    for part in config["data"].values():
        if isinstance(part, dict):
            part["path"] = str((demo_config.parent / part["path"]).resolve())
    config["student"]["model_name_or_path"] = str(
        (demo_config.parent / config["student"]["model_name_or_path"]).resolve()
    )
    rows = [json.loads(line) for line in Path(config["data"]["replay"]["path"]).read_text().splitlines()]
    for at, row in enumerate(rows):
        row["question"] = row["question"].replace("What is", "So what is").replace("Find", "Now find")
        row["answer"] = "" if at == 0 else row["answer"] if at % 2 else "7"
    folder.mkdir()
    (folder / "web.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config["draft"] = {"web": {"path": "web.jsonl"}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_the_preset_sets_validated_data_against_web_text(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    config = web_config(demo_config, tmp_path / "in")
    done = cli(
        "compare", "-c", config, "--preset", "better-data", "--seeds", "2", "-o", tmp_path / "cmp", "--json", "-q"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [arm["arm"] for arm in found["arms"]] == ["replay", "web"]
    assert found["arms"][1]["new_examples"] == 100
    assert found["arms"][1]["teacher_tokens"] == 0
    assert "Equal budgets" in found["headline"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--preset", "better-data"), "draft.web.path"),
        (("--preset", "best-data"), "no preset 'best-data'"),
        (("--preset", "better-data", "--arms", "targeted,web"), "give one of the two"),
    ],
)
def test_a_preset_that_cannot_be_run(
    cli: Cli, demo_config: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = cli("compare", "-c", demo_config, *words, "-o", tmp_path / "cmp")
    assert done.returncode == 2
    assert says in done.stderr


def test_web_text_with_a_missing_column_names_the_line(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    config = web_config(demo_config, tmp_path / "in")
    with (tmp_path / "in" / "web.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "no question"}\n')
    done = cli("compare", "-c", config, "--preset", "better-data", "-o", tmp_path / "cmp")
    assert done.returncode == 2
    assert "web.jsonl, line 1201: column 'question' is missing" in done.stderr


WRONG: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--arms", "targeted,randm"), "Did you mean 'random'?"),
    (("--arms", "targeted"), "needs two arms"),
    (("--arms", "targeted,targeted"), "named twice"),
    (("--arms", "targeted,random", "--baseline", "replay"), "'replay' is not among --arms"),
    (("--arms", "targeted,random", "--seeds", "1,1"), "named twice"),
    (("--arms", "targeted,random", "--seeds", "two"), "write whole numbers"),
    (("--arms", "targeted,random", "--budgets", "10,0"), "positive"),
    (("--arms", "targeted,random", "--budgets", "10,90000"), "data.replay"),
    (("--arms", "targeted,random", "--budgets", "10,20", "--curve-arms", "replay"), "'replay' is not among --arms"),
    (("--arms", "targeted,random", "--set", "allocate.new_example=3"), "new_examples"),
    ((), "--arms targeted,random,replay"),
)


@pytest.mark.parametrize(("words", "says"), WRONG)
def test_a_wrong_design_is_refused_before_anything_is_made(
    cli: Cli, demo_config: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = cli("compare", "-c", demo_config, *words, "-o", tmp_path / "cmp")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cmp").exists()


def test_another_config_in_the_same_folder_is_refused(
    cli: Cli, demo_config: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "cmp"
    shutil.copytree(small["file"], folder)
    done = cli("compare", "-c", demo_config, *SMALL, "-o", folder, "--set", "mix.new=0.5", "--set", "mix.replay=0.5")
    assert done.returncode == 2
    assert "another config (unit targeted-100-seed-0)" in done.stderr
    run = cli("resume", folder, "--finish")
    assert run.returncode == 2
    assert "takes neither --set nor --finish" in run.stderr


def test_dry_run_says_what_could_be_found_and_makes_nothing(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    done = cli("compare", "-c", demo_config, *SMALL, "--dry-run", "-o", tmp_path / "cmp")
    assert done.returncode == 0, done.stderr
    assert "units: 6" in done.stdout
    assert "Found with 80 % power on 300 items and 2 seed(s) an arm" in done.stdout
    assert not (tmp_path / "cmp").exists()


def test_one_seed_is_said_to_stand_for_itself_only(cli: Cli, demo_config: Path, tmp_path: Path) -> None:
    words = ("--arms", "targeted,replay", "--seeds", "1", "-q", "--json")
    found = json.loads(cli("compare", "-c", demo_config, *words, "-o", tmp_path / "cmp").stdout)
    assert found["arms"][0]["low"] is None
    assert found["pairs"][0]["method"] == "single"
    assert any("one seed only" in note for note in found["notes"])


# ---- parity, from numbers alone


DESIGN = Design(arms=("targeted", "random", "replay"), seeds=(0,), budget=100)


def spent(arm: str, new: int, tokens: int) -> tuple[Unit, Used]:
    wanted = 0 if arm == "replay" else 100
    return Unit(arm, 100, 0), Used(new, wanted, new + 9, new, 5000, tokens, {}, 1.0)


def test_an_arm_that_ran_dry_stands_in_the_first_line() -> None:
    used = dict([spent("targeted", 100, 50_000), spent("random", 73, 50_010), spent("replay", 0, 49_990)])
    marks = parity(used)
    assert marks == {Unit("targeted", 100, 0): [], Unit("random", 100, 0): ["dry"], Unit("replay", 100, 0): []}
    line = headline(marks, used, DESIGN, 0)
    assert line == "UNEQUAL BUDGETS: random ran dry at 100 (73 of 100 new examples in the worst of 1 unit(s))"


def test_an_arm_without_drafts_stands_in_the_first_line() -> None:
    used = dict([spent("targeted", 100, 50_000), spent("random", 0, 50_010), spent("replay", 0, 49_990)])
    assert "random ran dry at 100 (0 of 100" in headline(parity(used), used, DESIGN, 0)


def test_other_numbers_of_tokens_stand_in_the_first_line() -> None:
    used = dict([spent("targeted", 100, 50_000), spent("random", 100, 51_000), spent("replay", 0, 50_000)])
    assert parity(used)[Unit("random", 100, 0)] == ["tokens"]
    assert "random at 100 trained on other numbers of tokens" in headline(parity(used), used, DESIGN, 0)


def test_equal_budgets_are_said_to_be_equal() -> None:
    used = dict([spent("targeted", 100, 50_000), spent("random", 100, 50_100), spent("replay", 0, 50_000)])
    line = headline(parity(used), used, DESIGN, 2)
    assert line.startswith("Equal budgets: 100 new examples a round; replay has none, as the control; ")
    assert "within 0.20 %" in line
    assert line.endswith("(2 unit(s) unfinished)")


def test_more_seeds_find_smaller_effects() -> None:
    few, many = (
        expected_effect(Design(arms=DESIGN.arms, seeds=tuple(range(n)), budget=100), 600)["one_pair"] for n in (3, 5)
    )
    assert 1 < many < few < 8


def test_a_design_reads_back_as_it_was_written() -> None:
    design = Design(("targeted", "replay"), (3, 4), 100, (50, 100), ("targeted",), 1, 2, "replay", 0.1)
    assert Design.from_dict(json.loads(json.dumps(design.as_dict()))) == design
    assert [unit.name for unit in design.units] == [
        "targeted-100-seed-3", "replay-100-seed-3", "targeted-100-seed-4", "replay-100-seed-4", "targeted-50-seed-3",
    ]  # fmt: skip


def test_unknown_arms_are_named_in_code_too() -> None:
    with pytest.raises(UsageError, match="no arm"):
        Design(arms=("targeted", "nothing-like-it"), seeds=(0,), budget=10)
