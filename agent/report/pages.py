"""What every HTML page of ours shares: templates, what may stand inside a script, and how a page is written.

Owns escaping on the way into a file. Knows nothing of what a page shows.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from memory.errors import UsageError
from memory.store import write_atomic

HERE = Path(__file__).parent
TEMPLATES, ASSETS = HERE / "templates", HERE / "assets"
#: What could end a script element, open another, or end a line of JavaScript.
_UNSAFE = re.compile("[<>&\u2028\u2029\x7f\ud800-\udfff]")


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template of ours with ``context``, escaped; the same for the same context."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # a lone surrogate of a model would make the file unreadable; texts have been cleaned, this is the last guard
    return environment.get_template(template).render(context).encode("utf-8", "replace").decode()


def write_html(path: Path, text: str) -> None:
    """Write a page; whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        write_atomic(path, text)
    except OSError as error:
        raise UsageError(
            f"{path}: the page cannot be written ({error.strerror}). Name a file in a folder you own"
        ) from error


def inert(json_text: str) -> str:
    """JSON that is only data wherever it stands in HTML: nothing in it can end its element or a line of script.

    The characters are written as JSON escapes, so that the value is the same. A lone surrogate stays one.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", json_text)


def asset(name: str) -> str:
    """A file of ``assets`` as text."""
    return (ASSETS / name).read_text(encoding="utf-8")


def csp_hash(script: str) -> str:
    """How a content security policy names one inline script: ``'sha256-...'``."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
