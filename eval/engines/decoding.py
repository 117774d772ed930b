"""A plain KV-cache decoding loop for one batch: token ids in, token ids out.

Owns prefill, choosing the next token, stopping and dropping finished rows. Knows nothing of text,
models' files or how batches are put together. Hugging Face ``generate`` spends 13-16 ms a step on
bookkeeping before any arithmetic; this loop gives the same greedy tokens without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

#: Finished rows are dropped when at least this share of the batch has finished.
COMPACT_SHARE = 0.25


@dataclass(frozen=True)
class Row:
    """One sequence to continue. ``seed`` None is greedy."""

    ids: list[int]
    seed: int | None = None


@torch.inference_mode()
def decode_batch(
    model: Any,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    eos_ids: frozenset[int],
    pad_id: int,
    temperature: float,
    top_p: float,
) -> list[list[int]]:
    """Continue every row until an end token (included in the result) or ``max_new_tokens``.

    Args:
        model: a causal language model in evaluation mode.
        rows: the batch, at least one row.
        max_new_tokens: most tokens to add to a row.
        eos_ids: tokens that end a row.
        pad_id: any valid token id, for the left padding.
        temperature: divides the logits of rows that have a seed.
        top_p: sampled rows choose among the fewest tokens whose probabilities reach this sum.
    """
    device = model.device
    ids, mask = _left_padded(rows, pad_id, device)  # (b, t)
    lengths = mask.sum(dim=1)  # (b,)
    uniform = _uniform_numbers(rows, max_new_tokens, device)  # (b, max_new_tokens), or None when greedy
    eos = torch.tensor(sorted(eos_ids), device=device)
    cache = DynamicCache(config=model.config)
    padded = bool((mask == 0).any())
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    alive = torch.arange(len(rows), device=device)  # row of each line still in the batch
    finished = torch.zeros(len(rows), dtype=torch.bool, device=device)  # per line
    produced = torch.full((len(rows), max_new_tokens), -1, dtype=torch.long, device=device)
    step_ids, step_positions = ids, positions
    for step in range(max_new_tokens):
        output = model(
            input_ids=step_ids,
            attention_mask=mask if padded else None,
            position_ids=step_positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].float()  # (lines, vocabulary)
        if uniform is None:
            chosen = logits.argmax(dim=-1)
        else:
            chosen = _sample(logits, uniform[alive, step], temperature, top_p)
        produced[alive, step] = torch.where(finished, -1, chosen)
        finished = finished | torch.isin(chosen, eos)
        done = int(finished.sum())
        if done == len(alive) or step + 1 == max_new_tokens:
            break
        lengths = lengths + 1
        if done >= COMPACT_SHARE * len(alive):
            keep = (~finished).nonzero().flatten()
            cache.batch_select_indices(keep)
            alive, chosen, lengths, mask, finished = (part[keep] for part in (alive, chosen, lengths, mask, finished))
        if padded:
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        step_ids, step_positions = chosen.unsqueeze(1), (lengths - 1).unsqueeze(1)
    return [[token for token in line if token >= 0] for line in produced.tolist()]


def _left_padded(rows: Sequence[Row], pad_id: int, device: Any) -> tuple[Tensor, Tensor]:
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row.ids)) + row.ids for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows], device=device)
    return ids, mask


def _uniform_numbers(rows: Sequence[Row], count: int, device: Any) -> Tensor | None:
    """One number in [0, 1) for each row and step, from the row's own seed: neighbours in the batch change nothing."""
    if all(row.seed is None for row in rows):
        return None
    drawn = []
    for row in rows:
        generator = torch.Generator().manual_seed(row.seed or 0)
        drawn.append(torch.rand(count, generator=generator, dtype=torch.float64))
    return torch.stack(drawn).to(device)


def _sample(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """Nucleus sampling by inversion. logits: (b, v), uniform: (b,) -> tokens: (b,)."""
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)  # the first token always stays
    total = ordered.cumsum(dim=-1)
    target = uniform.unsqueeze(1) * total[:, -1:]
    at = torch.searchsorted(total, target, right=True).clamp_max(total.shape[-1] - 1)
    return tokens.gather(1, at).squeeze(1)
