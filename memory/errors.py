"""Every error Remedial raises on purpose, and the exit code each one means.

An error's text names the place and the cure. Anything else that reaches the
command line is a bug and is shown with a traceback.
"""

from __future__ import annotations


class RemedialError(Exception):
    """Base of all deliberate errors. ``exit_code`` 1: the run failed."""

    exit_code = 1


class UsageError(RemedialError):
    """Wrong usage, configuration or input data; nothing has been spent. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration is wrong: unknown key, bad value, impossible combination."""


class DataError(UsageError):
    """An input file is wrong. The message names file and line where there is one."""


class MixError(UsageError):
    """The requested mixture cannot be made exactly."""


class SplitError(RemedialError):
    """A record of a sealed split was about to reach a teacher, a pool or a mixture."""


class LabelError(RemedialError):
    """A hidden label was about to be used for something other than measuring diagnosis."""


class StoreError(RemedialError):
    """The run folder is damaged, locked by another process, or of another run."""


class TeacherError(RemedialError):
    """The teacher could not be asked at all (not: one reply was bad)."""


class EngineError(RemedialError):
    """The student could not be loaded or could not generate."""


class BudgetError(RemedialError):
    """A budget is used up; everything finished and every paid reply is stored, and a resume can go on."""


class Paused(RemedialError):
    """The run waits for a person to review a round after a step. No failure: exit code 0."""

    exit_code = 0

    def __init__(self, round_index: int, point: str) -> None:
        super().__init__(f"round {round_index} waits for a review after {point}")
        self.round, self.point = round_index, point


class Interrupted(RemedialError):
    """The user asked to stop; finished work is stored. Exit code 130."""

    exit_code = 130
