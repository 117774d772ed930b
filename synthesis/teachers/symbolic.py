"""The symbolic teacher: recognises what failed from its text, and writes fresh problems of that kind.

It is shown what a language model would be shown, the text of failed problems, and infers skill and level from it;
it may be wrong, and never sees a label. It owns no wordings and no arithmetic: those are `synthesis.world`'s.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import cached_property

from memory.errors import ConfigError
from memory.ids import derive_seed, fingerprint, normalise_text
from memory.records import Cost, TeacherReply, TeacherRequest
from synthesis.teachers.base import refuse_labelled
from synthesis.teachers.recognise import Cell, Recogniser
from synthesis.world.skills import LEVELS, SKILLS

VERSION = 1
EASIEST = min(LEVELS)
_TRIES = 20


class SymbolicTeacher:
    """A `synthesis.teachers.base.Teacher` over the world's skills.

    Args:
        seed: changes the library it recognises by and everything it writes.
        level_jitter: share of problems, in [0, 1], written one level easier than what was recognised.
        min_similarity: cosine in [0, 1] below which an exemplar is taken as unknown and left out.

    Raises:
        ConfigError: a share outside [0, 1].
    """

    name = "symbolic"

    def __init__(self, seed: int = 0, *, level_jitter: float = 0.2, min_similarity: float = 0.4) -> None:
        for key, value in (("level_jitter", level_jitter), ("min_similarity", min_similarity)):
            if not 0 <= value <= 1:
                raise ConfigError(f"teacher {self.name}: {key} is {value}; give a number from 0 to 1.")
        self.seed = seed
        self.level_jitter = level_jitter
        self.min_similarity = min_similarity

    @cached_property
    def recogniser(self) -> Recogniser:
        """Its library, written once and on first use (about a tenth of a second)."""
        return Recogniser(seed=self.seed)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of version, settings and the world's own texts."""
        settings = [self.seed, self.level_jitter, self.min_similarity]
        return fingerprint([self.name, VERSION, settings, self.recogniser.fingerprint])

    def ask(
        self, requests: Sequence[TeacherRequest], progress: Callable[[int], None] | None = None
    ) -> list[TeacherReply]:
        """One reply for each request, order kept; a reply depends on its request alone.

        Raises:
            LabelError: a request carries a hidden label. Nothing is written for any request then.
        """
        refuse_labelled(requests)
        replies = []
        for request in requests:
            replies.append(self._reply(request))
            if progress is not None:
                progress(1)
        return replies

    def recognise(self, request: TeacherRequest) -> list[Cell]:
        """Skill and level of each exemplar that resembles something known, in the order shown."""
        found = [self.recogniser.nearest(item.statement, item.answer) for item in request.exemplars]
        return [match.cell for match in found if match.similarity >= self.min_similarity]

    def _reply(self, request: TeacherRequest) -> TeacherReply:
        prompt = sum(_tokens(item.statement) + _tokens(item.answer) for item in request.exemplars)
        cells = self.recognise(request)
        if not cells:
            shown = len(request.exemplars)
            error = f"none of the {shown} problems shown resembles a skill of the symbolic world; ask another teacher"
            return TeacherReply(
                request_id=request.id, teacher=self.name, text="", cost=Cost(prompt_tokens=prompt), error=error
            )
        text = json.dumps({"problems": self._write(request, cells)})
        cost = Cost(prompt_tokens=prompt, completion_tokens=_tokens(text))
        return TeacherReply(request_id=request.id, teacher=self.name, text=text, cost=cost)

    def _write(self, request: TeacherRequest, cells: Sequence[Cell]) -> list[dict[str, str]]:
        """``request.n`` problems, the cells in turn; neither copies of what was shown nor of one another."""
        shown = [item.model_dump(mode="json") for item in request.exemplars]
        rng = random.Random(derive_seed(self.name, self.seed, request.seed, request.n, shown))
        taken = {normalise_text(item.statement) for item in request.exemplars}
        problems = []
        for index in range(request.n):
            cell = cells[index % len(cells)]
            easier = cell.level > EASIEST and rng.random() < self.level_jitter
            level = cell.level - 1 if easier else cell.level
            item = SKILLS[cell.skill].generate(rng, level)
            for _ in range(_TRIES):
                if normalise_text(item.statement) not in taken:
                    break
                item = SKILLS[cell.skill].generate(rng, level)
            taken.add(normalise_text(item.statement))
            problems.append({"statement": item.statement, "solution": item.solution, "answer": item.answer})
        return problems


def _tokens(text: str) -> int:
    """A rough count: four characters a token."""
    return len(text) // 4
