"""One OpenAI-compatible endpoint: the client, one call with every failure told apart, and what it serves.

Owns the use of the ``openai`` client (imported when the first client is made). Knows nothing of batches, caches or
retries: the client's own are off.
"""

from __future__ import annotations

import asyncio
import difflib
import ipaddress
import json
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from eval.engines.limiter import parse_retry_after
from eval.engines.replies import Fault, Reason, Secret, evidence_of, one_line
from memory.errors import ConfigError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

#: Replies larger than this are not read to their end.
MOST_BYTES = 8 * 1024 * 1024
_RETRIED = frozenset({408, 409, 425, 429})
_DENIED = frozenset({401, 402, 403, 404})
_NAME = re.compile(r"[A-Za-z_]\w{0,18}|[A-Z][A-Z0-9_]{0,63}")


class TooLargeError(Exception):
    """A body is over ``MOST_BYTES``."""


@dataclass(frozen=True)
class EndpointCheck:
    """What a check of one endpoint found: ``message`` says what is wrong and what to do, or what is there."""

    url: str
    ok: bool
    message: str
    models: tuple[str, ...] = ()


def check_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """Base URLs without a slash at the end.

    Raises:
        ConfigError: none, one given twice, not http(s), or with a user and password in it.
    """
    found = tuple(url.rstrip("/") for url in urls)
    if not found:
        raise ConfigError("base_urls is empty; give at least one, for example http://localhost:8000/v1.")
    for url in found:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise ConfigError(
                f"base_url of {parts.hostname}: leave user and password out; api_key_env names a variable with a key."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url {url!r} is not an http(s) address; write it like http://localhost:8000/v1.")
    if len(set(found)) != len(found):
        raise ConfigError(f"base_urls names one address twice: {', '.join(found)}.")
    return found


def read_key(api_key_env: str | None) -> Secret:
    """The key in an environment variable; an empty one where no variable is named.

    Raises:
        ConfigError: the variable is not set, empty, or holds what no header can carry; or it is no variable's name.
    """
    if api_key_env is None:
        return Secret()
    value = os.environ.get(api_key_env, "").strip()
    if not value:
        check_key_name(api_key_env)
        raise ConfigError(f"api_key_env: the environment variable {api_key_env} is not set; export it with the key.")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigError(
            f"api_key_env: the value of {api_key_env} holds blanks or characters that no key has; copy the key again."
        )
    return Secret(value)


def check_key_name(api_key_env: str) -> None:
    """Refuse what may be the key itself, without showing it.

    Raises:
        ConfigError: it does not look like the name of an environment variable.
    """
    if not _NAME.fullmatch(api_key_env):
        raise ConfigError(
            "api_key_env must be the name of an environment variable that holds the key (such as TEACHER_API_KEY), "
            "never the key; what stands there does not look like such a name."
        )


def make_client(url: str, secret: Secret, timeout: float) -> AsyncOpenAI:
    """A client of one endpoint that does not retry, follows no redirect and reads bounded bodies.

    A key in OPENAI_API_KEY is never sent unless ``api_key_env`` names it; proxies are not used for this machine.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    http_client = DefaultAsyncHttpxClient(
        follow_redirects=False,
        trust_env=not _is_local(urlsplit(url).hostname or ""),
        event_hooks={"response": [_bound]},
        timeout=timeout,
    )
    return AsyncOpenAI(
        base_url=url, api_key=secret.reveal() or "none", max_retries=0, timeout=timeout, http_client=http_client
    )


async def call(request: Callable[[], Awaitable[bytes]], secret: Secret, timeout: float) -> bytes | Fault:
    """Await one HTTP call under a hard time limit (seconds), its body included.

    Args:
        request: makes the call and gives the body.
        secret: hidden in every evidence.
        timeout: seconds for everything.

    Returns:
        The body of a 2xx reply, or what went wrong.
    """
    from openai import APIConnectionError, APIStatusError

    try:
        async with asyncio.timeout(timeout):
            return await request()
    except TimeoutError:
        return Fault(Reason.TIMEOUT, f"no whole reply within {timeout:g} s", retry=True, overload=True)
    except APIStatusError as error:
        return _status_fault(error, secret)
    except TooLargeError:
        return Fault(Reason.TOO_LARGE, f"the body is over {MOST_BYTES} bytes")
    except APIConnectionError as error:
        return _connection_fault(error, secret, timeout)
    except Exception as error:
        # Whatever else a reply does to the client (a charset that is no charset, a header that is none) is about
        # that reply; asking again would not help.
        return Fault(Reason.MALFORMED_BODY, one_line(f"{type(error).__name__}: {error}", secret))


async def list_models(client: AsyncOpenAI, url: str, secret: Secret, timeout: float) -> list[dict[str, Any]] | Fault:
    """The entries of ``GET /models``, each with a string ``id``."""

    async def request() -> bytes:
        return (await client.models.with_raw_response.list()).content

    body = await call(request, secret, timeout)
    if isinstance(body, Fault):
        return body
    try:
        entries = json.loads(body)["data"]
        return [entry for entry in entries if isinstance(entry["id"], str)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Fault(Reason.MALFORMED_BODY, evidence_of(body, secret))


def explain(fault: Fault, url: str, model: str, api_key_env: str | None, known: Sequence[str] = ()) -> str:
    """A sentence that says what is wrong with an endpoint and what to do."""
    if fault.reason is Reason.UNREACHABLE:
        return f"{url} cannot be reached ({fault.evidence}). Start the server, or correct base_url."
    if fault.reason is Reason.TIMEOUT:
        return (
            f"{url} did not answer in time ({fault.evidence}). Look at the server's log and load, or correct base_url."
        )
    if fault.status in (401, 403):
        cure = (
            f"put a valid key into the environment variable {api_key_env}"
            if api_key_env
            else "set api_key_env to the name of an environment variable that holds a key"
        )
        return f"{url} refuses the key (HTTP {fault.status}: {fault.evidence}): {cure}."
    if fault.status in (402, 429) and not fault.retry:
        return f"{url} says that the account's quota is used up (HTTP {fault.status}: {fault.evidence}); top it up."
    if fault.status == 404 and (known or "model" in fault.evidence.lower()):
        return unknown_model(url, model, known)
    if fault.status is not None and 300 <= fault.status < 400:
        return f"{url} sends elsewhere (HTTP {fault.status}); put the final address into base_url."
    if fault.status == 404 or fault.reason is Reason.MALFORMED_BODY:
        hint = "" if url.endswith("/v1") else " (it usually ends in /v1)"
        return f"{url} is not an OpenAI-compatible server ({fault}). Correct base_url{hint}."
    return f"{url} failed ({fault}). Look at the server's log."


def unknown_model(url: str, model: str, known: Sequence[str]) -> str:
    """The sentence for a model that an endpoint does not serve."""
    if not known:
        return f"{url} does not serve the model {model!r}. Set model to one that it lists under {url}/models."
    near = difflib.get_close_matches(model, known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return f"{url} does not serve the model {model!r}. It serves: {shown}{hint}"


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where this thread already runs an event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


async def _bound(response: Any) -> None:
    # The client reads every body, also of errors, through this method; nothing public bounds it.
    read = response.aiter_bytes

    async def bounded(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in read(chunk_size):
            size += len(chunk)
            if size > MOST_BYTES:
                raise TooLargeError
            yield chunk

    response.aiter_bytes = bounded


def _status_fault(error: Any, secret: Secret) -> Fault:
    status = int(error.status_code)
    body = error.response.content
    evidence = evidence_of(body, secret)
    retry_after = parse_retry_after(error.response.headers.get("retry-after"))
    if status == 429 and b"insufficient_quota" in body:
        return Fault(Reason.DENIED, evidence, status=status)
    if status in _RETRIED or status >= 500:
        reason = Reason.RATE_LIMITED if status == 429 else Reason.SERVER_ERROR
        overload = status in (408, 429, 503, 504)
        return Fault(reason, evidence, retry=True, overload=overload, retry_after=retry_after, status=status)
    return Fault(Reason.DENIED if status in _DENIED else Reason.REFUSED, evidence, status=status)


def _connection_fault(error: Any, secret: Secret, timeout: float) -> Fault:
    cause = error.__cause__
    kind = type(cause).__name__  # by name: the HTTP library's module differs between versions of the client
    if isinstance(cause, TooLargeError):
        return Fault(Reason.TOO_LARGE, f"the body is over {MOST_BYTES} bytes")
    evidence = one_line(f"{kind}: {cause}", secret)
    if kind in ("ConnectError", "ConnectTimeout", "ProxyError"):
        return Fault(Reason.UNREACHABLE, evidence, retry=True)
    if "Timeout" in kind:
        return Fault(Reason.TIMEOUT, f"no whole reply within {timeout:g} s", retry=True, overload=True)
    if kind in ("LocalProtocolError", "UnsupportedProtocol", "DecodingError"):
        return Fault(Reason.MALFORMED_BODY, evidence)
    return Fault(Reason.CONNECTION, evidence, retry=True)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
