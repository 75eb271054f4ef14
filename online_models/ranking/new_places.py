"""Places for new items on a page that counts have made; see `content.new_items`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.state import State
from online_models.ranking.item_filter import allowed, exclude
from online_models.ranking.page import NEAR_SCORE


@njit(cache=True)
def place_new(st: State, n: int, at: int, most: int, rows: NDArray[np.int64]) -> int:
    """Put up to ``most`` of the rows into the answer of ``n`` items, from the place ``at`` on.

    Rows that the filter refuses, or that the answer has, are passed over. What was there moves
    down, and beyond the end of the page leaves it. Scores stay in order: a new item has that of the
    item before it. Returns how many were put.
    """
    size = st.request[0].size
    for i in range(n):
        exclude(st, st.answer[i])
    put = 0
    for row in rows:
        if put == most or at + put == size:
            break
        if allowed(st, row):
            st.looked_at[put] = row
            exclude(st, row)
            put += 1
    for i in range(min(size, n + put) - 1, at + put - 1, -1):
        st.answer[i] = st.answer[i - put]
        st.answer_score[i] = st.answer_score[i - put]
    score = st.answer_score[at - 1] if at > 0 else NEAR_SCORE
    for i in range(put):
        st.answer[at + i] = st.looked_at[i]
        st.answer_score[at + i] = score
    return put
