"""Asks `eval.engines.vllm.VLLMEngine`, run by the interpreter of vLLM's environment; speaks JSON on standard streams.

    python -m tests.servers.in_process < job.json > samples.json

A job is ``{"engine": {...}, "calls": [{"prompts": [...], "sampling": {...}}]}``; the reply holds, for each call, the
samples of each prompt and how many prompts progress was told of.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

# In this process and without compiling: what makes a small model start in seconds on a processor.
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", TORCHDYNAMO_DISABLE="1")

from eval.engines.base import Sampling
from eval.engines.vllm import VLLMEngine


def main() -> None:
    job = json.load(sys.stdin)
    adapter = job["engine"].pop("adapter", None)
    engine = VLLMEngine(**job["engine"], adapter=Path(adapter) if adapter else None)
    replies = []
    for call in job["calls"]:
        told: list[int] = []
        rows = engine.generate(call["prompts"], Sampling(**call["sampling"]), told.append)
        samples = [[{**dataclasses.asdict(sample), "usage": None} for sample in row] for row in rows]
        replies.append({"samples": samples, "told": sum(told)})
    engine.close()
    print(json.dumps({"fingerprint": engine.fingerprint, "replies": replies}))


if __name__ == "__main__":
    main()
