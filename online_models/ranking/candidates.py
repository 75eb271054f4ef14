"""Candidates: the best items of the pool by the blend, for the rankings to order."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.memory.top_k import sort_places, top_k
from online_models.ranking.blend import score_pool
from online_models.ranking.item_filter import allowed
from online_models.ranking.new_share import give_new_share
from online_models.ranking.past_share import give_share
from online_models.sources.registry import POOL, retrieve
from online_models.tables.click_times import set_time_features

CANDIDATES = 64
"""The most items that the rankings order."""

EXCLUDED_SCORE = np.float32(-1e30)

TABLES = (
    Table("order", np.int32, (POOL,)),
    Table("candidates", np.int32, (CANDIDATES,)),
)


@njit(cache=True)
def pick_candidates(st: State, filtered: bool) -> int:
    """Pick the best items of the pool for the request.

    Sets ``st.order[:n]`` to places in the pool, best first by ``st.pool_score``, and returns n: the
    size of the request, at least `CANDIDATES`; fewer if fewer items of the pool pass the filter.
    The first of them are the candidates, ``st.candidates``; the user's past and new items have
    shares of them.
    """
    set_time_features(st)
    retrieve(st)
    score_pool(st)
    found = st.found[0]
    found.has_features = 0
    if filtered:
        for p in range(found.pool_size):
            if not allowed(st, st.pool[p]):
                st.pool_score[p] = EXCLUDED_SCORE
    n = top_k(st.pool_score, found.pool_size, max(st.request[0].size, CANDIDATES), st.order)
    sort_places(st.pool_score, st.order, n, st.sort_keys, st.sort_places)
    while n > 0 and st.pool_score[st.order[n - 1]] == EXCLUDED_SCORE:
        n -= 1
    give_share(st, n, CANDIDATES)
    give_new_share(st, n, CANDIDATES)
    found.candidates = min(n, CANDIDATES)
    for i in range(found.candidates):
        st.candidates[i] = st.order[i]
    return n
