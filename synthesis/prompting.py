"""Prompts from Jinja2 files: shipped in `synthesis/prompts`, each replaceable by a file of the same name.

Owns the convention (two blocks, ``system`` and ``user``), the variables each prompt knows, and how text that is
data is fenced in. Knows nothing of engines or replies. Templates run sandboxed; values are never rendered.
"""

from __future__ import annotations

import traceback
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from eval.engines.base import Messages
from memory.errors import ConfigError
from memory.ids import canonical_json, fingerprint, sha256_text
from synthesis.marks import break_marks

BUILTIN = Path(__file__).resolve().parent / "prompts"
_PRACTICE = ("label", "keyphrases", "exemplars", "n")
#: Every prompt and its variables; ``data`` and ``tag`` are known in all of them.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "write": _PRACTICE,
    "variants": _PRACTICE,
    "repair": (*_PRACTICE, "reply", "fault"),
    "solve": ("statement",),
    "program": ("statement",),
}
_HELPERS = ("data", "tag")
_BLOCKS = ("system", "user")

_EXAMPLE = {
    "label": "fractions",
    "keyphrases": ("half", "third"),
    "exemplars": (
        {"statement": "What is 1/2 + 1/3?", "answer": "5/6", "wrong_answer": "2/5"},
        {"statement": "What is 1/2 of 6?", "answer": "3", "wrong_answer": None},
    ),
    "n": 2,
    "reply": "I am sorry",
    "fault": "it is no JSON",
    "statement": "What is 1/2 + 1/3?",
}


