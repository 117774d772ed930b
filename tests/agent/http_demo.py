"""The demo with its teacher behind HTTP: a config, its prompts, and what the server answers."""

import json
import random
import re
from pathlib import Path
from typing import Any

import yaml

from agent.demo import FAMILIES, gold, problem, write_demo
from training.scripted import template_of

_PROMPTS = {
    "write": "WRITE {{ n }}\n{% for item in exemplars %}\n{{ item.statement }}\n{% endfor %}",
    "repair": "WRITE {{ n }} again: {{ fault }}\n{% for item in exemplars %}\n{{ item.statement }}\n{% endfor %}",
    "solve": "SOLVE\n{{ statement }}",
}
#: One problem in twelve is answered wrong, so that `agreement` has something to refuse.
WRONG_SHARE = 1 / 12


def write_http_demo(folder: Path, url: str, **sections: dict[str, Any]) -> Path:
    """The demo's config with a language-model teacher at ``url``; ``sections`` update its sections."""
    config = write_demo(folder)
    prompts = folder / "prompts"
    prompts.mkdir(exist_ok=True)
    for name, text in _PROMPTS.items():
        (prompts / f"{name}.j2").write_text(f"{{% block user %}}{text}{{% endblock %}}")
    data = yaml.safe_load(config.read_text())
    data["teacher"] = {
        "kind": "llm", "model": "teacher", "base_urls": [url], "prompts_dir": "prompts", "timeout": 20.0,
        "max_concurrency": 8,
    }  # fmt: skip
    data["verify"] |= {"verifiers": ["algebra", "duplicate", "contamination", "agreement"]}
    data["loop"] = {"max_rounds": 2}
    for name, section in sections.items():
        data[name] = {**data.get(name, {}), **section}
    config.write_text(yaml.safe_dump(data))
    return config


def reply(content: str, body: dict[str, Any]) -> str:
    """What the teacher's server answers: practice for a WRITE, a solution for a SOLVE."""
    rng = random.Random(json.dumps([content, body.get("seed")]))
    statements = content.splitlines()[1:]
    if content.startswith("SOLVE"):
        right = gold(statements[0])
        return f"I think it is \\boxed{{{right}}}"
    known = {template_of(family[0].format(a=1, b=1)): family for family in FAMILIES}
    shown = [known[template_of(line)] for line in statements if template_of(line) in known]
    wanted = int(re.findall(r"\d+", content)[0])
    rows = [problem(rng, shown[i % len(shown)]) for i in range(wanted)] if shown else []
    problems = []
    for row in rows:
        if rng.random() < WRONG_SHARE:
            wrong = str(int(row["answer"]) + 1)
            row = {**row, "solution": f"{row['answer']}+1={wrong}. \\boxed{{{wrong}}}", "answer": wrong}
        problems.append({"statement": row["question"], "solution": row["solution"], "answer": row["answer"]})
    return json.dumps({"misconception": "It mixes up the operations.", "problems": problems})
