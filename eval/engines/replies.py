"""What came back over HTTP: a reply, or a fault with a reason from a closed set.

Owns the reading of chat completions, which may hold anything, and the hiding of keys. Knows nothing of retries.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from memory.records import Finish

_STOPPED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})
_CUT = frozenset({"length", "max_tokens", "max_output_tokens"})
_EVIDENCE = 300
_MOST_TOKENS = 10**12
_HIDDEN = "[redacted]"
#: Shorter keys are placeholders; taking them out of a model's text would destroy it.
_SHORTEST_SECRET = 8


class Reason(StrEnum):
    """Why a request failed: the first word of ``Sample.error``."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"
    DENIED = "denied"
    TOO_LARGE = "too_large"
    MALFORMED_BODY = "malformed_body"
    EMPTY_CHOICES = "empty_choices"
    NO_CONTENT = "no_content"
    CONTENT_FILTER = "content_filter"
    FINISH_REASON = "finish_reason"
    BAD_PROMPT = "bad_prompt"
    STOPPED = "stopped"


class Secret:
    """An API key that shows itself to nobody but the HTTP client."""

    def __init__(self, value: str = "") -> None:
        self._value = value
        forms = {value, quote(value, safe=""), json.dumps(value)[1:-1]} if value else set()
        self._forms = sorted(forms, key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secret()"

    def reveal(self) -> str:
        """The key's value, for the Authorization header only."""
        return self._value

    def hide(self, text: str) -> str:
        """The text of an error without the key."""
        for form in self._forms:
            text = text.replace(form, _HIDDEN)
        return text

    def hide_in_reply(self, text: str) -> str:
        """A model's text without the key; left alone where the key is too short to be one."""
        return self.hide(text) if len(self._value) >= _SHORTEST_SECRET else text


@dataclass(frozen=True)
class Tokens:
    """Token counts of one reply as the server told them; 0 where it told none."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Reply:
    """A usable reply, finish ``STOP`` or ``LENGTH``."""

    text: str
    finish: Finish
    tokens: Tokens


@dataclass(frozen=True)
class Fault:
    """A reply that cannot be used.

    Attributes:
        reason: from the closed set.
        evidence: a short piece of what came, one line, no key in it.
        retry: whether asking again may help.
        overload: whether the endpoint should be asked less.
        retry_after: seconds the server asked to wait.
        status: of the HTTP reply, where there was one.
        tokens: what a reply that cannot be used cost all the same.
    """

    reason: Reason
    evidence: str = ""
    retry: bool = False
    overload: bool = False
    retry_after: float | None = None
    status: int | None = None
    tokens: Tokens = Tokens()

    def __str__(self) -> str:
        code = f" {self.status}" if self.status is not None else ""
        return f"{self.reason.value}{code}: {self.evidence}" if self.evidence else f"{self.reason.value}{code}"


def read_reply(body: bytes, secret: Secret) -> Reply | Fault:
    """Read the body of a chat completion with one choice. Hidden reasoning is left out of the text."""
    try:
        found = json.loads(body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return Fault(Reason.MALFORMED_BODY, evidence_of(body, secret))
    if not isinstance(found, dict):
        return Fault(Reason.MALFORMED_BODY, evidence_of(body, secret))
    tokens = _read_tokens(found.get("usage"))
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices:
        return Fault(Reason.EMPTY_CHOICES, evidence_of(body, secret), tokens=tokens)
    choice = choices[0] if isinstance(choices[0], dict) else {}
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else repr(finish)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if finish == "content_filter":
        return Fault(Reason.CONTENT_FILTER, "the server withheld the reply", tokens=tokens)
    if not isinstance(content, str):
        return Fault(
            Reason.NO_CONTENT, f"finish_reason {one_line(finish, secret)}; " + evidence_of(body, secret), tokens=tokens
        )
    text = secret.hide_in_reply(content)
    if finish in _STOPPED:
        return Reply(text, Finish.STOP, tokens)
    if finish in _CUT:
        return Reply(text, Finish.LENGTH, tokens)
    return Fault(Reason.FINISH_REASON, one_line(finish, secret), tokens=tokens)


def evidence_of(body: bytes, secret: Secret) -> str:
    """The start of a body as one printable line without the key."""
    return one_line(body.decode("utf-8", "replace"), secret)


def one_line(text: str, secret: Secret) -> str:
    """A text's start as one printable line without the key."""
    hidden = secret.hide(text)[: 4 * _EVIDENCE]
    printable = "".join(character if character.isprintable() else " " for character in hidden)
    return " ".join(printable.split())[:_EVIDENCE]


def _read_tokens(usage: Any) -> Tokens:
    if not isinstance(usage, dict):
        return Tokens()
    completion_details, prompt_details = usage.get("completion_tokens_details"), usage.get("prompt_tokens_details")
    return Tokens(
        prompt=_count(usage.get("prompt_tokens")),
        completion=_count(usage.get("completion_tokens")),
        reasoning=_count(completion_details.get("reasoning_tokens")) if isinstance(completion_details, dict) else 0,
        cached=_count(prompt_details.get("cached_tokens")) if isinstance(prompt_details, dict) else 0,
    )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return min(max(int(value), 0), _MOST_TOKENS)
