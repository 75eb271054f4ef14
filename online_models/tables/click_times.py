"""When a session's last clicks were: features of time, for the ranker.

Time is that of the clicks, never of the question: an answer for a session is the same whenever it
is asked for, and what the ranker learns is what it will see.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.layout import State

PREVIOUS, LAST = 0, 1
"""Columns of ``State.moments``: seconds since 1970 of a session's last two clicks; 0: unknown."""

N_MOMENT = 3
DAY_S = 86_400


@njit(cache=True)
def note_time(st: State, slot: int, at_s: int) -> None:
    """Note when a session's newest click was."""
    st.moments[slot, PREVIOUS] = st.moments[slot, LAST]
    st.moments[slot, LAST] = at_s


@njit(cache=True)
def set_moment(st: State, own: int, previous_s: int, last_s: int) -> None:
    """Fill ``st.moment``: log(1 + seconds between the last clicks), sine and cosine of the hour.

    Without ``last_s`` the times are those held of session ``own``; what is unknown is 0.
    """
    previous, last = np.int64(previous_s), np.int64(last_s)
    if last == 0 and own >= 0:
        slot = own & (len(st.sessions) - 1)
        if st.sessions[slot].number == own + 1:
            previous = np.int64(st.moments[slot, PREVIOUS])
            last = np.int64(st.moments[slot, LAST])
    gap = last - previous if previous > 0 else 0
    angle = 2 * math.pi * (last % DAY_S) / DAY_S
    st.moment[0] = math.log(1.0 + max(gap, 0))
    st.moment[1] = math.sin(angle) if last > 0 else 0.0
    st.moment[2] = math.cos(angle) if last > 0 else 0.0
