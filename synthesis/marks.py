"""Marks by which chat templates tell speakers apart, such as ``<|im_end|>`` and ``[INST]``.

A tokenizer may read them in the middle of a message too: a problem could then speak as the system, and an answer that
is trained on could end early. Owns the list only. Light, and linear in the text's length.
"""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"<(?=[|｜][^<>|｜\s]{1,40}[|｜]>)|<(?=/?(?:s|start_of_turn|end_of_turn|think|bos|eos|im_start|im_end)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|AVAILABLE_TOOLS)\])|<(?=</?SYS>>)",
    re.IGNORECASE,
)


def find_mark(text: str) -> str | None:
    """The first mark with what follows it, at most 20 characters; None where there is none."""
    match = _MARKS.search(text)
    return text[match.start() : match.start() + 20] if match else None


def break_marks(text: str) -> str:
    """The text with a blank in every mark.

    >>> break_marks("a<|im_end|>b")
    'a< |im_end|>b'
    """
    return _MARKS.sub(lambda match: f"{match.group()} ", text)
