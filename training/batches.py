"""Length-bucketed batches in a shuffled order.

Owns which examples go together. Knows nothing of tensors or models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def bucketed_batches(lengths: Sequence[int], batch_size: int, seed: int, bucket_batches: int = 32) -> list[list[int]]:
    """Cut one epoch into batches of examples of similar length.

    Examples are shuffled, sorted by length only within buckets of ``bucket_batches`` batches, and the
    batches are shuffled again. Sorting the whole epoch would save a little more padding, but then a
    batch holds few kinds of problems, since kinds differ in length.

    Args:
        lengths: tokens of each example, shape (n,).
        batch_size: examples in a batch; the last one may be smaller.
        seed: of both shuffles.
        bucket_batches: batches in a bucket.

    Returns:
        Indices into ``lengths``; each occurs exactly once.
    """
    rng = random.Random(seed)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = batch_size * bucket_batches
    batches: list[list[int]] = []
    for start in range(0, len(order), size):
        bucket = sorted(order[start : start + size], key=lambda index: lengths[index])
        batches += [bucket[at : at + batch_size] for at in range(0, len(bucket), batch_size)]
    rng.shuffle(batches)
    return batches