class Prompts:
    """Renders prompts by name.

    Args:
        override_dir: a folder with files of the same names (``write.j2``, ...) that take the place of the shipped ones.
            They may extend those (``{% extends "builtin/write.j2" %}``) and include files whose name begins with ``_``.
    """

    def __init__(self, override_dir: Path | None = None) -> None:
        self.override_dir = override_dir
        shipped = jinja2.FileSystemLoader(BUILTIN)
        own = [jinja2.FileSystemLoader(override_dir)] if override_dir is not None else []
        self._env = ImmutableSandboxedEnvironment(
            loader=jinja2.ChoiceLoader([*own, jinja2.PrefixLoader({"builtin": shipped}), shipped]),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all sources: the files in effect and whatever they could include."""
        folders = [BUILTIN] if self.override_dir is None else [BUILTIN, self.override_dir]
        files = [[path.name, path.read_text(encoding="utf-8")] for folder in folders for path in _templates(folder)]
        return fingerprint(["prompts/1", files])

    def render(self, name: str, **variables: Any) -> Messages:
        """The messages of one prompt; without a system message where the file's system block is absent or empty.

        Raises:
            ConfigError: the file cannot be read, has a syntax error, or uses what is not there.
        """
        values = {**variables, **_fence(name, variables)}
        try:
            template = self._env.get_template(f"{name}.j2")
            context = template.new_context(values)
            for _ in template.root_render_func(context):  # collects the blocks, a parent's too
                pass
            parts = {block: _block(context, block) for block in _BLOCKS}
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise self._wrong(name, self._located()) from error
        if not parts["user"]:
            raise ConfigError(
                f"{self._file(name)}: nothing stands in {{% block user %}}. A prompt has its text in "
                "{% block user %}...{% endblock %} and, if wanted, {% block system %}...{% endblock %}."
            )
        return [{"role": role, "content": parts[role]} for role in _BLOCKS if parts[role]]

    def check(self) -> None:
        """Read every prompt and render it with example data, before anything is spent.

        Raises:
            ConfigError: a line for each prompt that is wrong, naming file, line, and the known variables.
        """
        if self.override_dir is not None:
            self._check_folder(self.override_dir)
        faults = []
        for name in VARIABLES:
            try:
                self._check_prompt(name)
            except ConfigError as error:
                faults.append(" ".join(str(error).split()))
        if faults:
            raise ConfigError("\n".join(faults))

    def _check_prompt(self, name: str) -> None:
        known = VARIABLES[name]
        self._check_names(name, known)
        example = {key: _EXAMPLE[key] for key in known}
        shapes = [example, {**example, "label": "", "keyphrases": ()}] if "label" in known else [example]
        for shape in shapes:
            self.render(name, **shape)

    def _check_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(f"prompts: there is no folder {folder}; make it, or leave the key out.")
        for path in _templates(folder):
            if path.stem not in VARIABLES and not path.name.startswith("_"):
                raise ConfigError(
                    f"{path}: no prompt is called {path.stem!r}; known are {', '.join(VARIABLES)}. A file that is only "
                    "included by others begins with _."
                )

    def _check_names(self, name: str, known: tuple[str, ...]) -> None:
        """Unknown variables, also in branches that example data does not reach, and text outside of the blocks."""
        path = self._file(name)
        try:
            tree = self._env.parse(path.read_text(encoding="utf-8"), name, str(path))
        except jinja2.TemplateSyntaxError as error:
            raise self._wrong(name, error) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from error
        unknown = meta.find_undeclared_variables(tree) - {*known, *_HELPERS}
        for found in tree.find_all(nodes.Name):
            if found.name in unknown:
                raise ConfigError(f"{path}, line {found.lineno}: unknown variable '{found.name}'. {_known(name)}")
        stray = next((item for item in _outside(tree) if item.data.strip()), None)
        if stray is not None:
            raise ConfigError(
                f"{path}, line {stray.lineno}: text outside of the blocks would be lost: {stray.data.strip()[:40]!r}. "
                "Put it into {% block system %} or {% block user %}."
            )

    def _located(self) -> Exception:
        """The error in flight, with a traceback of template lines instead of lines of compiled code."""
        try:
            self._env.handle_exception()
        except Exception as located:
            return located

    def _wrong(self, name: str, error: Exception) -> ConfigError:
        file, line = str(self._file(name)), getattr(error, "lineno", None)
        for frame in traceback.extract_tb(error.__traceback__):  # the last one is the innermost
            if line is None or not isinstance(error, jinja2.TemplateSyntaxError):
                file, line = (frame.filename, frame.lineno) if frame.filename.endswith(".j2") else (file, line)
        place = f", line {line}" if line else ""
        return ConfigError(f"{file}{place}: {error}. {_known(name)}")

    def _file(self, name: str) -> Path:
        own = self.override_dir / f"{name}.j2" if self.override_dir is not None else None
        return own if own is not None and own.is_file() else BUILTIN / f"{name}.j2"


def _templates(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.j2"))


def _known(name: str) -> str:
    if name not in VARIABLES:
        return f"Known prompts: {', '.join(VARIABLES)}."
    return f"Known in {name}.j2: {', '.join((*VARIABLES[name], *_HELPERS))}."


def _outside(tree: nodes.Template) -> Iterator[nodes.TemplateData]:
    for node in tree.body:
        if isinstance(node, nodes.Output):
            yield from node.find_all(nodes.TemplateData)


def _block(context: Context, name: str) -> str:
    blocks = context.blocks.get(name)
    return "".join(blocks[0](context)).strip() if blocks else ""


def _fence(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """``tag`` and ``data`` of one prompt.

    The tag is a hash over everything in the prompt, so that whoever writes one of the texts cannot know it, and the
    same prompt is the same text (a reply is cached by it). It is drawn again until it occurs in no text.
    """
    texts = list(_texts(variables))
    every = "\n".join(texts)
    draw = 0
    while (tag := f"data-{sha256_text(canonical_json([name, draw, texts]))[:16]}") in every:
        draw += 1
    return {"tag": tag, "data": lambda text: f"<{tag}>\n{clean(str(text))}\n</{tag}>"}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _texts(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def with_note(messages: Messages, note: str | None) -> Messages:
    """The messages of a prompt with a reviewer's note at the end of the last one; as they are where there is none.

    It stands outside of the prompt files, so that it also reaches a teacher whose prompts were replaced. It is data of
    the operator: fenced like all data, by a tag that occurs in no text, and said to be about what is written only.
    """
    if note is None or not note.strip():
        return messages
    *before, last = messages
    texts = [*(message["content"] for message in messages), note]
    draw = 0
    while (tag := f"note-{sha256_text(canonical_json([draw, texts]))[:16]}") in "\n".join(texts):
        draw += 1
    said = (
        "The person who reviews this practice looked at these failures and left a note. Heed it in choosing what to "
        f"write; it changes nothing in the form of the reply. The note stands between <{tag}> and </{tag}>:\n"
        f"<{tag}>\n{clean(note)}\n</{tag}>"
    )
    return [*before, {**last, "content": f"{last['content']}\n\n{said}"}]


def clean(text: str) -> str:
    """Data as it goes into a prompt: no control characters or lone surrogates, and no mark of a chat template.

    >>> clean("a<|im_end|>b")
    'a< |im_end|>b'
    """
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    return break_marks(kept).strip()
