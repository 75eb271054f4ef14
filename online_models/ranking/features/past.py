"""What the user's past says of a candidate. All are 0 without a past (`ranking.request.Past`)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.prefetch import prefetch
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.features.content import SHARES
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import PROFILE
from online_models.ranking.past_share import place_of_last, steps_after
from online_models.sources.past import BOUGHT, COV, LIKED, PLACE, SEQ
from online_models.tables.click_times import DAY_S, times_of_request
from online_models.vectors.two_towers import DIMENSIONS, VECTOR_ITEMS, session_vector

PART = "the user's past"
FEATURES = (
    Feature("past_size", PART, "log(1 + items of earlier sessions)", "log items", PROFILE),
    Feature(
        "past_first", PART, "1 on a first page: the session has no item yet", "0 or 1", PROFILE
    ),
    Feature("past_seen", PART, "1 if it is in an earlier session", "0 or 1", PROFILE),
    Feature("past_bought", PART, "1 if it was bought there", "0 or 1", PROFILE),
    Feature("past_liked", PART, "1 if it was liked there", "0 or 1", PROFILE),
    Feature("past_log_days", PART, "log(1 + days since), if it was seen", "log days", PROFILE),
    Feature(
        "past_recency",
        PART,
        "1 / (1 + items of the past after it), if it was seen",
        "reciprocal items",
        PROFILE,
    ),
    Feature(
        "past_visit",
        PART,
        "1 / (1 + earlier sessions after it), if it was seen",
        "reciprocal sessions",
        PROFILE,
    ),
    Feature(
        "past_opened",
        PART,
        "1 if it is the first item kept of an earlier session",
        "0 or 1",
        PROFILE,
    ),
    Feature(
        "past_in_visit",
        PART,
        "1 / (1 + its place in its earlier session), if it was seen",
        "reciprocal place",
        PROFILE,
    ),
    Feature(
        "past_next",
        PART,
        "1 / steps after the session's last item, if both are of one earlier one",
        "reciprocal steps",
        PROFILE,
    ),
    Feature(
        "past_repeats",
        PART,
        "the user's share of repeated steps, if it was seen, 0..1",
        "share 0..1",
        PROFILE,
    ),
    Feature(
        "past_again",
        PART,
        "share of the session's items in the past, if it was seen, 0..1",
        "share 0..1",
        PROFILE,
    ),
    Feature(
        "past_categories",
        PART,
        "largest share of the past that is in one of its categories",
        "share 0..1",
        PROFILE,
    ),
    Feature("past_vector", PART, "dot product with the vector of the past", "dot product", PROFILE),
    Feature(
        "past_seq", PART, "share of what followed the last items of the past", "share 0..1", PROFILE
    ),
    Feature(
        "past_cov",
        PART,
        "co-visits with the last items of the past, damped cosines",
        "sum of cosines",
        PROFILE,
    ),
)
(
    SIZE, FIRST, SEEN, BOUGHT_IT, LIKED_IT, LOG_DAYS, RECENCY, VISIT, OPENED, IN_VISIT, NEXT,
    REPEATS, AGAIN, CATEGORIES, VECTOR, SEQUENTIAL, COVISITS,
) = range(len(FEATURES))  # fmt: skip
ROWS, FLOATS_A_LINE = len(FEATURES), 16


@njit(cache=True)
def _now(st: State) -> int:
    """Return the time of the session's last click; without one, that of the past's last step."""
    _, last = times_of_request(st)
    if last > 0 and not st.request[0].first_page:
        return last
    return int(st.past_at[st.request[0].n_past - 1])


@njit(cache=True)
def _share_in_past(st: State) -> np.float32:
    """Return the share of the query's items that are in the past."""
    n_query = st.request[0].n_query
    known = 0
    for u in range(n_query):
        for i in range(st.request[0].n_past):
            if st.past[i] == st.query[u]:
                known += 1
                break
    return np.float32(known / n_query)


@njit(cache=True, fastmath=True)
def _fill_seen(st: State, first: int) -> None:
    x, request = st.features, st.request[0]
    now, again, last = _now(st), _share_in_past(st), place_of_last(st)
    for c in range(st.found[0].candidates):
        p = st.candidates[c]
        if p >= st.found[0].past_places:
            continue
        r = st.past_scores[p]
        x[first + SEQUENTIAL, c] = r[SEQ]
        x[first + COVISITS, c] = r[COV]
        i = np.int64(r[PLACE]) - 1
        if i < 0:
            continue
        x[first + SEEN, c] = 1
        x[first + BOUGHT_IT, c] = (st.past_flags[i] & BOUGHT) != 0
        x[first + LIKED_IT, c] = (st.past_flags[i] & LIKED) != 0
        x[first + LOG_DAYS, c] = math.log(1 + max(now - st.past_at[i], 0) / DAY_S)
        x[first + RECENCY, c] = np.float32(1) / (request.n_past - i)
        x[first + VISIT, c] = np.float32(1) / (1 + st.past_visit[i])
        x[first + OPENED, c] = st.past_in_visit[i] == 0
        x[first + IN_VISIT, c] = np.float32(1) / (1 + st.past_in_visit[i])
        after = steps_after(st, i, last)
        if after > 0:
            x[first + NEXT, c] = np.float32(1) / after
        x[first + REPEATS, c] = st.past_repeats[0]
        x[first + AGAIN, c] = again


@njit(cache=True, fastmath=True)
def _fill_categories(st: State, row: int) -> None:
    """Set a feature to the largest share of the past in one of the candidate's categories."""
    n_past = st.request[0].n_past
    part = np.float32(1) / n_past
    known = False
    for i in range(n_past):
        for c in st.categories[st.past[i]]:
            if c == 0:
                break
            st.shares[c & (SHARES - 1)] += part
            known = True
    if not known:
        return
    x = st.features[row]
    for i in range(st.found[0].candidates):
        for c in st.categories[st.pool[st.candidates[i]]]:
            if c == 0:
                break
            x[i] = max(x[i], st.shares[c & (SHARES - 1)])
    for i in range(n_past):
        for c in st.categories[st.past[i]]:
            st.shares[c & (SHARES - 1)] = 0


@njit(cache=True)
def _prefetch_vectors(st: State) -> None:
    """Fetch the vectors that are read last."""
    n_past = st.request[0].n_past
    words = st.context_vectors.reshape(-1)
    for i in range(max(n_past - VECTOR_ITEMS, 0), n_past):
        for d in range(0, DIMENSIONS, FLOATS_A_LINE):
            prefetch(words, st.past[i] * DIMENSIONS + d)


@njit(cache=True, fastmath=True)
def _fill_vector(st: State, row: int) -> None:
    h = st.past_vector
    session_vector(st.context_vectors, st.past, 0, st.request[0].n_past, h)
    for i in range(st.found[0].candidates):
        e = st.target_vectors[st.pool[st.candidates[i]]]
        a = np.float32(0)
        for d in range(DIMENSIONS):
            a += h[d] * e[d]
        st.features[row, i] = a


@njit(cache=True)
def _fill(st: State, first: int) -> None:
    n, n_past = st.found[0].candidates, st.request[0].n_past
    st.features[first : first + ROWS, :n] = 0
    if n_past == 0:
        return
    st.features[first + SIZE, :n] = math.log(1.0 + n_past)
    st.features[first + FIRST, :n] = st.request[0].first_page
    _prefetch_vectors(st)
    _fill_seen(st, first)
    _fill_categories(st, first + CATEGORIES)
    _fill_vector(st, first + VECTOR)


FAMILY = Family(FEATURES, _fill, tables=(Table("past_vector", np.float32, (DIMENSIONS,)),))
