"""The page: ranked items first, then near ones, then popular ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.bits import lowest_bit
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.memory.top_k import MAX_SORTED, sort_places, top_k
from online_models.ranking.candidates import pick_candidates
from online_models.ranking.item_filter import allowed, exclude
from online_models.ranking.listed_items import ENOUGH, MOST_LOOKED_AT, begin, following
from online_models.ranking.rankings import order_candidates
from online_models.sources.popularity import POPULAR, trend
from online_models.tables.item_lists import CLICKED, NOT_CLICKED

MAX_ANSWER = MAX_SORTED
"""The most items in an answer."""

NEAR_SCORE, NEAR_STEP = np.float32(-50), np.float32(0.05)
"""Scores of items that are only near the session's items: below those of any ranking."""

FILL_SCORE = np.float32(-100)
"""Scores of popular items that fill the page: below all others."""

BELOW_CANDIDATES = np.float32(0.01)
"""How far the score of an item beyond the candidates is below that of the item before it."""

LONG_AGO = np.float32(10_000)
"""The log of popularity is never below its negative where a page is filled under a condition."""

TABLES = (
    Table("answer", np.int32, (MAX_ANSWER,)),
    Table("answer_score", np.float32, (MAX_ANSWER,)),
    Table("trend_rows", np.int32, (POPULAR,)),
    Table("trend_score", np.float32, (POPULAR,)),
    Table("trend_order", np.int32, (POPULAR,)),
    Table("looked_at", np.int32, (MOST_LOOKED_AT,)),
    Table("looked_at_score", np.float32, (MOST_LOOKED_AT,)),
    Table("looked_at_order", np.int32, (MOST_LOOKED_AT,)),
)


@njit(cache=True)
def recommend(st: State):  # type: ignore[no-untyped-def]
    """Answer the request: rows in ``st.answer``, scores in ``st.answer_score``.

    Returns (number of items, how many of them are ranked). There are as many items as the request
    wants, or all that pass its filter among those that `fill` looks at.
    """
    n_picked = pick_candidates(st, True)
    order_candidates(st)
    return write_page(st, n_picked)


def recommend_in_steps(st: State, enter: Callable[[str], None]) -> tuple[int, int]:
    """Answer as `recommend` does; call ``enter`` with the name of each step as it begins."""
    enter("candidates")
    n_picked = pick_candidates(st, True)
    enter("rank")
    order_candidates(st)
    enter("page")
    n, n_ranked = write_page(st, n_picked)
    return n, n_ranked


@njit(cache=True)
def write_page(st: State, n_picked: int):  # type: ignore[no-untyped-def]
    """Write the page: the ordered candidates, what else was picked, then what `fill` adds.

    Returns as `recommend` does.
    """
    n_ranked = min(n_picked, st.request[0].size)
    n = write_ranked(st, n_ranked)
    for i in range(n, n_ranked):
        st.answer[i] = st.pool[st.order[i]]
        st.answer_score[i] = st.answer_score[n - 1] - BELOW_CANDIDATES * (i - n + 1)
    return fill(st, n_ranked), n_ranked


@njit(cache=True)
def write_ranked(st: State, most: int) -> int:
    """Write the ordered candidates into the answer; return how many."""
    n = min(st.found[0].candidates, most)
    for i in range(n):
        place = st.ranked_places[i]
        st.answer[i] = st.pool[st.candidates[place]]
        st.answer_score[i] = st.ranking_score[place]
    return n


@njit(cache=True)
def trending(st: State) -> int:
    """Answer with the items whose recent popularity exceeds their long-term one the most."""
    n = 0
    for i in range(st.counters[0].trending):
        row = st.trending[i]
        if allowed(st, row):
            st.trend_rows[n] = row
            st.trend_score[n] = trend(st, row)
            n += 1
    n = top_k(st.trend_score, n, st.request[0].size, st.trend_order)
    sort_places(st.trend_score, st.trend_order, n, st.sort_keys, st.sort_places)
    for i in range(n):
        st.answer[i] = st.trend_rows[st.trend_order[i]]
        st.answer_score[i] = st.trend_score[st.trend_order[i]]
    return fill(st, n)


