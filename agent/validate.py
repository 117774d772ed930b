"""Everything about a config that can be checked without weights and without a token, and all that is wrong with it.

Owns the order of checks. `agent.wiring.check_parts`, with which a run starts, stops at the first fault; here the rest
is looked at too. Endpoints are `agent.preflight`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent import hub
from agent.config import RunConfig
from agent.corpus import check_corpus
from agent.data import SEALED, RunData, check_shares, load_data, read_split
from agent.findings import Findings, one_line
from agent.models import make_prompts, teacher_model
from agent.preflight import check_endpoints, check_extras, check_rank_limit, served_models
from agent.stand_ins import asked_nobody, no_engine
from agent.verifiers import verifiers_for, wanted_sandbox
from agent.wiring import check_model_folder, strategy_settings
from eval.engines.endpoints import check_urls, read_key
from memory.embedding import PACKAGE_PREFIX, SentenceEmbedder
from memory.errors import ConfigError, RemedialError
from memory.records import Split
from synthesis.prompting import Prompts
from synthesis.strategies.table import make_strategy
from synthesis.verification.earning import earn_place
from training.anneal import AnnealConfig, check_anneal, parse_config
from training.base import Example

_NO_DATA = RunData((), (), (), (), (), {})


def inspect(config: RunConfig, folder: Path, *, offline: bool = False) -> tuple[Findings, RunData | None]:
    """All findings about a config that has been read, and its data where that is in order.

    Args:
        config: from `agent.config.load_config`.
        folder: the run folder to be; an adapter of zeros is written beside it for a moment, for the student's servers.
        offline: ask no endpoint and no hub.
    """
    found = check_extras(config)
    settings = found.attempt("anneal", lambda: parse_config(config.anneal))
    data = _check_data(config, found)
    prompts = make_prompts(config)
    found.attempt("teacher.prompts_dir", prompts.check, "every prompt renders.")
    found.attempt("draft.strategy", lambda: make_strategy(config.draft.strategy, **strategy_settings(config)))
    if data is not None:
        corpus = found.attempt("draft.retrieval", lambda: check_corpus(config, data.corpus))
        if corpus is not None:
            found.ok(
                "draft.retrieval", f"{len(corpus.problems)} problems; left out: {dict(corpus.left_out) or 'none'}."
            )
    _check_verifiers(config, data, prompts, found)
    _check_embedder(config, offline, found)
    if config.teacher.kind == "llm" and config.teacher.engine != "openai":
        found.attempt("teacher.model", lambda: check_model_folder(teacher_model(config.teacher), "teacher.model"))
    _check_student(config, settings, data, offline, found)
    if settings is not None:
        found.attempt("anneal.lora_r", lambda: check_rank_limit(config))
    if offline:
        _check_addresses(config, found)
    elif settings is not None:
        found.extend(check_endpoints(config, folder))
    return found, data


def _check_data(config: RunConfig, found: Findings) -> RunData | None:
    """Each file by itself, then all against each other."""
    readable = True
    for split in (*SEALED, Split.REPLAY):
        problems = found.attempt(f"data.{split.value}", lambda s=split: read_split(config, s))  # type: ignore[misc]
        readable = readable and problems is not None
        if problems is not None:
            found.ok(f"data.{split.value}", f"{len(problems)} problems.")
    shares = found.holds("mix", lambda: check_shares(config))
    return found.attempt("data", lambda: load_data(config)) if readable and shares else None


def _check_verifiers(config: RunConfig, data: RunData | None, prompts: Prompts, found: Findings) -> None:
    """Names, needs and settings of all verifiers; with data, those that ask nobody also earn their place."""
    sandbox = found.attempt("verify.program", lambda: wanted_sandbox(config))
    asked = asked_nobody(config, prompts, sandbox)

    def make(names: Sequence[str], require: Sequence[str] | None) -> None:
        update = {"verifiers": tuple(names), "require": require}
        chosen = config.model_copy(update={"verify": config.verify.model_copy(update=update)})
        verifiers = verifiers_for(chosen, data or _NO_DATA, (), asked, no_engine())
        if data is not None:
            earn_place(verifiers, data.replay[: config.verify.earn_place_sample])

    names = config.verify.verifiers
    try:
        make(names, config.verify.require)
    except RemedialError as error:
        before = len(found.problems)
        for name in dict.fromkeys(names):  # one by one, so that each says what it lacks
            found.attempt("verify.verifiers", lambda n=name: make([n], ()))  # type: ignore[misc]
        if len(found.problems) == before:
            found.problem("verify", str(error))
    else:
        found.ok("verify.verifiers", f"{', '.join(names) or 'none'} can be made.")
    if sandbox is not None:
        sandbox.close()


def _check_embedder(config: RunConfig, offline: bool, found: Findings) -> None:
    name, place = config.diagnose.model_name_or_path, "diagnose.model_name_or_path"
    if config.diagnose.embedder == "hashing":
        return
    looks_local = name.startswith((PACKAGE_PREFIX, ".", "/", "~")) or name.count("/") > 1 or not name
    if not looks_local:
        where, sentence = hub.find(name, config.diagnose.revision, offline=offline)
        if where != "here":
            (found.problem if where == "missing" else found.unchecked if where == "unknown" else found.ok)(
                place, sentence
            )
            return
    embedder = SentenceEmbedder(name, cache_path=None, revision=config.diagnose.revision)
    found.attempt(place, embedder.check, f"{name} is here.")


def _check_student(
    config: RunConfig, settings: AnnealConfig | None, data: RunData | None, offline: bool, found: Findings
) -> None:
    student, place = config.student, "student.model_name_or_path"
    if student.engine == "scripted":
        from agent.demo import check_student

        found.attempt(place, lambda: check_student(student.model_name_or_path))
        return
    if not found.holds(place, lambda: check_model_folder(student.model_name_or_path)):
        return
    where, sentence = hub.find(student.model_name_or_path, student.revision, offline=offline)
    if where in ("unknown", "missing"):
        missing = "; LoRA targets and lengths were not checked either"
        (found.problem if where == "missing" else found.unchecked)(place, sentence.rstrip(".") + f"{missing}.")
        return
    found.ok(place, sentence)
    if settings is None:
        return
    replay = data.replay if data is not None else ()
    examples = [Example(problem.id, problem.statement, problem.solution or "") for problem in replay]

    def check() -> None:
        try:
            check_anneal(
                student.model_name_or_path,
                settings,
                examples,
                revision=student.revision,
                system_prompt=student.system_prompt,
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{place}: the model's configuration cannot be read ({one_line(error)}). Give a folder that "
                "transformers loads, or the id of a model on the hub."
            ) from error

    found.attempt("anneal", check, "LoRA targets match, and every replay solution fits max_length.")


def _check_addresses(config: RunConfig, found: Findings) -> None:
    """What can be said of endpoints without asking them."""
    for place, served, model in found.attempt("teacher.model", lambda: served_models(config)) or []:
        if found.attempt(f"{place}.base_urls", lambda s=served: check_urls(s.base_urls)) is None:  # type: ignore[misc]
            continue
        for url in served.base_urls:
            found.unchecked(place, f"{url} was not asked whether it serves {model} (offline).")
        if served.api_key_env is not None:
            try:
                read_key(served.api_key_env)
            except ConfigError as error:
                found.unchecked(place, str(error))
