"""GSM8K in its own format (Cobbe et al. 2021, arXiv:2110.14168): ``question``, and ``answer`` that ends in ``#### N``.

Owns the translation into problems. Grading is the common one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.benchmarks.jsonl import collect
from memory.errors import DataError
from memory.records import Problem, Split

_NOTE = re.compile(r"<<[^<>\n]*>>")
_FINAL = re.compile(r"^####[ \t]*(-?[\d,]+(?:\.\d+)?)\s*\Z", re.MULTILINE)


def read_gsm8k(
    path: Path, *, columns: Mapping[str, str | None] | None = None, split: Split, limit: int | None = None
) -> tuple[Problem, ...]:
    r"""Problems of a GSM8K file, sorted by id.

    The answer is N without thousands separators; the solution is the worked text without ``<<...>>`` calculator notes,
    ending in a line ``\boxed{N}``. ``columns`` is not used: the format fixes them.

    Raises:
        DataError: see `eval.benchmarks.jsonl.read_jsonl`; also an answer without a final ``#### N`` line.
    """

    def make(row: Mapping[str, Any], where: str) -> Problem:
        question, worked = row.get("question"), row.get("answer")
        if not isinstance(question, str) or not isinstance(worked, str) or not question.strip():
            raise DataError(
                f"{where}: GSM8K rows hold text in 'question' and 'answer'. For other columns set format: jsonl "
                "and name them in columns."
            )
        match = _FINAL.search(worked)
        if match is None:
            raise DataError(
                f"{where}: the answer does not end in a line '#### N'. For plain answers set format: jsonl."
            )
        answer = match.group(1).replace(",", "")
        return Problem.make(
            question, answer, source=path.name, split=split, solution=to_solution(worked[: match.start()], answer)
        )

    return collect(path, make, limit)


def to_solution(worked: str, answer: str) -> str:
    r"""Worked text without calculator notes, ending in ``\boxed{answer}``."""
    steps = _NOTE.sub("", worked).rstrip()
    return f"{steps}\n\\boxed{{{answer}}}" if steps else f"\\boxed{{{answer}}}"
