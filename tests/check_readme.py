"""The README against the program: its commands parse, its make targets and links exist, its config is valid.

Run by `make readme`; also collected as a test by tests/test_readme.py. It runs nothing that the README runs.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import click
import yaml

from agent.cli import COMMANDS, cli
from agent.config import RunConfig
from memory.strict import validate
from training.anneal import parse_config

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [body for kind, body in FENCE.findall(text) if kind == language]


def commands(text: str) -> list[list[str]]:
    """Every shell command of the bash blocks, as words without comments."""
    lines = [line for body in blocks(text, "bash") for line in body.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip() and "<(" not in line]


def check_command(words: list[str], targets: set[str]) -> str | None:
    """What is wrong with one command, or None."""
    if not words:
        return None
    program = Path(words[0]).name
    if program == "make":
        missing = [word for word in words[1:] if word not in targets]
        return f"no make target {missing[0]}" if missing else None
    if program == "remedial":
        return check_remedial(words[1:])
    return None if program in ("pip", "git", "cd", "pytest") else f"unknown program {program}"


def check_remedial(words: list[str]) -> str | None:
    """Parse the words with the real command, without running it."""
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    assert command is not None
    try:
        command.make_context(words[0], words[1:], parent=context)
    except click.UsageError as error:
        return error.format_message()
    return None


def faults() -> list[str]:
    """Everything in the README that is not true of the program."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = []
    for words in commands(text):
        fault = check_command(words, targets)
        if fault:
            found.append(f"{' '.join(words)}: {fault}")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link and not (ROOT / link).exists():
            found.append(f"link to {link}, which does not exist")
    for name in COMMANDS:
        if f"remedial {name}" not in text:
            found.append(f"command {name} is not in the README")
    whole: dict[str, object] = {}  # later blocks are sections of the first one's config
    for body in blocks(text, "yaml"):
        data = whole | yaml.safe_load(body)
        whole = whole or data
        parse_config(validate(RunConfig, data, "README.md").anneal)
    return found


if __name__ == "__main__":
    problems = faults()
    for problem in problems:
        print(f"README.md: {problem}", file=sys.stderr)
    print("README.md: all commands, links and configs hold" if not problems else f"{len(problems)} faults")
    sys.exit(1 if problems else 0)
