"""The optimisation loop of pretraining: batches in, a trained model out, no files.

Owns padding, the loss and the optimiser. Imported only when training starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.pretrain import Encoded, PretrainConfig, StepLog, batches_of_epoch, learning_rate_at


class _HalfProduct(torch.autograd.Function):
    """``x @ w.T`` with its three matrix products in bfloat16, float32 on both sides.

    Autocast also moves attention to bfloat16, which is slower than float32 on processors.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # x: (..., in), weight: (out, in)
        flat, half = x.to(torch.bfloat16).reshape(-1, x.shape[-1]), weight.to(torch.bfloat16)
        ctx.save_for_backward(flat, half)
        return torch.mm(flat, half.t()).float().view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        flat, half = ctx.saved_tensors
        grad = grads[0].to(torch.bfloat16).reshape(-1, grads[0].shape[-1])
        return torch.mm(grad, half).float().view(*grads[0].shape[:-1], -1), torch.mm(grad.t(), flat).float()


class _HalfLinear(nn.Linear):
    """A linear layer without bias that multiplies in bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        """``(..., in) -> (..., out)``."""
        return _HalfProduct.apply(input, self.weight)  # type: ignore[no-any-return, no-untyped-call]


def _use_half_products(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and getattr(child, "bias", None) is None:
                half = _HalfLinear(child.in_features, child.out_features, bias=False, device="meta")
                half.weight = child.weight  # the same Parameter, so that tied weights stay tied
                setattr(parent, name, half)


def _optimizer(model: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [item for item in parameters if item.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [item for item in parameters if item.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, fused=True)


def _collate(items: Sequence[Encoded], pad_id: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids (b, t), flat positions that predict a solution token (m,), those tokens (m,)."""
    length = max(len(item.ids) for item in items)
    rows = [item.ids + [pad_id] * (length - len(item.ids)) for item in items]
    at: list[int] = []
    targets: list[int] = []
    for row, item in enumerate(items):
        at += range(row * length + item.prompt_length - 1, row * length + len(item.ids) - 1)
        targets += item.ids[item.prompt_length :]
    return (
        torch.tensor(rows, device=device),
        torch.tensor(at, device=device),
        torch.tensor(targets, device=device),
    )


def train(
    model: Any,
    encoded: Sequence[Encoded],
    config: PretrainConfig,
    *,
    pad_id: int,
    report: Callable[[StepLog], None],
) -> None:
    """Train in place. Loss is the mean over solution tokens of a batch; padding needs no mask, being on the right."""
    torch.set_num_threads(config.num_threads)
    model.to(config.device).train()
    if config.matmul_dtype == "bfloat16":
        # oneDNN keeps compiled code for each shape, and nearly every batch brings a new one: 1,024 of them are 4 GB.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
        _use_half_products(model)
    optimizer = _optimizer(model, config)
    epochs = [batches_of_epoch(encoded, config, epoch) for epoch in range(config.num_train_epochs)]
    schedule = [batch for epoch in epochs for batch in epoch]
    tokens = examples = 0
    for step, batch in enumerate(schedule):
        items = [encoded[index] for index in batch]
        ids, at, targets = _collate(items, pad_id, config.device)
        lr = learning_rate_at(step, len(schedule), config)
        for group in optimizer.param_groups:
            group["lr"] = lr
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state  # (b, t, d)
        # Logits of solution positions only: half of the vocabulary product falls away.
        logits = model.lm_head(hidden.flatten(0, 1).index_select(0, at))  # (m, v)
        loss = functional.cross_entropy(logits, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += sum(len(item.ids) for item in items)
        examples += len(items)
        report(StepLog(step + 1, len(schedule), loss.item(), lr, tokens, examples))
    model.eval()
