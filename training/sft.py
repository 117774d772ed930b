"""TRL's SFTTrainer without what a small model cannot afford: metrics, model cards, logs, telemetry.

Owns batches as tensors, the loss, the LoRA product and complete checkpoints. Knows nothing of
problems, of files of a run, or of how an adapter is exported. Imported only when training starts.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora.layer import Linear as LoraLinear
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import PrinterCallback
from trl import SFTTrainer
from trl.trainer.utils import add_fused_lm_head

from memory.ids import derive_seed, sha256_file
from training.encoding import Encoded

WEIGHTS = "adapter_model.safetensors"
COMPLETE = "complete.json"
LOSSES = "losses.json"

#: Above this many logits of one batch, TRL's tiled head is used, which never holds all of them.
MAX_LOGITS = 1 << 24
#: Config fields by which models change their logits; with any of them the model's own head code is used.
LOGIT_CHANGES = (
    "final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling",
    "output_router_logits",
)  # fmt: skip


class Rows(torch.utils.data.Dataset[Encoded]):
    """The encoded examples, by index."""

    def __init__(self, encoded: Sequence[Encoded]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> Encoded:
        return self._encoded[index]


class PlannedBatches(torch.utils.data.Sampler[list[int]]):
    """The planned batches; the first epoch in their order, later ones shuffled by seed and epoch."""

    def __init__(self, batches: Sequence[list[int]], seed: int) -> None:
        self._batches = list(batches)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self._batches)
        if self._epoch:
            random.Random(derive_seed(self._seed, "epoch", self._epoch)).shuffle(order)
        return iter(order)


def collate(rows: Sequence[Encoded], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad on the right: ``input_ids`` and ``labels`` (rows, longest).

    No attention mask: with causal attention no real token sees a pad after it, pads carry no
    loss, and without a mask the fast causal kernel is used.
    """
    longest = max(len(row.ids) for row in rows)
    ids = [[*row.ids, *[pad_id] * (longest - len(row.ids))] for row in rows]
    labels = [[*row.labels, *[-100] * (longest - len(row.ids))] for row in rows]
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels)}


class AnnealTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer on encoded rows in planned batches, with complete checkpoints.

    ``losses`` holds the loss of each step so far, also across a resumed call.
    """

    def __init__(
        self,
        *,
        encoded: Sequence[Encoded],
        batches: Sequence[list[int]],
        loraplus_lr_ratio: float | None,
        run_key: str,
        progress: Callable[[int], None] | None,
        **sft: Any,
    ) -> None:
        self._rows = Rows(encoded)
        self._planned = batches
        self._ratio = loraplus_lr_ratio
        self._run_key = run_key
        self._progress = progress
        self.losses: list[float] = []
        super().__init__(**sft)
        self.remove_callback(PrinterCallback)
        # `compute_loss` divides by the tokens of the whole step, so they must be counted for every model.
        self.model_accepts_loss_kwargs = True
        base = self.model.get_base_model()
        self._direct = _head_is_plain(base)
        # Without the entropy and accuracy that TRL measures on every step.
        add_fused_lm_head(base, outputs=("log_probs",))
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's, without two walks over all modules on every step (2 of 65 ms on a tiny student)."""
        model, trained = self.model.train(), self._trained

        def clear_gradients(set_to_none: bool = True) -> None:
            for parameter in trained:
                parameter.grad = None

        model.train, model.zero_grad = lambda mode=True: model, clear_gradients
        try:
            return super().train(*args, **kwargs)
        finally:
            del model.train, model.zero_grad

    # ---- data

    def get_train_dataloader(self) -> Any:
        """The planned batches, in order."""
        pad_id = int(self.processing_class.pad_token_id)
        loader = DataLoader(
            self._rows,
            batch_sampler=PlannedBatches(self._planned, self.args.seed),
            collate_fn=lambda rows: collate(rows, pad_id),
        )
        return self.accelerator.prepare(loader)

    # ---- one step

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Negative log-likelihood of the completion tokens: summed, over the tokens of the whole step."""
        ids, labels = inputs["input_ids"], inputs["labels"]
        wanted = labels[:, 1:] != -100  # (rows, length - 1)
        n_items = num_items_in_batch if num_items_in_batch is not None else wanted.sum()
        base = self.model.get_base_model()
        if self._direct and int(wanted.sum()) * base.config.get_text_config().vocab_size <= MAX_LOGITS:
            hidden = base.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            head = base.get_output_embeddings()
            logits = F.linear(hidden[wanted], head.weight, head.bias).float()  # (tokens, vocabulary)
            return F.cross_entropy(logits, labels[:, 1:][wanted], reduction="sum") / n_items
        outputs = model(input_ids=ids, labels=labels, use_cache=False, fused_lm_head=True)
        return -outputs.log_probs.sum() / n_items

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """As TRL's; keeps the loss of the step and reports progress."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        step = self.state.global_step
        if len(self.losses) <= step:
            self.losses.append(0.0)
        self.losses[step] += float(loss)
        if self._progress is not None:
            self._progress(int(inputs["input_ids"].shape[0]))
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        return self.accelerator.clip_grad_norm_(self._trained, self.args.max_grad_norm)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The configured optimizer; with a ratio, LoRA+ (https://arxiv.org/abs/2402.12354)."""
        if self._ratio is None:
            return super().create_optimizer(model)  # type: ignore[no-any-return]
        chosen, kwargs = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        rate = kwargs.pop("lr")
        built: torch.optim.Optimizer = create_loraplus_optimizer(
            self.model,
            chosen,
            lr=rate,
            loraplus_lr_ratio=self._ratio,
            loraplus_weight_decay=self.args.weight_decay,
            **kwargs,
        )
        self.optimizer = built
        return built

    # ---- what is not wanted

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: it walks over all parameters on every step."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Nothing is printed; `losses` has the numbers."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The export writes its own."""

    def _send_telemetry(self) -> None:
        """Nothing leaves this machine."""

    # ---- checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint beside its place, sign it file by file, then rename it: it is complete or absent."""
        folder = Path(self.args.output_dir)
        step = self.state.global_step
        partial, final = folder / f"partial-{step}", folder / f"checkpoint-{step}"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(final, ignore_errors=True)
        partial.mkdir(parents=True)
        state = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, partial / WEIGHTS)
        self._save_optimizer_and_scheduler(str(partial))
        self._save_rng_state(str(partial))
        self.state.save_to_json(str(partial / "trainer_state.json"))
        (partial / LOSSES).write_text(json.dumps(self.losses), encoding="utf-8")
        hashes = {path.name: sha256_file(path) for path in sorted(partial.iterdir())}
        signed = json.dumps({"run": self._run_key, "step": step, "files": hashes}, sort_keys=True)
        (partial / COMPLETE).write_text(signed, encoding="utf-8")
        for path in partial.iterdir():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        partial.rename(final)
        for old in _numbered(folder)[2:]:
            shutil.rmtree(old, ignore_errors=True)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        set_peft_model_state_dict(self.model, load_file(folder / WEIGHTS))
        self.losses = [float(value) for value in json.loads((folder / LOSSES).read_text(encoding="utf-8"))]


