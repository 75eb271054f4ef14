"""What a profile tells of the time before a session, as the models read it.

Answers, examples and imports take it from here, so that the ranker learns of what it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import PROFILE_ITEMS
from nextclick.v1 import session_pb2 as pb
from nextclick.v1.profile_pb2 import Profile, ProfileMark
from online_models.engine import Past
from online_models.sources.past import BOUGHT, LIKED

RowsOf = Callable[[Sequence[str]], list[int]]
"""Returns the rows of items, 0 for each that has none (`Engine.rows_of`)."""

Times = NDArray[np.int64]
"""Milliseconds since 1970, as senders say."""

NEVER = np.iinfo(np.int64).max
"""Later than all times."""


class Known(NamedTuple):
    """What answers and examples need of a profile.

    ``item_ids`` are items of sessions that are over, oldest first by the last step on each;
    ``times_ms`` (n,) when that was, ``bought_ms`` and ``liked_ms`` (n,) since when they are bought
    and liked, `NEVER` for those that are not. ``repeats`` is the share of the user's steps until
    ``last_ms`` that were on an item of an earlier session. ``purchased`` are items with the time of
    the last purchase, last one last. ``appended_ms`` is when the last event that is in it arrived.
    """

    item_ids: tuple[str, ...] = ()
    times_ms: Times = np.zeros(0, np.int64)
    bought_ms: Times = np.zeros(0, np.int64)
    liked_ms: Times = np.zeros(0, np.int64)
    repeats: float = 0.0
    last_ms: int = 0
    purchased: tuple[tuple[str, int], ...] = ()
    disliked: tuple[str, ...] = ()
    appended_ms: int = 0

    def bought_since(self, time_ms: int) -> list[str]:
        """Return the items that were bought since a time."""
        return [item_id for item_id, at_ms in self.purchased if at_ms >= time_ms]

    def past(self, rows_of: RowsOf, began_ms: int = 0) -> Past | None:
        """Return what the user had done before a session began.

        None if nothing: then an answer is that of a user who is not known.

        Parameters
        ----------
        rows_of
            Finds the rows of the items.
        began_ms
            Time of the session's first step; 0: it has none yet, or that is not known. What is not
            older does not count: neither what the session itself has done, where it was taken for
            one that is over, nor, in a history that is read again, its future.
        """
        until = began_ms or NEVER
        n = int(np.searchsorted(self.times_ms, until))
        rows = np.array(rows_of(self.item_ids[:n]), np.int32)
        if not rows.any():
            return None
        flags = BOUGHT * (self.bought_ms[:n] < until) | LIKED * (self.liked_ms[:n] < until)
        repeats = self.repeats if self.last_ms < until else 0.0
        return Past(rows, self.times_ms[:n] // 1_000, flags.astype(np.uint8), repeats)


STRANGER = Known()
"""What is known of a user who has no profile."""


def known(profile: Profile) -> Known:
    """Return what answers and examples need of a profile."""
    # By the time of the last step, which a profile of several partitions may not be in.
    items = sorted(profile.items, key=lambda item: item.last_timestamp_ms)[-PROFILE_ITEMS:]
    bought, liked = _first(profile.purchased), _first(profile.liked)
    for item in items:  # what is in sessions that are over was before the last step on it
        if item.type == pb.EVENT_TYPE_PURCHASE:
            bought[item.item_id] = 0
        elif item.type == pb.EVENT_TYPE_LIKE:
            liked[item.item_id] = 0
    ids = tuple(item.item_id for item in items)
    return Known(
        ids,
        np.array([item.last_timestamp_ms for item in items], np.int64),
        np.array([bought.get(item_id, NEVER) for item_id in ids], np.int64),
        np.array([liked.get(item_id, NEVER) for item_id in ids], np.int64),
        min(profile.repeated_steps / profile.steps, 1.0) if profile.steps else 0.0,
        profile.last_timestamp_ms,
        tuple((mark.item_id, mark.timestamp_ms) for mark in profile.purchased),
        tuple(mark.item_id for mark in profile.disliked),
        profile.appended_ms,
    )


def _first(marks: Iterable[ProfileMark]) -> dict[str, int]:
    """Return the first time of each item."""
    first: dict[str, int] = {}
    for mark in marks:
        first[mark.item_id] = min(mark.timestamp_ms, first.get(mark.item_id, mark.timestamp_ms))
    return first