@njit(cache=True)
def fill_with_near(st: State, n: int, rows: NDArray[np.int64]):  # type: ignore[no-untyped-def]
    """Fill the answer after ``n`` items with the given rows in order, then as `fill` does.

    Returns (number of items, how many of them are ranked or near).
    """
    for i in range(n):
        exclude(st, st.answer[i])
    for row in rows:
        if n == st.request[0].size:
            break
        if allowed(st, row):
            st.answer[n] = row
            st.answer_score[n] = NEAR_SCORE - NEAR_STEP * n
            exclude(st, row)
            n += 1
    return fill(st, n), n


@njit(cache=True)
def fill(st: State, n: int) -> int:
    """Fill the answer after ``n`` items with popular ones; return its length.

    From the list of the most popular items, and if these do not suffice, from the lists of the
    wanted categories: the most popular ones among the last clicked, then those never clicked. Under
    a condition, from the items that fulfil it.
    """
    size = st.request[0].size
    if n == size:
        return n
    for i in range(n):
        exclude(st, st.answer[i])
    for i in range(st.counters[0].popular):
        if n == size:
            return n
        row = st.popular[i]
        if allowed(st, row):
            st.answer[n] = row
            st.answer_score[n] = FILL_SCORE - n
            exclude(st, row)
            n += 1
    first = n
    if n < size:
        if st.request[0].mask >= 0:
            n = _fill_with_matching(st, n)
        else:
            st.walking[0].looked_at = 0
            n = _fill_with_unclicked(st, _fill_with_clicked(st, n))
    for i in range(first, n):
        st.answer_score[i] = FILL_SCORE - i
    return n


@njit(cache=True)
def _fill_with_clicked(st: State, n: int) -> int:
    """Fill the answer with the most popular of the last clicked items (ties: the last clicked)."""
    begin(st, CLICKED)
    found, clock = 0, st.counters[0].clock / st.rates[0].long
    wanted = st.request[0].size - n
    while found < wanted or st.walking[0].looked_at < ENOUGH:
        row = following(st)
        if row == 0:
            break
        if allowed(st, row):
            exclude(st, row)  # it may be in several categories
            st.looked_at[found] = row
            st.looked_at_score[found] = st.stats[row].long - clock
            found += 1
    best = top_k(st.looked_at_score, found, wanted, st.looked_at_order)
    sort_places(st.looked_at_score, st.looked_at_order, best, st.sort_keys, st.sort_places)
    for i in range(best):
        st.answer[n + i] = st.looked_at[st.looked_at_order[i]]
    return n + best


@njit(cache=True)
def _fill_with_matching(st: State, n: int) -> int:
    """Fill the answer with the most popular of the items that fulfil the request's condition.

    Those that were never clicked come last, the last added first. Looks at `MOST_LOOKED_AT` of
    them: where there are more, at those with the highest rows.
    """
    request = st.request[0]
    mask, there = st.condition_masks[request.mask], st.open_rows[0 if request.unavailable else 1]
    clock = np.float64(st.counters[0].clock)
    now = clock / st.rates[0].long
    found, wanted, word = 0, request.size - n, len(mask)
    while word > 0 and found < MOST_LOOKED_AT:
        word -= 1
        bits = mask[word] & there[word]
        while bits != 0 and found < MOST_LOOKED_AT:
            row = word * 64 + lowest_bit(bits)
            bits &= bits - 1
            if allowed(st, row):
                s = st.stats[row]
                exclude(st, row)
                st.looked_at[found] = row
                if s.clicks > 0:
                    st.looked_at_score[found] = max(s.long - now, -LONG_AGO)
                else:
                    st.looked_at_score[found] = -LONG_AGO * (2 - s.born / (clock + 1))
                found += 1
    best = top_k(st.looked_at_score, found, wanted, st.looked_at_order)
    sort_places(st.looked_at_score, st.looked_at_order, best, st.sort_keys, st.sort_places)
    for i in range(best):
        st.answer[n + i] = st.looked_at[st.looked_at_order[i]]
    return n + best


@njit(cache=True)
def _fill_with_unclicked(st: State, n: int) -> int:
    """Fill the answer with the last added of the items that were never clicked."""
    begin(st, NOT_CLICKED)
    while n < st.request[0].size:
        row = following(st)
        if row == 0:
            break
        if allowed(st, row):
            st.answer[n] = row
            exclude(st, row)
            n += 1
    return n
