"""What was paid for: one entry for each request to a paid model, kept exactly across kills and resumes.

Owns the records of spending. Knows nothing of HTTP, teachers or prices.
"""

from __future__ import annotations

from memory.records import Record


class Usage(Record):
    """What one reply took.

    Attributes:
        prompt_tokens: as the server counted them.
        completion_tokens: all generated tokens, ``reasoning_tokens`` included.
        reasoning_tokens: part of the completion that is hidden reasoning.
        cached_tokens: part of the prompt that the server had cached.
        requests: HTTP requests made, failed ones and retries included.
        retries: of those, how many came after a failure.
        seconds: wall-clock seconds from the first request to the reply.
        paid_by: id of the run that paid for the reply; None where nothing is paid (a local model).
        from_cache: whether the reply was answered by the request cache this time.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    paid_by: str | None = None
    from_cache: bool = False
