"""Names for groups of texts: class-based TF-IDF key phrases, and labels that differ from each other.

Owns tokens, stop words and the formula. Knows nothing of how the groups came about. Light.

Formula of Grootendorst (2022), "BERTopic: Neural topic modeling with a class-based TF-IDF procedure",
arXiv:2203.05794: ``W[t, c] = tf[t, c] * log(1 + A / f[t])``, with ``tf`` the share of term t among the terms
of class c, ``f`` its count over all classes and ``A`` the mean number of terms in a class.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from memory.masking import NAME, mask_corpus

MAX_CHARS = 4_000  # of one text
MAX_PHRASE = 40  # characters of one phrase
_WORD = re.compile(r"[^\W\d_]{2,}(?:['’][^\W\d_]+)?")

_STOP = """
    a about after all also am an and another any are as at be because been before being both but by can could did
    do does done down during each either every few find first for from get gets give given gives go goes going had has
    have having he her here hers him his how if in into is it it's its itself just last later let many may me more most
    much must my no not now of off on once one ones only or other our out over own per please same she should so some
    such than that the their them then there these they this those three through to too two under until up us use used
    uses using very was we were what what's when where which while who whose why will with within without would you
    your answer altogether calculate compute determine question write boxed text frac
"""
STOP_WORDS = frozenset(_STOP.split())


def keyphrases(groups: Sequence[Sequence[str]], top: int = 8) -> list[tuple[str, ...]]:
    """The ``top`` highest-scoring words and word pairs of each group, best first, numbers and names masked.

    A phrase whose words are all in a better phrase of the group is left out. A group of texts without words
    (bare formulas) has no phrases. The order of the texts within a group does not matter.
    """
    masked = iter(mask_corpus([text[:MAX_CHARS] for group in groups for text in group]))
    counts = [sum((_terms(next(masked)) for _ in group), Counter()) for group in groups]
    overall: Counter[str] = sum(counts, Counter())
    mean = sum(overall.values()) / max(1, len(groups))
    found = []
    for count in counts:
        total = sum(count.values())
        scores = {term: n / total * math.log(1 + mean / overall[term]) for term, n in count.items()}
        ranked = sorted(scores, key=lambda term: (-round(scores[term], 12), term))
        found.append(_without_repeats(ranked, top))
    return found


def labels(phrases: Sequence[Sequence[str]], words: int = 3) -> list[str]:
    """One label a group, its first ``words`` phrases joined; longer, then numbered, where two would be the same."""
    found: list[str] = []
    for group in phrases:
        options = [", ".join(group[:size]) for size in range(min(words, len(group)), len(group) + 1)] or ["unnamed"]
        options = [option or "unnamed" for option in options]
        label = next((option for option in options if option not in found), None)
        number = 2
        while label is None:
            numbered = f"{options[0]} ({number})"
            label = numbered if numbered not in found else None
            number += 1
        found.append(label)
    return found


def _terms(text: str) -> Counter[str]:
    """Counts of kept words and of pairs of neighbouring kept words."""
    words = [word.lower()[:MAX_PHRASE] for word in _WORD.findall(text) if word != NAME]
    kept = [word for word in words if word not in STOP_WORDS]
    return Counter([*kept, *(f"{one} {two}" for one, two in pairwise(kept) if one != two)])


def _without_repeats(ranked: Sequence[str], top: int) -> tuple[str, ...]:
    chosen: list[str] = []
    for term in ranked:
        if len(chosen) == top:
            break
        words = set(term.split())
        if not any(words <= set(other.split()) for other in chosen):
            chosen.append(term)
    return tuple(chosen)
