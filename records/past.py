"""What a profile tells of the time before a session, as the models read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nextclick.v1.profile_pb2 import Profile, ProfileMark
from online_models.engine import Past
from online_models.sources.past import BOUGHT, LIKED

RowsOf = Callable[[Sequence[str]], list[int]]
"""Returns the rows of items, 0 for each that has none (`Engine.rows_of`)."""


def past_of(profile: Profile, began_ms: int, rows_of: RowsOf) -> Past | None:
    """Return what a user had done before a session began.

    None if nothing: then an answer is that of a user who is not known.

    Parameters
    ----------
    profile
        The user's profile, of any time: what is not older than the session does not count. So an
        example of a history that is read again has nothing of its future in it.
    began_ms
        Time of the session's first step; of a session without any, the present. In milliseconds
        since 1970, as senders say.
    rows_of
        Finds the rows of the items.
    """
    items = [item for item in profile.items if item.last_timestamp_ms < began_ms]
    if not items:
        return None
    # By the time of the last step, which a profile of several partitions may not be in.
    items.sort(key=lambda item: item.last_timestamp_ms)
    ids = [item.item_id for item in items]
    bought, liked = _before(profile.purchased, began_ms), _before(profile.liked, began_ms)
    flags = [BOUGHT * (item_id in bought) | LIKED * (item_id in liked) for item_id in ids]
    whole = profile.steps > 0 and profile.last_timestamp_ms < began_ms
    return Past(
        np.array(rows_of(ids), np.int32),
        np.array([item.last_timestamp_ms // 1_000 for item in items], np.int64),
        np.array(flags, np.uint8),
        min(profile.repeated_steps / profile.steps, 1.0) if whole else 0.0,
    )


def _before(marks: Iterable[ProfileMark], began_ms: int) -> set[str]:
    return {mark.item_id for mark in marks if mark.timestamp_ms < began_ms}
