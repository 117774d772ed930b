"""A student's loss on given solutions: the mean negative log-likelihood of the completion's tokens.

Owns the batches and the arithmetic. Knows nothing of where the model comes from. torch is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from training.encoding import Encoded

#: Most rows x longest row of one batch; the logits of a batch are held at once.
BATCH_TOKENS = 4096


def mean_losses(model: Any, encoded: Sequence[Encoded], progress: Callable[[int], None] | None = None) -> list[float]:
    """Mean loss over the completion tokens of each example, nats per token, in the order given.

    Examples of one batch have the same length, so that nothing is padded and a loss does not depend on its
    neighbours. ``model`` is a causal language model in evaluation mode.
    """
    import torch
    import torch.nn.functional as F

    found = [0.0] * len(encoded)
    with torch.inference_mode():
        for batch in _batches(encoded):
            ids = torch.tensor([encoded[at].ids for at in batch], device=model.device)  # (rows, length)
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
            nll = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")  # (rows, length - 1)
            for row, at in enumerate(batch):
                found[at] = float(nll[row, encoded[at].n_prompt - 1 :].double().mean())
            if progress is not None:
                progress(len(batch))
    return found


def _batches(encoded: Sequence[Encoded]) -> list[list[int]]:
    """Indices of equal length together, within the token budget."""
    order = sorted(range(len(encoded)), key=lambda at: (len(encoded[at].ids), encoded[at].id))
    batches: list[list[int]] = []
    for at in order:
        length = len(encoded[at].ids)
        last = batches[-1] if batches else None
        if last and len(encoded[last[0]].ids) == length and (len(last) + 1) * length <= BATCH_TOKENS:
            last.append(at)
        else:
            batches.append([at])
    return batches
