"""Examples as token ids, and the batches they are trained in.

Owns tokenisation (the prompt exactly as the engine renders it, the completion ended exactly once),
the check against ``max_length`` and the order of batches. Knows nothing of models or trainers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eval.engines.chat import encode_text, render_prompt, to_messages
from memory.errors import ConfigError
from memory.ids import derive_seed
from training.base import Example

Batching = Literal["length_grouped", "token_budget"]

#: Examples are length-sorted within blocks of this many batches, which keeps the mixture's order on the whole.
BLOCK = 50
#: Stands for any solution when a chat template is asked what it puts around one.
PROBE_TEXT = "solution"


@dataclass(frozen=True)
class Encoded:
    """One example: ``ids`` are prompt and completion; loss falls on ``ids[n_prompt:]`` only."""

    id: str
    ids: tuple[int, ...]
    n_prompt: int

    @property
    def labels(self) -> list[int]:
        """The ids with the prompt masked by -100, same length as ``ids``."""
        return [-100] * self.n_prompt + list(self.ids[self.n_prompt :])


def encode_examples(
    tokenizer: Any, examples: Sequence[Example], *, system_prompt: str | None = None, stop_ids: Sequence[int] = ()
) -> list[Encoded]:
    """Encode each example: engine's prompt, the template's white space, completion, one end token.

    Prompt and completion are tokenised apart, since the engine too continues after the prompt's own
    tokens. A completion that spells the end token out is cut there: what follows is never generated.

    Args:
        tokenizer: with a chat template, from `eval.engines.chat.load_tokenizer`.
        examples: prompts are statements, rendered here.
        system_prompt: as the engine uses it.
        stop_ids: further ids that end generation (the model's generation config).
    """
    lead, end = completion_frame(tokenizer, system_prompt, stop_ids)
    prompts = [render_prompt(tokenizer, to_messages(example.prompt, system_prompt)) for example in examples]
    encoded = []
    prompt_ids = _encode_batch(tokenizer, prompts)
    completion_ids = _encode_batch(tokenizer, [lead + example.completion for example in examples])
    for example, before, after in zip(examples, prompt_ids, completion_ids, strict=True):
        kept = after[: after.index(end)] if end in after else after
        encoded.append(Encoded(example.id, (*before, *kept, end), len(before)))
    return encoded


def completion_frame(tokenizer: Any, system_prompt: str | None, stop_ids: Sequence[int]) -> tuple[str, int]:
    """What the chat template writes around a solution: white space before it, and the id of its end token.

    The end is the template's own end-of-turn token where generation stops on it, else the tokenizer's eos.
    """
    eos = int(tokenizer.eos_token_id)
    messages = to_messages("problem", system_prompt)
    prompt = render_prompt(tokenizer, messages)
    turn = [*messages, {"role": "assistant", "content": PROBE_TEXT}]
    full = str(tokenizer.apply_chat_template(turn, tokenize=False))
    if not full.startswith(prompt) or PROBE_TEXT not in full[len(prompt) :]:
        return "", eos
    lead, _, tail = full[len(prompt) :].partition(PROBE_TEXT)
    tail_ids = encode_text(tokenizer, tail)
    end = tail_ids[0] if tail_ids and tail_ids[0] in {eos, *stop_ids} else eos
    return (lead if not lead.strip() else ""), end


def _encode_batch(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """As `encode_text` for each; one call is several times faster."""
    if not texts:
        return []
    found = tokenizer(texts, add_special_tokens=False, truncation=False, padding=False, verbose=False)["input_ids"]
    return [list(ids) for ids in found]


def check_lengths(encoded: Sequence[Encoded], max_length: int) -> None:
    """Refuse examples that do not fit; nothing is ever cut.

    Raises:
        ConfigError: no examples, or some exceed ``max_length`` tokens; says how many and the longest.
    """
    if not encoded:
        raise ConfigError("There are no examples to train on; the mixture is empty.")
    over = [example for example in encoded if len(example.ids) > max_length]
    if over:
        longest = max(over, key=lambda example: (len(example.ids), example.id))
        raise ConfigError(
            f"anneal.max_length is {max_length} tokens, but {len(over)} of {len(encoded)} examples are longer; "
            f"the longest, {longest.id}, has {len(longest.ids)}. Nothing is cut silently: "
            f"set anneal.max_length to {len(longest.ids)} or more, or remove the long problems."
        )


def length_stats(encoded: Sequence[Encoded]) -> dict[str, float]:
    """Counts and quantiles of token lengths (nearest rank): all in tokens."""
    lengths = sorted(len(example.ids) for example in encoded)

    def quantile(q: float) -> int:
        return lengths[min(len(lengths) - 1, int(q * len(lengths)))]

    return {
        "n_examples": len(lengths),
        "n_tokens": sum(lengths),
        "n_trained_tokens": sum(len(example.ids) - example.n_prompt for example in encoded),
        "length_p50": quantile(0.5),
        "length_p90": quantile(0.9),
        "length_p99": quantile(0.99),
        "length_max": lengths[-1],
    }


def plan_batches(
    lengths: Sequence[int], *, batching: Batching, batch_size: int, tokens_per_batch: int, seed: int
) -> list[list[int]]:
    """Cut examples into batches of similar length: indices into ``lengths``, each exactly once.

    Within a block of `BLOCK` batches examples are sorted by length and cut into batches, and the
    batches are shuffled by ``seed``. ``length_grouped`` batches have ``batch_size`` rows;
    ``token_budget`` batches as many rows as keep rows x longest row within ``tokens_per_batch``.
    """
    rng = random.Random(derive_seed(seed, "batches"))
    if batching == "length_grouped":
        block = BLOCK * batch_size
    else:
        mean = max(1, sum(lengths) // max(1, len(lengths)))
        block = BLOCK * max(1, tokens_per_batch // mean)
    batches: list[list[int]] = []
    for start in range(0, len(lengths), block):
        members = sorted(range(start, min(start + block, len(lengths))), key=lambda index: (lengths[index], index))
        found = _by_rows(members, batch_size) if batching == "length_grouped" else _by_tokens(
            members, lengths, tokens_per_batch
        )  # fmt: skip
        rng.shuffle(found)
        batches += found
    return batches


def _by_rows(members: list[int], size: int) -> list[list[int]]:
    return [members[start : start + size] for start in range(0, len(members), size)]


def _by_tokens(members: list[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for index in members:  # ascending: the newest member is the longest row
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > budget:
            batches.append([])
        batches[-1].append(index)
    return batches
