"""The run folder: atomic, hashed, locked."""

import subprocess
import sys
from pathlib import Path

import pytest

from memory.errors import StoreError
from memory.store import RunFolder, hash_tree, write_atomic


def commit(run: RunFolder, lines: list[str], step: str = "probe") -> None:
    run.begin("round-00", step)
    run.commit("round-00", step, inputs="abc", seed=1, lines=lines, facts={"seconds": 1.5})


def test_a_step_comes_back_line_by_line_even_with_unicode_line_separators(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        commit(run, ['{"a":"x\u2028y\x85z"}', '{"b":2}'])
        assert run.read("round-00", "probe") == ['{"a":"x\u2028y\x85z"}', '{"b":2}']


def test_a_changed_byte_is_found_when_the_step_is_read(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        commit(run, ['{"a":1}'])
        path = run.path / "round-00" / "probe.jsonl"
        path.write_text(path.read_text().replace("1", "2"))
        with pytest.raises(StoreError, match=r"probe\.jsonl is not what was written"):
            run.read("round-00", "probe")


def test_a_changed_file_of_an_extra_folder_is_found_too(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        folder = run.begin("round-00", "anneal")
        (folder / "adapter").mkdir()
        (folder / "adapter" / "weights").write_bytes(b"\x00\x01")
        run.commit("round-00", "anneal", inputs="x", seed=1, lines=["{}"], folders=[folder / "adapter"])
        (folder / "adapter" / "weights").write_bytes(b"\x00\x03")
        with pytest.raises(StoreError, match="adapter/weights"):
            run.read("round-00", "anneal")


def test_an_unfinished_step_has_no_marker_and_begin_clears_its_leftovers(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        folder = run.begin("round-00", "probe")
        (folder / "probe.jsonl").write_text("half a li")
        assert run.marker("round-00", "probe") is None
        with pytest.raises(StoreError, match="not finished"):
            run.read("round-00", "probe")
        run.begin("round-00", "probe")
        assert not (folder / "probe.jsonl").exists()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from memory.store import RunFolder\n"
        "from memory.errors import StoreError\n"
        "try:\n    RunFolder(Path(sys.argv[1])).__enter__()\n"
        "except StoreError as error: print(error); sys.exit(3)\n"
    )
    with RunFolder(tmp_path / "run") as run:
        assert run.is_locked()
        found = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False)
    assert found.returncode == 3
    assert "process " in found.stdout
    assert "--output-dir" in found.stdout
    assert not RunFolder(tmp_path / "run").is_locked()


def test_artifacts_lists_outputs_with_hashes_and_timings_come_from_markers(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        commit(run, ["{}"])
        assert run.artifacts() == {
            "round-00/probe.jsonl": hash_tree(run.path / "round-00" / "probe.jsonl")["probe.jsonl"]
        }
        assert run.timings() == {"round-00": {"probe": 1.5}}
        assert run.seconds(["round-00", "round-01"]) == 1.5


def test_events_pass_over_a_half_line(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        run.event("one", n=1)
        with (run.path / "events.jsonl").open("a") as handle:
            handle.write('{"event": "ha')
        assert [event["event"] for event in run.events()] == ["one"]


def test_write_atomic_replaces_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "one")
    write_atomic(tmp_path / "a", "two")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "two")]
