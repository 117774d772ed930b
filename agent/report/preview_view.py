"""A preview for people. What the teacher wrote is printed as plain characters."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from agent.report.terminal import money_text, plain_table, safe

_LONG = 100_000


def print_preview(found: dict[str, Any], console: Console) -> None:
    """The cluster, the prompt in full, the drafts with their checks, and the projection."""

    def line(text: str, style: str = "") -> None:
        console.print(Text(text), style=style, soft_wrap=True)

    cluster = found["cluster"]
    line(f"Cluster {cluster['id']}: {safe(cluster['label'], 80)}", "bold")
    line(f"  {cluster['source']}")
    if not cluster["as_if"]:
        line(f"  {cluster['failures']} of {cluster['n']} failed")
    if found["prompt"] is None:
        line("The teacher is no language model, so there is no prompt, and nothing is paid.")
    for message in found["prompt"] or ():
        line(f"--- {message['role']} ---", "bold")
        line(safe(message["content"], _LONG))
    reply = found["reply"]
    if reply is not None:
        _print_reply(found, reply, line)
    if found["projection"] is not None:
        console.print()
        _print_projection(found["projection"], console)


def _print_reply(found: dict[str, Any], reply: dict[str, Any], line: Any) -> None:
    line("--- reply ---", "bold")
    if reply["misconception"]:
        line(f"misconception: {safe(reply['misconception'])}")
    for number, draft in enumerate(reply["drafts"], start=1):
        line(f"{number}. {safe(draft['statement'], 4000)}", "bold")
        line(f"   solution: {safe(draft['solution'] or '', 4000)}")
        line(f"   answer: {safe(draft['answer'])}")
        for check in draft["checks"]:
            words = ": ".join(safe(check[key], 160) for key in ("reason", "evidence") if check[key])
            line(f"   {check['verifier']}: {check['outcome']}{f' ({words})' if words else ''}")
        line(f"   {'refused as ' + draft['refused'] if draft['refused'] else 'not refused so far'}")
    for refusal in reply["refusals"]:
        line(f"not a draft: {safe(refusal['reason'], 40)}: {safe(refusal['evidence'], 200)}")
    asked = found["request"]["problems"]
    line(f"{len(reply['drafts'])} of {asked} problems could be read.")
    if reply["not_asked"]:
        line(f"Not asked here, since they ask a model: {', '.join(reply['not_asked'])}.")
    paid = reply["paid"]
    if paid is None:
        return
    tokens = f"{reply['prompt_tokens']:,} prompt and {reply['completion_tokens']:,} completion tokens"
    if paid["requests"] == 0:
        line(f"The reply came from the cache ({tokens} when it was paid for); nothing was paid now.")
    else:
        requests = f"requests: {paid['requests']}, of them retries: {paid['retries']}"
        line(f"Paid now: {tokens}; {requests}. The reply is cached.")


def _print_projection(found: dict[str, Any], console: Console) -> None:
    table = plain_table(f"projected for a round's first wave: {found['problems']:,} problems")
    for heading in ("asked for", "model"):
        table.add_column(heading)
    for heading in ("requests", "prompt tokens", f"completion tokens ({found['completions']})"):
        table.add_column(heading, justify="right")
    for row in (*found["rows"], {"what": "all", "model": "", **found["total"]}):
        numbers = (f"{row[name]:,}" for name in ("requests", "prompt_tokens", "completion_tokens"))
        table.add_row(row["what"], Text(safe(str(row["model"]), 40)), *numbers)
    console.print(table)
    estimate = "" if found["counted_by"] == "the server" else ", an estimate: the teacher's own tokenizer differs"
    console.print(Text(f"Tokens as counted by {found['counted_by']}{estimate}. Cost: {money_text(found['money'])}."))
    console.print(
        Text(
            "Checks that cost nothing refuse some drafts before a model is asked about them; up to "
            f"{found['top_ups']} further waves ask again for what is then missing."
        ),
        soft_wrap=True,
    )
