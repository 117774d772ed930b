import json
from pathlib import Path

import pytest

from eval.engines.serving import AdapterServer, rank_argument
from memory.errors import ConfigError, EngineError
from tests.servers.fake_vllm import FakeVllm
from tests.servers.loopback import Loopback, Request, Response


def adapter(folder: Path, rank: int = 8) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def test_an_adapter_is_loaded_into_every_server_once(tmp_path: Path) -> None:
    path = adapter(tmp_path / "round-00")
    with FakeVllm() as a, FakeVllm() as b:
        servers = AdapterServer([a.url, b.url])
        servers.ensure("round-00", path, 8)
        servers.ensure("round-00", path, 8)
        for server in (a, b):
            assert server.adapters == {"round-00": str(path)}
            assert server.calls == [("load", "round-00")]


def test_what_lies_under_the_name_is_replaced(tmp_path: Path) -> None:
    path = adapter(tmp_path / "run-2" / "round-00")
    for old in ("/runs/run-1/round-00", str(path)):  # of another run; or of this folder, which may have changed since
        with FakeVllm() as server:
            server.adapters["round-00"] = old
            AdapterServer([server.url]).ensure("round-00", path, 8)
            assert server.adapters == {"round-00": str(path)}
            assert [call for call, _ in server.calls] == ["unload", "load"]


def test_a_server_that_restarted_is_loaded_again(tmp_path: Path) -> None:
    path = adapter(tmp_path / "round-00")
    with FakeVllm() as server:
        servers = AdapterServer([server.url])
        servers.ensure("round-00", path, 8)
        server.adapters.clear()
        servers.ensure("round-00", path, 8)
        assert server.adapters == {"round-00": str(path)}


def test_adapters_are_removed(tmp_path: Path) -> None:
    path = adapter(tmp_path / "round-00")
    with FakeVllm() as a, FakeVllm() as b:
        servers = AdapterServer([a.url, b.url])
        servers.ensure("round-00", path, 8)
        del b.adapters["round-00"]
        servers.remove("round-00")
        assert not a.adapters


def test_the_base_models_name_is_not_for_adapters(tmp_path: Path) -> None:
    with FakeVllm("round-00") as server, pytest.raises(EngineError, match="needs another name"):
        AdapterServer([server.url]).ensure("round-00", adapter(tmp_path / "a"), 8)


def test_a_folder_the_server_does_not_see(tmp_path: Path) -> None:
    with FakeVllm() as server, pytest.raises(EngineError, match="same path"):
        AdapterServer([server.url]).ensure("round-00", tmp_path / "nothing", 8)


def test_a_server_that_says_it_loaded_and_did_not(tmp_path: Path) -> None:
    async def liar(request: Request) -> Response:
        return Response(body=b'{"data": [{"id": "base", "parent": null}]}' if request.method == "GET" else b'"Success"')

    with Loopback(liar) as server, pytest.raises(EngineError, match="does not list it"):
        AdapterServer([server.url]).ensure("round-00", adapter(tmp_path / "a"), 8)


def test_ready_servers_pass() -> None:
    with FakeVllm("student") as a, FakeVllm("student") as b:
        AdapterServer([a.url, b.url]).check("student", 8)
        assert not a.adapters


def test_servers_that_are_not_ready_are_all_named() -> None:
    with FakeVllm("student", updating=False) as off, FakeVllm("other") as other:
        servers = AdapterServer([off.url, other.url, "http://127.0.0.1:9/v1"])
        with pytest.raises(ConfigError) as error:
            servers.check("student", 12)
    first, second, third = str(error.value).splitlines()
    assert off.url in first
    assert "--enable-lora --max-lora-rank 16" in first
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in first
    assert "does not serve the model 'student'. It serves: other" in second
    assert "cannot be reached" in third


def test_a_rank_over_the_limit_is_found_by_trying(tmp_path: Path) -> None:
    with FakeVllm(max_rank=16) as server:
        servers = AdapterServer([server.url])
        servers.check_rank(adapter(tmp_path / "fits", 16), 16)
        assert not server.adapters
        assert [call for call, _ in server.calls] == ["load", "unload"]
        with pytest.raises(ConfigError, match=r"rank 33, which allows 16\. Start it with --max-lora-rank 64"):
            servers.check_rank(adapter(tmp_path / "large", 33), 33)
    with FakeVllm(lora=False) as server, pytest.raises(ConfigError, match="Start vLLM with --enable-lora"):
        AdapterServer([server.url]).check_rank(tmp_path / "fits", 16)


@pytest.mark.parametrize(("rank", "argument"), [(1, 1), (3, 8), (8, 8), (9, 16), (65, 128), (257, 320), (1000, 1000)])
def test_rank_arguments_are_those_vllm_takes(rank: int, argument: int) -> None:
    assert rank_argument(rank) == argument
