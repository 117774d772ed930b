"""Training data in the forms of TRL, axolotl, LLaMA-Factory and of a Hugging Face dataset: files by name, as text.

A student with a chat template of its own gets conversations, which the other tool renders by that template. One without
gets the text that Remedial trained it on, prompt and completion, so that both tools train the same tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agent.export.gather import Row, Training, clean
from eval.engines.chat import DEFAULT_CHAT_TEMPLATE, to_messages
from training.anneal import AnnealConfig, parse_config

if TYPE_CHECKING:
    import jinja2

Files = dict[str, str]


def trl(found: Training) -> Files:
    """``train.jsonl``: prompt and completion, which TRL's SFTTrainer trains on the completion only."""
    plain = is_plain(found)

    def row(item: Row) -> dict[str, Any]:
        if plain:
            prompt, completion = plain_text(found, item)
            return {"prompt": prompt, "completion": completion}
        prompt_messages, answer = _chat(found, item)
        return {"prompt": prompt_messages, "completion": [answer]}

    return {"train.jsonl": _jsonl(found, row)}


def axolotl(found: Training) -> Files:
    """``train.jsonl`` as ``chat_template`` messages or, without a template, ``input_output`` segments; and a config."""
    plain, end = is_plain(found), end_token(found)

    def row(item: Row) -> dict[str, Any]:
        if plain:
            prompt, completion = plain_text(found, item)
            return {"segments": [{"label": False, "text": prompt}, {"label": True, "text": completion + end}]}
        prompt_messages, answer = _chat(found, item)
        return {"messages": [*prompt_messages, answer]}

    data: dict[str, Any] = {"path": "train.jsonl", "ds_type": "json"}
    if plain:
        data["type"] = "input_output"
    else:
        data |= {"type": "chat_template", "field_messages": "messages", "roles_to_train": ["assistant"]}
    anneal = parse_config(found.config.anneal)
    config = {
        "base_model": found.manifest["base_model_name_or_path"],
        "datasets": [data],
        **({} if plain else {"chat_template": "tokenizer_default"}),
        "train_on_inputs": False,
        "sequence_len": anneal.max_length,
        "adapter": "lora",
        "lora_r": anneal.lora_r,
        "lora_alpha": anneal.lora_alpha,
        "lora_dropout": anneal.lora_dropout,
        **_modules(anneal, {"lora_target_linear": True}, "lora_target_modules"),
        **_schedule(anneal, "num_epochs", "micro_batch_size", "lr_scheduler"),
        "output_dir": "./outputs",
    }
    return {"train.jsonl": _jsonl(found, row), "axolotl.yaml": _yaml("axolotl train axolotl.yaml", config)}


def llamafactory(found: Training) -> Files:
    """``train.json`` in alpaca form, ``dataset_info.json``, and a config."""
    plain = is_plain(found)

    def row(item: Row) -> dict[str, Any]:
        if plain:
            prompt, completion = plain_text(found, item)
            return {"instruction": prompt, "input": "", "output": completion, "system": ""}
        return {
            "instruction": clean(item.problem.statement),
            "input": "",
            "output": clean(item.problem.solution or ""),
            "system": clean(found.config.student.system_prompt or ""),
        }

    name = f"remedial_{found.name}".replace("-", "_").replace(".", "_")
    columns = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
    info = {name: {"file_name": "train.json", "formatting": "alpaca", "columns": columns}}
    anneal = parse_config(found.config.anneal)
    config = {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": found.manifest["base_model_name_or_path"],
        "dataset_dir": ".",
        "dataset": name,
        "template": "empty" if plain else "default",
        "cutoff_len": anneal.max_length,
        "finetuning_type": "lora",
        "lora_rank": anneal.lora_r,
        "lora_alpha": int(anneal.lora_alpha),
        "lora_dropout": anneal.lora_dropout,
        **_modules(anneal, {"lora_target": "all"}, "lora_target"),
        **_schedule(anneal, "num_train_epochs", "per_device_train_batch_size", "lr_scheduler_type"),
        "output_dir": "outputs",
    }
    how = "llamafactory-cli train llamafactory.yaml"
    how += "" if plain else "\n# Set `template` to the one LLaMA-Factory has for your model; `default` is a fallback."
    rows = [row(item) | item.provenance() for item in found.rows]
    return {
        "train.json": json.dumps(rows, ensure_ascii=False, indent=1) + "\n",
        "dataset_info.json": json.dumps(info, indent=2) + "\n",
        "llamafactory.yaml": _yaml(how, config),
    }


