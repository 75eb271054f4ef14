"""The rights that each role needs of a Kafka with an authorizer, declared once, and no more.

ACLs, Strimzi's users and the table in docs/security.md follow from it. A server, an emitter and the
store compare it with what they have when they start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nextclick.topics import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    EXAMPLES,
    IMPRESSIONS,
    ITEMS,
    RANKER,
    SCOREBOARD,
    SESSIONS,
    TOPICS,
    VECTORS,
    topic,
)

READ, WRITE, DESCRIBE, CREATE = "READ", "WRITE", "DESCRIBE", "CREATE"
DESCRIBE_CONFIGS = "DESCRIBE_CONFIGS"

TOPIC, GROUP = "topic", "consumer group"

REPLICAS, LEDGER, CATALOGUE, OFF_POLICY = "server", "ledger", "catalogue", "off-policy"
"""Groups of those that read whole topics: Kafka's client asks for the group's coordinator, if only
to commit nothing there."""


class Right(NamedTuple):
    """An operation on a topic or on a consumer group, whose name has its tenant."""

    kind: str
    name: str
    operation: str

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.operation} on the {self.kind} {self.name}"


class Role(NamedTuple):
    """Who has a user of its own, and what that may do; topics and groups are without tenant.

    Parameters
    ----------
    name
        Its name, and that of its user in the local stack and in Kubernetes.
    what
        The processes that are it.
    reads, writes
        Topics.
    groups
        Consumer groups that it commits for.
    describes
        Consumer groups that it names, or whose lag it tells, and never commits for.
    manages
        Topics that it creates and compares with what is declared.
    """

    name: str
    what: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    describes: tuple[str, ...] = ()
    manages: tuple[str, ...] = ()

    def rights(self, tenant: str = "") -> Iterator[Right]:
        """Yield its rights for a tenant."""
        for operation, kind, names in (
            (READ, TOPIC, self.reads),
            (WRITE, TOPIC, self.writes),
            (CREATE, TOPIC, self.manages),
            (DESCRIBE, TOPIC, self.manages),
            (DESCRIBE_CONFIGS, TOPIC, self.manages),
            (READ, GROUP, self.groups),
            (DESCRIBE, GROUP, self.describes),
        ):
            for name in names:
                yield Right(kind, topic(name, tenant), operation)


_FOLLOWED = (ITEMS, RANKER, VECTORS, SCOREBOARD, SESSIONS, DEAD_LETTERS)
_JOBS = ("sessions-job", "vectors-job", "ranker-job", "score-job")

_DECLARED = (
    Role(
        "server",
        "servers: `nextclick serve`",
        reads=_FOLLOWED,
        writes=(EVENTS, ITEMS, COMMANDS, IMPRESSIONS),
        describes=(REPLICAS,),
    ),
    Role(
        "emitter",
        "the example emitter",
        reads=_FOLLOWED,
        writes=(EXAMPLES,),
        describes=(REPLICAS,),
    ),
    Role("store", "the session store", reads=(SESSIONS,), groups=("session-store",)),
    Role(
        "jobs",
        "the Flink jobs",
        reads=(EVENTS, SESSIONS, ITEMS, COMMANDS, EXAMPLES, IMPRESSIONS),
        writes=(SESSIONS, DEAD_LETTERS, VECTORS, RANKER, SCOREBOARD),
        groups=_JOBS,
    ),
    Role(
        "operator",
        "people and their commands: `topics`, `doctor`, `status`, `import`, `replay`, `catalogue`, "
        "`off-policy`",
        reads=(SESSIONS, DEAD_LETTERS, ITEMS, IMPRESSIONS),
        writes=(EVENTS, COMMANDS),
        describes=(LEDGER, CATALOGUE, OFF_POLICY, "session-store", *_JOBS),
        manages=tuple(TOPICS),
    ),
)

ROLES = {role.name: role for role in _DECLARED}
"""Every role, by its name."""
