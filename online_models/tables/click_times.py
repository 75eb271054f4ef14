"""Times of a session's last two clicks, as features of the ranker.

Only the times of clicks count, never that of the request: a session gets the same answer whenever
it asks, and the ranker sees the same features when it learns and when it answers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Kept, Table

PREVIOUS, LAST = 0, 1
"""Columns of ``State.click_times``: seconds since 1970 of a session's last two clicks; 0: unknown.
"""

LOG_GAP, HOUR_SINE, HOUR_COSINE = range(3)
"""Places in ``State.time_features``."""

DAY_S = 86_400

TABLES = (
    Table("click_times", np.uint32, ("max_sessions", 2), Kept.SESSIONS),
    Table("time_features", np.float32, (3,)),
)


@njit(cache=True)
def note_time(st: State, slot: int, at_s: int) -> None:
    """Store the time of a session's newest click."""
    st.click_times[slot, PREVIOUS] = st.click_times[slot, LAST]
    st.click_times[slot, LAST] = at_s


@njit(cache=True)
def forget_times(st: State, slot: int) -> None:
    """Clear the times of a slot that is given to another session."""
    st.click_times[slot, PREVIOUS] = 0
    st.click_times[slot, LAST] = 0


@njit(cache=True)
def times_of_request(st: State):  # type: ignore[no-untyped-def]
    """Return the times (previous, last) of the session's last two clicks; 0: unknown.

    They are those of the request or, where it has none, those stored for its session.
    """
    request = st.request[0]
    previous, last, own = request.previous_s, request.last_s, request.session
    if last == 0 and own >= 0:
        slot = own & (len(st.sessions) - 1)
        if st.sessions[slot].number == own + 1:
            previous = np.int64(st.click_times[slot, PREVIOUS])
            last = np.int64(st.click_times[slot, LAST])
    return previous, last


@njit(cache=True)
def set_time_features(st: State) -> None:
    """Fill ``st.time_features``: log(1 + seconds between the clicks), and the hour as an angle.

    Unknown values are 0.
    """
    previous, last = times_of_request(st)
    gap = last - previous if previous > 0 else 0
    angle = 2 * math.pi * (last % DAY_S) / DAY_S
    st.time_features[LOG_GAP] = math.log(1.0 + max(gap, 0))
    st.time_features[HOUR_SINE] = math.sin(angle) if last > 0 else 0.0
    st.time_features[HOUR_COSINE] = math.cos(angle) if last > 0 else 0.0
