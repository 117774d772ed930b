"""Where failures stand on the map: texts to vectors (by the run's own embedder, no student), vectors to two numbers.

Deterministic: the same texts and the same embedder give the same places. Says how a map was made, for the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.config import RunConfig, load_config
from memory.embedding import PACKAGE_PREFIX, Embedder, HashingEmbedder
from memory.errors import RemedialError
from memory.ids import fingerprint
from memory.index import Vectors
from memory.store import CONFIG, RunFolder

#: Distinct texts that t-SNE places; where there are more, the others stand between their neighbours among these.
TSNE_TEXTS = 800
#: Fewer distinct texts than this are placed by PCA alone.
TSNE_LEAST = 30
#: Among how many placed neighbours a further text stands.
NEIGHBOURS = 5
PCA_DIM = 30
#: How far apart failures with equal texts stand, and how far from their place at most, as parts of the map.
SEED_GAP, SEED_REACH = 0.012, 0.08

Places = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """A map.

    Attributes:
        places: (n, 2) within [0, 1], a row a text.
        words: how it was made.
        crowded: whether equal texts had to be spread around one place.
    """

    places: Places
    words: str
    crowded: bool = False


def run_embedder(run: RunFolder) -> tuple[Embedder, str]:
    """The run's own embedder with its cache, or a lexical one; and which it is, in words.

    Nothing is downloaded: a hub model that is not on this machine is replaced by hashed words.
    """
    try:
        config = load_config(run.path / CONFIG)
        embedder = _local(config, run.path / "cache" / "embeddings.sqlite")
    except (RemedialError, OSError, ValueError) as error:
        reason = str(error).split("\n")[0][:200]
        return HashingEmbedder(), f"hashed words, since the run's embedding model cannot be used here ({reason})"
    if isinstance(embedder, HashingEmbedder):
        return embedder, "hashed words (diagnose.embedder: hashing)"
    return embedder, f"embeddings of {Path(config.diagnose.model_name_or_path.removeprefix(PACKAGE_PREFIX)).name}"


def _local(config: RunConfig, cache_path: Path) -> Embedder:
    from agent.wiring import make_embedder

    name = config.diagnose.model_name_or_path
    is_hub = not name.startswith((PACKAGE_PREFIX, ".", "/", "~")) and not Path(name).is_dir()
    if config.diagnose.embedder != "hashing" and is_hub:
        from huggingface_hub import snapshot_download

        snapshot_download(name, revision=config.diagnose.revision, allow_patterns=["*.json"], local_files_only=True)
    embedder = make_embedder(config, cache_path)
    _ = embedder.fingerprint  # finds the model now, not in the middle of encoding
    return embedder


def lay_out(
    texts: Sequence[str], embedder: Embedder, source: str, seed: int, names: Sequence[str] | None = None
) -> Layout:
    """Places of ``texts``; equal texts stand around one place, each name always at the same.

    Args:
        texts: what is embedded.
        embedder: makes the vectors.
        source: the embedder in words.
        seed: for which texts t-SNE places where there are more than `TSNE_TEXTS`.
        names: whose text each is, where some may come again with the same text; None: each its own.
    """
    distinct = sorted(set(texts))
    if not distinct:
        return Layout(np.zeros((0, 2)), "no failures")
    try:
        vectors = embedder.encode(distinct)
    except (RemedialError, OSError, ImportError, RuntimeError) as error:
        embedder, reason = HashingEmbedder(), str(error).split("\n")[0][:200]
        source = f"hashed words, since the run's embedding model cannot be used here ({reason})"
        vectors = embedder.encode(distinct)
    places, how = _placed(vectors, seed)
    row = {text: at for at, text in enumerate(distinct)}
    rows = [row[text] for text in texts]
    names = names if names is not None else [str(at) for at in range(len(texts))]
    crowded = len(distinct) < len(set(zip(rows, names, strict=True)))
    return Layout(_apart(_unit(places)[rows], rows, names), f"{how} of {source}", crowded)


def _apart(places: Places, rows: Sequence[int], names: Sequence[str]) -> Places:
    """Points that would hide each other, as a sunflower's seeds around their place (Vogel, 1979)."""
    turns: dict[int, dict[str, int]] = {}
    for row, name in zip(rows, names, strict=True):
        own = turns.setdefault(row, {})
        own.setdefault(name, len(own))
    angle = np.pi * (3 - np.sqrt(5))
    moved = places.copy()
    for at, (row, name) in enumerate(zip(rows, names, strict=True)):
        turn = turns[row][name]
        reach = min(SEED_GAP, SEED_REACH / np.sqrt(len(turns[row]))) * np.sqrt(turn)
        moved[at] += reach * np.cos(turn * angle), reach * np.sin(turn * angle)
    return np.clip(moved, 0.0, 1.0)


