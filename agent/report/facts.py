"""One round out of a run folder, as far as it is finished: what several views read together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.report.drafts import batches, verdicts
from agent.report.reading import read_records
from agent.triage import Triage, triage
from memory.errors import UsageError
from memory.records import Attempt, Diagnosis, DraftBatch, Mixture, Outcome, Problem, RoundRecord, Verdict, Weakness
from memory.store import RunFolder


@dataclass(frozen=True)
class RoundFacts:
    """Records of one round; what is not there yet is empty or None. ``verdicts`` are by draft id."""

    index: int
    stage: str
    diagnosis: Diagnosis | None
    attempts: Mapping[str, Sequence[Attempt]]  # on the probe problems, by problem id, by sample
    batches: Sequence[DraftBatch]
    verdicts: Mapping[str, Verdict]
    mixture: Mixture | None
    record: RoundRecord | None

    def outcome(self, problem_id: str) -> Triage | None:
        """How a probe problem fared, None where it was not asked."""
        samples = self.attempts.get(problem_id)
        return triage(samples)[problem_id] if samples else None

    @property
    def failed(self) -> set[str]:
        """The probe problems that failed."""
        return {name for name in self.attempts if fails(self.outcome(name))}

    @property
    def passed(self) -> set[str]:
        """The probe problems that were solved in every sample."""
        return {name for name in self.attempts if self.outcome(name) is Triage.PASSED}


def fails(outcome: Triage | None) -> bool:
    """Whether a problem counts as failed: it was judged, and some sample was not right."""
    return outcome not in (None, Triage.PASSED, Triage.ERRORED)


def round_facts(run: RunFolder, index: int) -> RoundFacts:
    """Read one round."""
    stage = f"round-{index:02d}"
    by_problem: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(read_records(run, stage, "probe", Attempt), key=lambda item: item.sample_index):
        by_problem[attempt.problem_id].append(attempt)
    return RoundFacts(
        index=index,
        stage=stage,
        diagnosis=next(iter(read_records(run, stage, "diagnose", Diagnosis)), None),
        attempts=by_problem,
        batches=batches(run, stage),
        verdicts={verdict.draft_id: verdict for verdict in verdicts(run, stage)},
        mixture=next(iter(read_records(run, stage, "mix", Mixture)), None),
        record=next(iter(read_records(run, stage, "round", RoundRecord)), None),
    )


def probe_problems(run: RunFolder) -> dict[str, Problem]:
    """The probe and dev problems that lie beside the run, by id."""
    return {problem.id: problem for problem in read_records(run, "base", "data", Problem)}


def first_failure(samples: Sequence[Attempt]) -> Attempt | None:
    """The first sample that is not right, which is the one that was diagnosed."""
    return next((sample for sample in samples if sample.outcome not in (Outcome.CORRECT, Outcome.ERRORED)), None)


def find_cluster(diagnoses: Sequence[Diagnosis], cluster_id: str, where: str) -> Weakness:
    """The cluster whose id is or begins with ``cluster_id``.

    Raises:
        UsageError: none, or several.
    """
    every = [weakness for diagnosis in diagnoses for weakness in diagnosis.weaknesses]
    found = [weakness for weakness in every if weakness.id == cluster_id]
    found = found or [weakness for weakness in every if weakness.id.startswith(cluster_id)]
    if not found or not cluster_id:
        rounds = ", ".join(str(diagnosis.round) for diagnosis in diagnoses) or "none"
        raise UsageError(
            f"{where} has no cluster '{cluster_id}'. Diagnosed rounds: {rounds}; `remedial clusters --round N` lists "
            "the clusters of one."
        )
    if len(found) > 1:
        some = ", ".join(weakness.id for weakness in found[:5])
        raise UsageError(f"'{cluster_id}' fits {len(found)} clusters ({some}); give more of the id.")
    return found[0]
