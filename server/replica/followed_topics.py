"""The topics that a replica reads, declared once: how each is applied, and where reading begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nextclick.topics import (
    ITEMS,
    PROFILES,
    RANKER,
    SCOREBOARD,
    SESSIONS,
    TOPICS,
    USERS,
    VECTORS,
)
from server.replica.replica import Replica, Role


class Partition(NamedTuple):
    """What decides where reading of a partition begins."""

    low: int
    """The first offset that the broker still has."""
    high: int
    """The offset of the next record to be written."""
    position: int | None
    """The next offset in the replica's snapshot; None if there is none."""
    last_records: Callable[[], int]
    """Returns the offset from which as many records follow as are read without a snapshot."""
    role: Role

    @property
    def known(self) -> int | None:
        """The snapshot's position; None if the log no longer has it."""
        if self.position is not None and self.low <= self.position <= self.high:
            return self.position
        return None


Start = Callable[[Partition], int]
"""Returns the offset at which reading a partition begins."""


def at_snapshot(p: Partition) -> int:
    """Continue after the snapshot; without one, from the beginning."""
    return p.low if p.known is None else p.known


def at_snapshot_or_history(p: Partition) -> int:
    """Continue after the snapshot; without one, read the last records."""
    return p.last_records() if p.known is None else p.known


def at_beginning(p: Partition) -> int:
    """Read all of a compacted topic: snapshots do not contain its records."""
    return p.low


def vectors(p: Partition) -> int:
    """Continue after the snapshot; an emitter reads all, as no snapshot has held vectors."""
    return at_beginning(p) if p.role is Role.EMITTER else at_snapshot(p)


def newest_scores(p: Partition) -> int:
    """Skip all but the newest records, each of which replaces those before it."""
    newest = TOPICS[SCOREBOARD].read_last or 0
    return at_snapshot(p._replace(low=max(p.low, p.high - newest)))


class FollowedTopic(NamedTuple):
    """A topic, and what the log reader does with it; its lag is measured."""

    name: str
    apply: Callable[..., None]
    """Applies a record to a `Replica`: its key and value, and if `timed` when it arrived."""
    start: Start
    clicks: bool = False
    """Whether its records are clicks: their age is the replica's lag in time, and reading them
    can pause."""
    timed: bool = False


FOLLOWED = (
    FollowedTopic(ITEMS, Replica.apply_item, at_snapshot),
    FollowedTopic(USERS, Replica.apply_user, at_snapshot, timed=True),
    FollowedTopic(RANKER, Replica.apply_learner, at_beginning),
    FollowedTopic(VECTORS, Replica.apply_vectors, vectors),
    FollowedTopic(SCOREBOARD, Replica.apply_score, newest_scores),
    FollowedTopic(PROFILES, Replica.apply_profile, at_snapshot, timed=True),
    FollowedTopic(SESSIONS, Replica.apply_session, at_snapshot_or_history, clicks=True, timed=True),
)
