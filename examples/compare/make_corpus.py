"""Make the corpus that the retrieval arm searches: a fresh draw of the mix that the quickstart's replay is of.

    python examples/compare/make_corpus.py [--size 40000] [--seed 1] [--out examples/compare/corpus.jsonl]

It is what a user has who looks for more of the data the student was pretrained on: skewed, with each rare skill at
0.1 %. No problem has the numbers and the answer of one that the quickstart measures. Some skills have fewer problems
than so large a mix asks for, so about one in thirty stands there twice; whoever reads the file counts it once.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

from eval.overlap import number_signatures
from memory.ids import normalise_text
from synthesis.world.base import Generated

HERE = Path(__file__).resolve().parent
QUICKSTART = HERE.parent / "quickstart"


def quickstart() -> ModuleType:
    """The quickstart's own generator."""
    spec = importlib.util.spec_from_file_location("quickstart_make_data", QUICKSTART / "make_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fresh_mix(made: ModuleType, seed: int, name: str, size: int) -> list[Generated]:
    """Another draw of the quickstart's mix, without twins of what it measures."""
    writer = made.Writer()
    for split in made.SPLITS:
        for line in (QUICKSTART / "data" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            writer.twins |= number_signatures(row["question"], row["answer"])
    items: list[Generated] = made.mix(seed, name, size, writer, unique=False)
    return items


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "corpus.jsonl")
    arguments = parser.parse_args()
    made = quickstart()
    items = fresh_mix(made, arguments.seed, "corpus", arguments.size)
    made.write(arguments.out, items)
    distinct = len({normalise_text(item.statement) for item in items})
    print(f"{arguments.out}: {len(items)} problems, {distinct} of them different")


if __name__ == "__main__":
    main()
