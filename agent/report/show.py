"""Any record of a run by its id, with its whole lineage: problem, attempt, cluster, draft, checks, mixture, adapter.

Owns which records belong to the lineage of which: upstream why it was made, downstream what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agent.report.drafts import verdicts
from agent.report.trail import KINDS, Trail
from agent.triage import Triage, triage
from memory.records import (
    Accepted,
    Adapter,
    Attempt,
    Diagnosis,
    Draft,
    DraftBatch,
    Measurement,
    Mixture,
    MixtureItem,
    Outcome,
    Problem,
    Record,
    RoundRecord,
    Stop,
    Verdict,
    Weakness,
)
from memory.store import RunFolder

Placed = tuple[str, Any]
#: The steps of a lineage, in order.
STEPS = ("problem", "attempt", "cluster", "draft", "checks", "mixture", "adapter")


def show(run: RunFolder, record_id: str) -> dict[str, Any]:
    """The record whose id is or begins with ``record_id``, and its lineage.

    Returns:
        ``run``, ``id``, ``kind``, ``place`` and ``record`` (None where a run holds the id only: problems of the replay
        and of the sealed test), ``note`` or None, and ``lineage``: in order, each with ``what`` (one of `STEPS`),
        ``round`` (None for what belongs to no round), ``n`` and ``records``, each a record's fields with ``place``.

    Raises:
        UsageError: no such record, or several.
    """
    trail = Trail(run)
    full = trail.resolve(record_id)
    kind = KINDS[full.rsplit("-", 1)[0]]
    lineage = _Lineage(trail, full, kind).steps()
    own = [entry for step in lineage for entry in step["records"] if entry.get("id") == full]
    if not own:  # a problem that is trained on stands inside its draft
        own = [entry["problem"] | {"place": entry["place"]} for step in lineage if step["what"] == "draft"
               for entry in step["records"] if entry["problem"]["id"] == full]  # fmt: skip
    place = own[0]["place"] if own else None
    record = {key: value for key, value in own[0].items() if key != "place"} if own else None
    return {
        "run": str(run.path),
        "id": full,
        "kind": kind,
        "place": place,
        "record": record,
        "note": _note(full, lineage) if record is None else None,
        "lineage": lineage,
    }


def _note(full: str, lineage: list[dict[str, Any]]) -> str:
    """Why a run holds no text of a problem."""
    replay = any(item["problem_id"] == full and item["origin"] == "replay" for step in lineage
                 for entry in step["records"] if step["what"] == "mixture" for item in entry["items"])  # fmt: skip
    if replay:
        return "a problem of the replay: its text lies in the file of data.replay, not in the run"
    return "a run holds attempts at this problem, and not its text: it is of the guard or of the sealed test"


class _Lineage:
    """Gathers what belongs to one record, round by round."""

    def __init__(self, trail: Trail, full: str, kind: str) -> None:
        self.trail, self.full, self.kind = trail, full, kind
        self.found: dict[tuple[int, int | None], list[dict[str, Any]]] = {}
        self.problems: dict[str, None] = {}

    def steps(self) -> list[dict[str, Any]]:
        gather: dict[str, Callable[[], None]] = {
            "problem": self._of_problem, "attempt": self._of_attempt, "cluster": self._of_cluster,
            "draft": self._of_draft, "mixture": self._of_mixture, "adapter": self._of_adapter,
        }  # fmt: skip
        gather[self.kind]()
        for place, problem in self.trail.holding("base", "data", Problem, self.problems):
            if problem.id in self.problems:
                self._add("problem", None, place, problem)
        order = sorted(self.found, key=lambda key: (key[1] is not None, key[1] or 0, key[0]))
        return [
            {"what": STEPS[at], "round": index, "n": len(self.found[at, index]), "records": self.found[at, index]}
            for at, index in order
        ]

    def _add(self, what: str, stage: str | None, place: str, record: Record, **more: Any) -> None:
        index = int(stage.removeprefix("round-")) if stage and stage.startswith("round-") else None
        entry = {"place": place, **_fields(record), **more}
        entries = self.found.setdefault((STEPS.index(what), index), [])
        if entry not in entries[-50:]:
            entries.append(entry)

    # What a record is a part of, by its kind.

    def _of_problem(self) -> None:
        self.problems[self.full] = None
        for stage in ("base", *self.trail.rounds, "final"):
            self._attempts(stage, {self.full}, lambda attempt: attempt.problem_id == self.full)
        for stage in self.trail.rounds:
            self._clusters(stage, {self.full}, lambda cluster: self.full in cluster.problem_ids)
            drafts = self._drafts(
                stage, {self.full}, lambda draft: self.full in draft.problem.parents or draft.problem.id == self.full
            )
            made = [draft for draft in drafts if draft.problem.id == self.full]
            self._upstream(stage, made)
            self._downstream(stage, drafts)
        self._mixtures({self.full}, origin="replay")

    def _of_attempt(self) -> None:
        for stage in ("base", *self.trail.rounds, "final"):
            own = self._attempts(stage, {self.full}, lambda attempt: attempt.id == self.full)
            for place, attempt in own:
                self.problems[attempt.problem_id] = None
                if not place.endswith("/probe"):
                    continue
                self._from_failure(stage, attempt.problem_id)

    def _from_failure(self, stage: str, name: str) -> None:
        """What a round made of a problem's failure."""
        self._clusters(stage, {name}, lambda cluster: name in cluster.problem_ids)
        self._downstream(stage, self._drafts(stage, {name}, lambda draft: name in draft.problem.parents))

    def _of_cluster(self) -> None:
        for stage in self.trail.rounds:
            for cluster in self._clusters(stage, {self.full}, lambda cluster: cluster.id == self.full):
                self.problems.update(dict.fromkeys(cluster.problem_ids))
                self._failures(stage, cluster.problem_ids)
                self._downstream(stage, self._drafts(stage, {self.full}, lambda draft: draft.weakness_id == self.full))

    def _of_draft(self) -> None:
        for stage in self.trail.rounds:
            drafts = self._drafts(stage, {self.full}, lambda draft: draft.id == self.full)
            self._upstream(stage, drafts)
            self._downstream(stage, drafts)

    def _of_mixture(self) -> None:
        for stage in self.trail.rounds:
            for place, mixture in self.trail.holding(stage, "mix", Mixture, {self.full}):
                if mixture.id == self.full:
                    self._whole(stage, place, mixture)

    def _of_adapter(self) -> None:
        for stage in self.trail.rounds:
            made = [item for _, item in self.trail.holding(stage, "anneal", Adapter, {self.full})]
            if any(adapter.id == self.full for adapter in made):
                for line in self.trail.lines(stage, "mix"):
                    self._whole(stage, f"{stage}/mix", Mixture.model_validate_json(line))

    def _whole(self, stage: str, place: str, mixture: Mixture) -> None:
        """A mixture with all it was made of, from earlier rounds too, and its adapter."""
        new = {item.problem_id for item in mixture.items if item.origin.value == "new"}
        for earlier in self.trail.rounds:
            if earlier <= stage:
                drafts = self._drafts(earlier, new, lambda draft: draft.problem.id in new)
                self._upstream(earlier, drafts)
                self._checks(earlier, drafts)
        self._add("mixture", stage, place, mixture)
        self._adapter(stage)

    # One step of a lineage each.

    def _attempts(self, stage: str, wanted: set[str], belongs: Callable[[Attempt], bool]) -> list[tuple[str, Attempt]]:
        found = [item for item in self.trail.holding(stage, "probe", Attempt, wanted) if belongs(item[1])]
        for step in ("measure", "guard", "test"):
            for place, measured in self.trail.holding(stage, step, Measurement, wanted):
                found += [(place, attempt) for attempt in measured.attempts if belongs(attempt)]
        for place, attempt in found:
            self._add("attempt", stage, place, attempt)
        return found

    def _failures(self, stage: str, names: Iterable[str]) -> None:
        """The first failing attempt at each of the problems: the one that was diagnosed."""
        wanted, seen = set(names), set()
        found = [item for _, item in self.trail.holding(stage, "probe", Attempt, wanted) if item.problem_id in wanted]
        kinds = triage(found)
        for attempt in sorted(found, key=lambda item: (item.problem_id, item.sample_index)):
            if kinds[attempt.problem_id] in (Triage.PASSED, Triage.ERRORED) or attempt.problem_id in seen:
                continue
            if attempt.outcome not in (Outcome.CORRECT, Outcome.ERRORED):
                seen.add(attempt.problem_id)
                self._add("attempt", stage, f"{stage}/probe", attempt)

    def _clusters(self, stage: str, wanted: set[str], belongs: Callable[[Weakness], bool]) -> list[Weakness]:
        found = []
        for place, diagnosis in self.trail.holding(stage, "diagnose", Diagnosis, wanted):
            for cluster in filter(belongs, diagnosis.weaknesses):
                self._add("cluster", stage, place, cluster)
                found.append(cluster)
        return found

    def _drafts(self, stage: str, wanted: set[str], belongs: Callable[[Draft], bool]) -> list[Draft]:
        found = []
        for place, batch in self.trail.holding(stage, "draft", DraftBatch, wanted):
            for draft in filter(belongs, batch.drafts):
                self._add("draft", stage, place, draft)
                found.append(draft)
        return found

    def _upstream(self, stage: str, drafts: Iterable[Draft]) -> None:
        """Why drafts were written: the cluster, the problems shown to the teacher, the failures at them."""
        drafts = list(drafts)
        aimed = {draft.weakness_id for draft in drafts}
        self._clusters(stage, aimed, lambda cluster: cluster.id in aimed)
        parents = dict.fromkeys(name for draft in drafts for name in draft.problem.parents)
        self.problems.update(parents)
        self._failures(stage, parents)

    def _checks(self, stage: str, drafts: Iterable[Draft]) -> set[str]:
        """The verdicts; returns the problems of the accepted drafts."""
        problem = {draft.id: draft.problem.id for draft in drafts}
        reviewed = {item.draft_id: item for item in verdicts(self.trail.run, stage)} if problem else {}
        accepted = set()
        for place, verdict in self.trail.holding(stage, "verify", Verdict, problem):
            verdict = reviewed.get(verdict.draft_id, verdict)  # as a person left it
            self._add("checks", stage, place, verdict, reason=verdict.reason)
            if verdict.accepted is Accepted.YES:
                accepted.add(problem[verdict.draft_id])
        return accepted

    def _downstream(self, stage: str, drafts: Iterable[Draft]) -> None:
        """What became of drafts: checks, the mixtures of this round and later that hold them, the adapters."""
        self._mixtures(self._checks(stage, drafts), since=stage)

    def _mixtures(self, names: set[str], since: str = "", origin: str = "new") -> None:
        for stage in self.trail.rounds:
            if stage < since:
                continue
            for place, mixture in self.trail.holding(stage, "mix", Mixture, names):
                items = [item for item in mixture.items if item.problem_id in names and item.origin.value == origin]
                if items:
                    self._add("mixture", stage, place, mixture.model_copy(update={"items": tuple(items)}),
                              positions=_positions(mixture, items))  # fmt: skip
                    self._adapter(stage)

    def _adapter(self, stage: str) -> None:
        """The adapter trained on a round's mixture, and whether it was kept."""
        final = [Stop.model_validate_json(line).student.id for line in self.trail.lines("final", "stop")]
        rounds = [RoundRecord.model_validate_json(line) for line in self.trail.lines(stage, "round")]
        for line in self.trail.lines(stage, "anneal"):
            adapter = Adapter.model_validate_json(line)
            self._add(
                "adapter", stage, f"{stage}/anneal", adapter,
                kept=rounds[0].decision.keep if rounds else None,
                decision=rounds[0].decision.reason if rounds else None,
                final=adapter.id in final,
            )  # fmt: skip


def _positions(mixture: Mixture, items: list[MixtureItem]) -> list[int]:
    """Where the items stand in the training order, from 0."""
    names = {item.problem_id for item in items}
    return [at for at, item in enumerate(mixture.items) if item.problem_id in names]


def _fields(record: Record) -> dict[str, Any]:
    """A record as JSON, without the schema versions."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key != "schema_version"}
        return [plain(item) for item in value] if isinstance(value, list) else value

    fields: dict[str, Any] = plain(record.model_dump(mode="json"))
    return fields