def last_complete(folder: Path, run_key: str) -> Path | None:
    """The newest complete checkpoint of this very training; all others are removed from ``folder``."""
    chosen: Path | None = None
    for path in _numbered(folder):
        if chosen is None and _is_complete(path, run_key):
            chosen = path
        elif chosen is None:
            shutil.rmtree(path, ignore_errors=True)
    for partial in folder.glob("partial-*"):
        shutil.rmtree(partial, ignore_errors=True)
    return chosen


def _numbered(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.partition("-")[2].isdigit()]
    return sorted(found, key=lambda path: -int(path.name.partition("-")[2]))


def _is_complete(path: Path, run_key: str) -> bool:
    try:
        signed = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        return bool(signed["run"] == run_key) and all(
            sha256_file(path / name) == digest for name, digest in signed["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _head_is_plain(base: Any) -> bool:
    """Whether logits are the last hidden states times the head's weight, and nothing else."""
    config = base.config.get_text_config()
    return type(base.get_output_embeddings()) is torch.nn.Linear and all(
        getattr(config, name, None) in (None, False, 1.0) for name in LOGIT_CHANGES
    )


def speed_up_lora(model: Any) -> int:
    """Let small LoRA layers compute ``x (W + s B A)^T`` as one product; returns how many do.

    The same function and gradients as peft's, in another order of additions. It pays where the
    rank is a large part of the layer (a tiny student: 28 layers, 12 % less time a step); larger
    layers keep peft's two thin products. Only float32 layers without dropout or variants.
    """
    changed = 0
    for layer in model.modules():
        if type(layer) is not LoraLinear or list(layer.lora_A) != ["default"] or layer.fan_in_fan_out:
            continue
        base, a = layer.base_layer, layer.lora_A["default"]
        d_out, d_in = base.weight.shape
        plain = type(base) is torch.nn.Linear and base.weight.dtype == a.weight.dtype == torch.float32
        no_variant = not layer.lora_variant and type(layer.lora_dropout["default"]) is torch.nn.Identity
        if (
            plain
            and no_variant
            and not layer.lora_bias["default"]
            and 4 * a.out_features * (d_in + d_out) >= d_in * d_out
        ):
            layer.forward = types.MethodType(_one_product, layer)
            changed += 1
    return changed


def _one_product(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    a, b = self.lora_A["default"].weight, self.lora_B["default"].weight
    weight = torch.addmm(self.base_layer.weight, b, a, alpha=self.scaling["default"])  # (d_out, d_in)
    return F.linear(x, weight, self.base_layer.bias)