def hf(found: Training) -> Files:
    """``data/train.jsonl``: problem, solution, answer; `datasets.load_dataset` finds it through the card."""

    def row(item: Row) -> dict[str, Any]:
        return {"problem": clean(item.problem.statement), "solution": clean(item.problem.solution or "")}

    return {"data/train.jsonl": _jsonl(found, row)}


#: Every form of training data by its name on the command line, and where its data lie.
FORMATS: Mapping[str, tuple[Callable[[Training], Files], str]] = {
    "trl": (trl, "train.jsonl"),
    "axolotl": (axolotl, "train.jsonl"),
    "llamafactory": (llamafactory, "train.json"),
    "hf": (hf, "data/train.jsonl"),
}


def is_plain(found: Training) -> bool:
    """Whether the student has no chat template of its own. One that is not on this machine is taken to have one."""
    folder = Path(found.config.student.model_name_or_path)
    if not folder.is_dir():
        return False
    return not (folder / "chat_template.jinja").is_file() and not _tokenizer_config(folder).get("chat_template")


def end_token(found: Training) -> str:
    """The text of the student's end token; empty where its tokenizer names none."""
    end = _tokenizer_config(Path(found.config.student.model_name_or_path)).get("eos_token") or ""
    return str(end["content"] if isinstance(end, dict) else end)


def plain_text(found: Training, item: Row) -> tuple[str, str]:
    """Prompt and completion as `eval.engines.chat` renders them for a student without a chat template."""
    messages = to_messages(clean(item.problem.statement), found.config.student.system_prompt)
    prompt = _default_template().render(messages=messages, add_generation_prompt=True, eos_token="")
    return prompt, " " + clean(item.problem.solution or "")


@cache
def _default_template() -> jinja2.Template:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment().from_string(DEFAULT_CHAT_TEMPLATE)


def _chat(found: Training, item: Row) -> tuple[list[dict[str, str]], dict[str, str]]:
    messages = to_messages(clean(item.problem.statement), found.config.student.system_prompt)
    return [dict(message) for message in messages], {
        "role": "assistant",
        "content": clean(item.problem.solution or ""),
    }


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _modules(anneal: AnnealConfig, every: dict[str, Any], key: str) -> dict[str, Any]:
    modules = anneal.lora_target_modules
    if modules == "all-linear":
        return every
    return {key: list(modules) if key == "lora_target_modules" else ",".join(modules)}


def _schedule(anneal: AnnealConfig, epochs: str, batch: str, scheduler: str) -> dict[str, Any]:
    warmup = {"warmup_ratio": anneal.warmup_steps} if anneal.warmup_steps < 1 else {}
    return {
        epochs: anneal.num_train_epochs,
        batch: anneal.per_device_train_batch_size,
        "gradient_accumulation_steps": anneal.gradient_accumulation_steps,
        "learning_rate": anneal.learning_rate,
        scheduler: anneal.lr_scheduler_type,
        "weight_decay": anneal.weight_decay,
        **(warmup or {"warmup_steps": int(anneal.warmup_steps)}),
    }


def _jsonl(found: Training, row: Callable[[Row], dict[str, Any]]) -> str:
    return "".join(json.dumps(row(item) | item.provenance(), ensure_ascii=False) + "\n" for item in found.rows)


def _yaml(how: str, config: dict[str, Any]) -> str:
    return f"# {how}\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
