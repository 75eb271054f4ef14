"""What is said of a visitor, not what the visitor did: what conditions of a request may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nextclick.context import NOWHERE, Context
from server.replica.replica import Replica
from server.services.visitor import Visitor


class Facts(NamedTuple):
    """What is known of the visitor who asks.

    Attributes
    ----------
    attributes, segments
        Those of the user, as the caller has put them; of one who is not signed in, or not in
        memory, there are none.
    context
        Where the visitor is.
    """

    attributes: Mapping[str, str] = {}
    segments: tuple[str, ...] = ()
    context: Context = NOWHERE


NOBODY = Facts()


def facts_of(replica: Replica, visitor: Visitor) -> Facts:
    """Return what is said of a visitor; the caller must hold the replica's lock."""
    user = replica.users.asked(visitor.user_id) if visitor.user_id else None
    if user is None:
        return Facts(context=visitor.context)
    return Facts(user.attributes, user.segments, visitor.context)