#: Places by what they were made from: `remedial view` lays the same texts out again whenever the run has gone on.
_PLACED: dict[str, tuple[Places, str]] = {}


def _placed(vectors: Vectors, seed: int) -> tuple[Places, str]:
    key = fingerprint([hashlib.sha256(vectors.tobytes()).hexdigest(), seed])
    if key not in _PLACED:
        _PLACED.clear()
        _PLACED[key] = _project(vectors, seed)
    return _PLACED[key]


def _project(vectors: Vectors, seed: int) -> tuple[Places, str]:
    """(n, 2) of (n, dim), and by which method."""
    flat = pca(vectors, 2)
    if len(vectors) < TSNE_LEAST:
        return flat, "PCA"
    from sklearn.manifold import TSNE

    drawn = np.arange(len(vectors))
    if len(vectors) > TSNE_TEXTS:
        drawn = np.sort(np.random.default_rng(seed).choice(len(vectors), TSNE_TEXTS, replace=False))
    start = flat[drawn]
    start = start / (start[:, 0].std() or 1.0) * 1e-4  # as Kobak and Berens, 2019, "The art of using t-SNE"
    tsne = TSNE(
        n_components=2,
        perplexity=min(30.0, (len(drawn) - 1) / 3),
        init=start.astype(np.float32),
        learning_rate="auto",
        max_iter=500,
        random_state=0,
        n_jobs=1,
    )
    found = tsne.fit_transform(pca(vectors, PCA_DIM)[drawn].astype(np.float32)).astype(np.float64)
    if len(drawn) == len(vectors):
        return found, "t-SNE (van der Maaten and Hinton, 2008; from a PCA start)"
    return _between(vectors, drawn, found), (
        f"t-SNE (van der Maaten and Hinton, 2008; from a PCA start) of {len(drawn):,} of {len(vectors):,} texts, the "
        f"others at the weighted mean of their {NEIGHBOURS} nearest"
    )


def _between(vectors: Vectors, drawn: NDArray[np.int64], placed: Places) -> Places:
    """Every text that t-SNE did not place stands among its nearest neighbours that it did place."""
    out = np.zeros((len(vectors), 2))
    base = np.ascontiguousarray(vectors[drawn])
    for start in range(0, len(vectors), 1024):
        part = vectors[start : start + 1024]
        likeness = part @ base.T  # (rows, drawn) cosine
        best = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        near = np.take_along_axis(likeness, best, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / 0.05)
        weight /= weight.sum(axis=1, keepdims=True)
        out[start : start + 1024] = (placed[best] * weight[:, :, None]).sum(axis=1)
    out[drawn] = placed
    return out


def pca(vectors: Vectors, dim: int) -> Places:
    """(n, dim) of (n, any) on the first principal axes, signs fixed; missing axes are 0."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(-values)[:dim]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    found = centred @ axes
    return np.pad(found, ((0, 0), (0, dim - found.shape[1])))


def _unit(places: Places) -> Places:
    """Into [0, 1], each axis by itself; the outermost 0.2 % may be clipped, so that one stray does not shrink all."""
    low, high = np.quantile(places, 0.001, axis=0), np.quantile(places, 0.999, axis=0)
    span = np.where(high > low, high - low, 1.0)
    unit: Places = np.clip((places - (low + high) / 2) / span * 0.9 + 0.5, 0.0, 1.0)
    return unit
