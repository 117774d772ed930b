"""Where a model's small files are: on this machine, on the hub, or nobody knows. Downloads nothing.

Owns the one question that `validate` may ask the hub, under a short time limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Where = Literal["here", "hub", "missing", "unknown"]

_SECONDS = 5.0
_MARKS = ("config.json", "modules.json")


def find(name: str, revision: str | None = None, *, offline: bool = False) -> tuple[Where, str]:
    """Where a ``model_name_or_path`` is, and a sentence about it.

    Args:
        name: a folder or a hub id.
        revision: of a hub id.
        offline: ask nobody.

    Returns:
        ``here``: a folder, or cached; ``hub``: the hub has it; ``missing``: the hub has no such model or revision, or
        does not give it to us; ``unknown``: not on this machine, and the hub was not asked or did not answer.
    """
    if Path(name).is_dir():
        return "here", f"{name} is a folder."
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        if any(isinstance(try_to_load_from_cache(name, mark, revision=revision), str) for mark in _MARKS):
            return "here", f"{name} is in the hub's cache on this machine."
    except HFValidationError:
        return "missing", f"{name} is neither a folder nor the id of a model on the hub; correct it."
    not_here = f"{name} is not on this machine"
    if offline or constants.HF_HUB_OFFLINE:
        return "unknown", f"{not_here}, and the hub was not asked (offline), so it was not checked."
    try:
        HfApi().model_info(name, revision=revision, timeout=_SECONDS)
    except GatedRepoError:
        return (
            "missing",
            f"the hub gives {name} only to who accepted its terms: do so, then log in (hf auth login).",
        )
    except RepositoryNotFoundError:
        return "missing", f"the hub has no model {name} (or does not show it to us); correct the id, or log in."
    except RevisionNotFoundError:
        return "missing", f"the hub has no revision {revision} of {name}; correct it."
    except Exception as error:
        # A network fails in more ways than can be listed, and none of them says anything about the config.
        return "unknown", f"{not_here}, and the hub did not answer ({type(error).__name__}), so it was not checked."
    return "hub", f"{name} is on the hub and will be downloaded when it is first used."
