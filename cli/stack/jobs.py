"""The Flink jobs that can be submitted by name: their programs, and what each of them reads."""

from __future__ import annotations

from pathlib import Path

from cli.errors import CommandError
from cli.stack.layout import PROJECT

LEARNERS = "learners"
STARTED = ("sessions", LEARNERS)
"""Jobs that a stack runs from its start."""

INPUTS = {
    "sessions": {"sessions": "events"},
    LEARNERS: {"vectors": "sessions", "ranker": "examples", "score": "impressions"},
    "vectors": {"vectors": "sessions"},
    "ranker": {"ranker": "examples"},
    "score": {"score": "impressions"},
}
"""By job: its parts, each with the topic that its lag is measured on."""


def program(name: str) -> Path:
    """Return the program of a job.

    Raises
    ------
    CommandError
        For a name that is no job's.
    """
    programs = {
        file.stem: file
        for file in (PROJECT / "streaming" / "jobs").glob("*.py")
        if "__main__" in file.read_text()
    }
    if name not in programs:
        known = ", ".join(sorted(programs))
        raise CommandError(f"there is no job {name!r}; jobs are: {known}")
    return programs[name]
