"""Learning of vectors and ranker beside the counts: a click is scored before it is learned."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from online_models.memory.layout import (
    CANDIDATES,
    CASES_SCORED,
    CLOCK,
    N_CANDIDATES,
    NEXT_SESSION,
    REPLACED,
    STEPS,
    State,
)
from online_models.memory.top_k import sort_places, top_k
from online_models.ranking.answer import EXCLUDED_SCORE, allowed, fill
from online_models.ranking.blend import N_WEIGHTS, blend
from online_models.ranking.features import candidate_features
from online_models.ranking.network import AVERAGED, forward, learn_case, learn_linear, usable
from online_models.sources.learn_click import learn_step
from online_models.sources.retrieve import retrieve
from online_models.tables.click_times import set_moment
from online_models.tables.sessions import items_of
from online_models.vectors.two_towers import learn_next, learn_session, note_click, random_below

LINEAR_RATE = 0.2
LEARN_FROM_CLICK = 2_000
"""Cases of an emptier model teach what will not be true any more."""

SERVE_FROM_STEP = 500
DOUBT = 2.0
SCORE_DECAY, HITS = 0.002, 20
"""Weight of a case in the running scores of blend and ranker; length of a list that hits."""


@njit(cache=True)
def ranker_serves(st: State) -> bool:
    """Whether the ranker has learned enough and is not worse than the blend on new cases.

    Worse is a mean loss of reciprocal rank beyond `DOUBT` standard errors. Looking at the mean
    alone, chance had the blend answer 5 to 10 % of the time where the ranker is a point better.
    """
    lead, variance = st.case_scores[4], st.case_scores[5]
    error = math.sqrt(variance * SCORE_DECAY / (2 - SCORE_DECAY))
    return st.ctr[STEPS] >= SERVE_FROM_STEP and lead >= -DOUBT * error


@njit(cache=True)
def order_by_ranker(st: State, n: int) -> None:
    """Order the candidates whose features lie in ``st.features``."""
    forward(st, st.features, n, st.ranker[AVERAGED])
    for i in range(n):
        st.touched[i] = i
    sort_places(st, st.ranker_score, st.touched, n)


@njit(cache=True)
def order_candidates(st: State, n: int, n_query: int) -> None:
    """Order the candidates ``st.candidates[:n]`` by the ranker: places in ``st.touched[:n]``."""
    candidate_features(st, n, n_query)
    order_by_ranker(st, n)


@njit(cache=True)
def recommend_ranked(
    st: State,
    n_query: int,
    own: int,
    previous_s: int,
    last_s: int,
    k: int,
    n_categories: int,
    unavailable: bool,
    marked: bool,
) -> int:
    """Answer as `answer.recommend` does, the first candidates ordered by the ranker.

    ``previous_s`` and ``last_s`` are as in `moment.set_moment`.
    """
    set_moment(st, own, previous_s, last_s)
    n = retrieve(st, n_query, own) if n_query > 0 else 0
    blend(st, n)
    for p in range(n):
        if not allowed(st, st.pool[p], n_categories, unavailable, marked):
            st.pool_score[p] = EXCLUDED_SCORE
    m = top_k(st.pool_score, n, max(k, CANDIDATES), st.order)
    sort_places(st, st.pool_score, st.order, m)
    while m > 0 and st.pool_score[st.order[m - 1]] == EXCLUDED_SCORE:
        m -= 1
    c = min(m, CANDIDATES)
    for i in range(c):
        st.candidates[i] = st.order[i]
    st.ctr[N_CANDIDATES] = c
    if c > 0 and st.query[n_query - 1] != 0 and ranker_serves(st):
        order_candidates(st, c, n_query)
    else:
        for i in range(c):
            st.touched[i] = i
            st.ranker_score[i] = st.pool_score[st.order[i]]
    out = min(m, k)
    for i in range(out):
        if i < c:
            st.answer[i] = st.pool[st.candidates[st.touched[i]]]
            st.answer_score[i] = st.ranker_score[st.touched[i]]
        else:
            st.answer[i] = st.pool[st.order[i]]
            st.answer_score[i] = st.answer_score[c - 1] - np.float32(0.01) * (i - c + 1)
    if out < k:
        out = fill(st, out, k, n_categories, unavailable, marked)
    return out


@njit(cache=True)
def shadow(st: State, n_query: int, k: int) -> int:
    """Answer the query of the last `recommend_ranked` as the ranking that did not would have.

    Only its candidates: a page is not filled. Returns the number of items.
    """
    c = st.ctr[N_CANDIDATES]
    if c == 0 or st.query[n_query - 1] == 0:
        return 0
    out = min(c, k)
    if ranker_serves(st):
        for i in range(out):
            p = st.candidates[i]
            st.answer[i] = st.pool[p]
            st.answer_score[i] = st.pool_score[p]
        return out
    order_candidates(st, c, n_query)
    for i in range(out):
        st.answer[i] = st.pool[st.candidates[st.touched[i]]]
        st.answer_score[i] = st.ranker_score[st.touched[i]]
    return out


@njit(cache=True)
def _note_score(st: State, blend_place: int, ranker_place: int) -> None:
    """Move the running scores by one case; places from 0, -1 for a miss of both."""
    st.ctr[CASES_SCORED] += 1
    a = np.float32(max(SCORE_DECAY, 1.0 / st.ctr[CASES_SCORED]))
    scores = st.case_scores
    lead = np.float32(0)
    for model in range(2):
        place = blend_place if model == 0 else ranker_place
        hit = np.float32(1 if 0 <= place < HITS else 0)
        gain = np.float32(1) / (1 + place) if hit > 0 else np.float32(0)
        scores[model] += a * (gain - scores[model])
        scores[2 + model] += a * (hit - scores[2 + model])
        lead += gain if model == 1 else -gain
    lead -= scores[4]
    scores[4] += a * lead
    scores[5] = (1 - a) * (scores[5] + a * lead * lead)


@njit(cache=True)
def learn_example(st: State, n: int, y: int) -> None:
    """Score the case in ``st.features[:, :n]``, target at ``y``, then teach both rankings with it.

    The candidates stand in the blend's order; ``y`` -1: the target is none of them.
    """
    st.ctr[REPLACED] = -1
    if y < 0:
        _note_score(st, -1, -1)
        return
    if not usable(st.features, n):
        return
    order_by_ranker(st, n)
    rank = 0
    while st.touched[rank] != y:
        rank += 1
    _note_score(st, y, rank)
    learn_linear(st, n, y, N_WEIGHTS + 2, LINEAR_RATE)
    learn_case(st, n, y)


@njit(cache=True)
def make_case(st: State, n_query: int, own: int, target: int):  # type: ignore[no-untyped-def]
    """Fill ``st.features`` for the case ``st.query[:n_query]`` -> ``target``.

    Returns the number of candidates and the target's place among them, -1 if it is none.
    """
    set_moment(st, own, 0, 0)
    n = retrieve(st, n_query, own)
    blend(st, n)
    m = top_k(st.pool_score, n, CANDIDATES, st.order)
    sort_places(st, st.pool_score, st.order, m)
    y = -1
    for i in range(m):
        st.candidates[i] = st.order[i]
        if st.pool[st.order[i]] == target:
            y = i
    if y >= 0:
        candidate_features(st, m, n_query)
    return m, y


@njit(cache=True)
def learn_from_case(st: State, n_query: int, own: int, target: int) -> None:
    """Score the case ``st.query[:n_query]`` -> ``target``, then teach both rankings with it."""
    n, y = make_case(st, n_query, own, target)
    learn_example(st, n, y)


@njit(cache=True)
def replay_session(st: State) -> None:
    """Learn the vectors of one old session again."""
    newest = st.ctr[NEXT_SESSION]
    kept = min(newest, len(st.sessions))
    if kept < 100:
        return
    number = newest - 1 - random_below(st, kept)
    slot = number & (len(st.sessions) - 1)
    e = st.sessions[slot]
    if e.number != number + 1:
        return
    items, first = items_of(st, slot)
    learn_session(st, items, first, e.n)


@njit(cache=True)
def learn_online(st: State, number: int, row: int, place: int, at_s: int, sample: int) -> int:
    """Learn a step as `learn_step` does, vectors and one case in ``sample`` before it."""
    slot = number & (len(st.sessions) - 1)
    e = st.sessions[slot]
    n = np.int64(e.n) if e.number == number + 1 else 0
    in_order = place < 0 or place >= n
    if row != 0 and in_order:
        if n > 0:
            items, first = items_of(st, slot)
            if st.ctr[CLOCK] >= LEARN_FROM_CLICK and random_below(st, sample) == 0:
                for u in range(n):
                    st.query[u] = items[first + u]
                if st.query[n - 1] != 0:
                    learn_from_case(st, n, number, row)
            learn_next(st, items, first, n, row)
        else:
            replay_session(st)
        note_click(st, row)
    return learn_step(st, number, row, place, at_s)
