"""The visitor of a request: the newest state among replica, Redis and the request itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextclick.context import NOWHERE, Context
from nextclick.convert import context_from_proto
from nextclick.v1 import session_pb2
from online_models.engine import Engine, Past
from online_models.ranking.request import UNKNOWN_TIMES
from records.past import STRANGER, Known
from records.session_life import UNKNOWN, Applied
from server.replica.redis_view import Question, Stored
from server.replica.replica import Replica
from server.replica.sessions import seconds

Rows = Sequence[int] | NDArray[np.int32]


@dataclass(slots=True)
class Visitor:
    """A visitor's session as far as it is known, and what its user did before.

    ``rows`` are its items in click order, 0 for an item without a row; ``number`` is the
    session's number in the models, -1 if it is not in memory; ``times_s`` are the times of its last
    two clicks in seconds, if the models do not have them; ``began_ms`` is that of its first step, 0
    if it has none, is no signed-in user's, or that is not known. ``user_id`` is the signed-in user
    whom the request names, else an event of the session; ``context`` is what is said of the
    context. ``profile`` has nothing of the running session but what was bought and disliked; `past`
    is what the models take of it.
    """

    session_id: str = ""
    applied: Applied = UNKNOWN
    number: int = -1
    rows: Rows = ()
    times_s: tuple[int, int] = UNKNOWN_TIMES
    began_ms: int = 0
    hidden: Sequence[str] = ()
    purchased: Sequence[str] = ()
    user_id: str = ""
    context: Context = NOWHERE
    profile: Known = STRANGER


def past_of(engine: Engine, visitor: Visitor) -> Past | None:
    """Return a visitor's past, None if there is none; the caller must hold the replica's lock."""
    return visitor.profile.past(engine.rows_of, visitor.began_ms)


class UnreadVisitorError(Exception):
    """Redis may know more of a visitor: read it, not holding the lock, and resolve again."""

    def __init__(self, question: Question) -> None:
        self.question = question
        super().__init__(question)


def resolve_visitor(
    replica: Replica, session_id: str, user_id: str, stored: Stored | None = None
) -> Visitor:
    """Return the visitor of a request; the caller must hold the replica's lock.

    Redis is asked only when it may know more: while the replica is catching up, or when the session
    is not in memory but may be older than the part of the log that the replica has read; and for a
    profile that is not in memory, where not all are.

    Parameters
    ----------
    replica
        Has the sessions in memory.
    session_id, user_id
        Those of the request. With both, the session is answered for, and the user counts as its
        user, whether or not an event has said so.
    stored
        What Redis knows of the visitor; None if it has not been asked.

    Raises
    ------
    UnreadVisitorError
        If Redis may know more and has not been asked.
    """
    visitor = _session_of(replica, session_id, user_id, stored)
    if not visitor.user_id:
        return visitor
    if replica.refuses_profile(visitor.user_id):
        return visitor
    known = replica.profiles.get(visitor.user_id)
    if known is None and not replica.knows_profiles:
        if stored is None:
            raise UnreadVisitorError(Question("", profile_of=visitor.user_id))
        if stored.profile_of == visitor.user_id:
            known = replica.profiles.note(visitor.user_id, stored.profile)
    visitor.profile = known or STRANGER
    return visitor


def _session_of(replica: Replica, session_id: str, user_id: str, stored: Stored | None) -> Visitor:
    """Return the visitor of a request without the profile."""
    visitor = Visitor(session_id, user_id=user_id)
    if not session_id:
        visitor.session_id = replica.sessions.current_session(user_id)
        if not replica.caught_up or not (visitor.session_id or replica.definitive):
            if stored is None:
                raise _unread(replica, visitor, user_id)
            visitor.session_id = stored.session_id or visitor.session_id
        if not visitor.session_id:
            return visitor
    entry = replica.sessions.get(visitor.session_id)
    if entry is not None:
        visitor.applied = entry.applied
        visitor.number = entry.number
        visitor.rows = replica.engine.session_rows(entry.number)
        visitor.hidden = entry.hidden
        visitor.purchased = entry.purchased
        visitor.user_id = user_id or entry.user_id
        visitor.context = entry.context
        visitor.began_ms = entry.first_ms
        if replica.caught_up:
            return visitor
    elif replica.definitive:
        return visitor
    if stored is None:
        raise _unread(replica, visitor)
    record = stored.record
    if (
        record is not None
        and record.session_id == visitor.session_id
        and visitor.applied.precedes(record)
    ):
        visitor.applied = Applied.after(record)
        visitor.rows = replica.engine.rows_of(step.item_id for step in record.steps)
        previous, last = ([0, 0] + [seconds(s.timestamp_ms) for s in record.steps[-2:]])[-2:]
        visitor.times_s = (previous, last)
        visitor.began_ms = record.first_timestamp_ms
        visitor.context = context_from_proto(record.context)
        visitor.hidden = record.hidden_item_ids
        visitor.purchased = [
            s.item_id for s in record.steps if s.type == session_pb2.EVENT_TYPE_PURCHASE
        ]
        visitor.user_id = user_id or record.user_id
    return visitor


def _unread(replica: Replica, visitor: Visitor, user_id: str = "") -> UnreadVisitorError:
    """Return that Redis may know more of a session; it is asked for the profile at once."""
    user = visitor.user_id
    wanted = bool(user) and not replica.knows_profiles and replica.profiles.get(user) is None
    return UnreadVisitorError(Question(visitor.session_id, user_id, user if wanted else ""))


def n_stored(stored: list[int], tail: list[int]) -> int:
    """Return how many of the first items of a request the stored session ends with.

    >>> n_stored([1, 2, 3], [2, 3, 4])
    2
    """
    for n in range(min(len(stored), len(tail)), 0, -1):
        if stored[-n:] == tail[:n]:
            return n
    return 0
