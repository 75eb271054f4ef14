"""The jobs, declared once; without Flink, so that the command line can import it.

To add a job like the learners, write its task and add a `Part` here.
"""

from __future__ import annotations

from typing import NamedTuple

from nextclick.topics import COMMANDS, EVENTS, EXAMPLES, IMPRESSIONS, ITEMS, SESSIONS, USERS

REFUSED = "refused"
"""Name of the counter, among an operator's metrics, of the records that its task has passed over
since the job's last start."""


class Part(NamedTuple):
    """An operator of a job, and what it reads.

    Parameters
    ----------
    name
        Its name; the consumer group is derived from it.
    topics
        Topics that it reads, without tenant.
    hosts
        The pure function or task that it hosts, as ``module:name``.
    """

    name: str
    topics: tuple[str, ...]
    hosts: str

    @property
    def group(self) -> str:
        """Its consumer group, without tenant."""
        return f"{self.name}-job"

    @property
    def operator(self) -> str:
        """The name, in Flink, of the operator that hosts a task."""
        return f"learn-{self.name}"


class Job(NamedTuple):
    """A job that can be submitted.

    Parameters
    ----------
    name
        Its name, the first argument of the module.
    module
        The module that Flink runs to build the job's graph.
    parts
        Its operators, all in one slot.
    """

    name: str
    module: str
    parts: tuple[Part, ...]


_LEARNERS = (
    Part("vectors", (SESSIONS, ITEMS, COMMANDS), "streaming.tasks.vectors:VectorsTask"),
    Part("ranker", (EXAMPLES, COMMANDS), "streaming.tasks.ranker:RankerTask"),
    Part("score", (IMPRESSIONS, SESSIONS), "streaming.tasks.score:ScoreTask"),
)

_DECLARED = (
    Job(
        "sessions",
        "streaming.jobs.sessions",
        (
            Part("sessions", (EVENTS,), "streaming.session_outputs:to_outputs"),
            # Also gets the sessions of signed-in users, from the part before.
            Part("profiles", (USERS,), "streaming.profiles:process"),
        ),
    ),
    # All in one slot, for one machine; in production, each can be a job of its own.
    Job("learners", "streaming.jobs.learners", _LEARNERS),
    *(Job(part.name, "streaming.jobs.learners", (part,)) for part in _LEARNERS),
)

JOBS = {job.name: job for job in _DECLARED}
"""Every job, by its name."""
