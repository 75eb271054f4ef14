"""What can keep an evaluation from running; each message says what to do."""

from __future__ import annotations

from pathlib import Path


class EvaluationError(Exception):
    """Base of all errors of this package."""


class UnreadableFileError(EvaluationError):
    """A data file, or a line of it, that cannot be understood.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong with it, or what was expected instead.
    line
        Its number, from 1; None if the whole file is meant.
    """

    def __init__(self, path: Path, reason: object, line: int | None = None) -> None:
        where = f"cannot read {path}" if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line


class UnknownRankingError(EvaluationError):
    """There is no ranking of that name."""


class NoDataError(EvaluationError):
    """The data that an evaluation needs are not there, or are too few."""
