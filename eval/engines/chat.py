"""The one rendering of prompts: training and inference both come through here.

Owns how a problem's statement becomes messages, text and token ids. Knows nothing of batches,
generation or grading. transformers is imported only when a tokenizer is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.engines.base import Messages
from memory.errors import EngineError

#: Used when a tokenizer has no chat template (most base models): plain text with speaker labels.
#: The generation prompt ends without a blank, so that a completion starts with its own.
DEFAULT_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Problem: ' + message['content'] + '\n' }}"
    "{% else %}{{ 'Solution: ' + message['content'] + eos_token + '\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Solution:' }}{% endif %}"
)


def load_tokenizer(model_name_or_path: str, revision: str | None = None) -> Any:
    """The model's own tokenizer, with a chat template and a pad token in any case.

    Raises:
        EngineError: there is none at that place, or it has no end-of-text token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"No tokenizer can be loaded from {model_name_or_path}: {error}\n"
            "Give a folder that holds tokenizer.json, or the id of a model on the hub."
        ) from error
    if tokenizer.eos_token_id is None:
        raise EngineError(
            f"The tokenizer of {model_name_or_path} has no eos_token, so no answer would ever end; "
            "set one in its tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE
    return tokenizer


def to_messages(statement: str, system_prompt: str | None = None) -> Messages:
    """The chat that asks for one problem's solution."""
    messages = [{"role": "user", "content": statement}]
    return [{"role": "system", "content": system_prompt}, *messages] if system_prompt else messages


def render_prompt(tokenizer: Any, messages: Messages) -> str:
    """The text after which the model writes its answer; special tokens are spelled out in it."""
    template = tokenizer.chat_template or DEFAULT_CHAT_TEMPLATE
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    return str(text)


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of rendered texts or of completions; nothing is added and nothing is cut."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False)
    return [list(ids) for ids in found["input_ids"]]


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one text; for many, `encode_texts` is several times faster."""
    return encode_texts(tokenizer, [text])[0]


def encode_prompt(tokenizer: Any, messages: Messages) -> list[int]:
    """Token ids of the rendered prompt."""
    return encode_text(tokenizer, render_prompt(tokenizer, messages))
