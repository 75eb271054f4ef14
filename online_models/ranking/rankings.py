"""The rankings that order the candidates, by name: one answers, others are scored in the shadow."""

from __future__ import annotations

import numpy as np
from numba import njit

from online_models.memory.chain import by_place, first_that
from online_models.memory.names import unique
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.memory.top_k import sort_places
from online_models.ranking import network, prequential
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.ranking import Ranking


@njit(cache=True)
def _blend_scores(st: State) -> bool:
    for i in range(st.found[0].candidates):
        st.ranking_score[i] = st.pool_score[st.candidates[i]]
    return True


@njit(cache=True)
def _always(st: State) -> bool:
    return True


RANKER = Ranking("ranker", network.score_candidates, prequential.ranker_serves)
BLEND = Ranking("blend", _blend_scores, _always)

RANKINGS: tuple[Ranking, ...] = (
    RANKER,
    BLEND,
)
"""The first one that may answer and can order the candidates answers."""

NAMES = unique("rankings", (ranking.name for ranking in RANKINGS))
N_RANKINGS = len(RANKINGS)

TABLES = (
    *(table for ranking in RANKINGS for table in ranking.tables),
    Table("ranked_places", np.int32, (CANDIDATES,)),
)

_may_answer = by_place("_may_answer", __name__, [r.answers for r in RANKINGS])
_score = by_place("_score", __name__, [r.score for r in RANKINGS])
answering = first_that("answering", __name__, [r.answers for r in RANKINGS])
"""Place in `RANKINGS` of the first that may answer."""


@njit(cache=True)
def sort_candidates(st: State) -> None:
    """Set ``st.ranked_places`` to the candidates' places by descending ``st.ranking_score``."""
    n = st.found[0].candidates
    for i in range(n):
        st.ranked_places[i] = i
    sort_places(st.ranking_score, st.ranked_places, n, st.sort_keys, st.sort_places)


@njit(cache=True)
def order_candidates(st: State) -> None:
    """Set ``st.ranked_places`` to the order of the ranking that answers, best first."""
    for place in range(N_RANKINGS):
        if _may_answer(st, place) and _score(st, place):
            st.found[0].answering = place
            break
    sort_candidates(st)


@njit(cache=True)
def order_in_shadow(st: State, place: int) -> bool:
    """Order the candidates of the last answer by another ranking; False if it cannot."""
    if place == st.found[0].answering or st.found[0].candidates == 0 or not _score(st, place):
        return False
    sort_candidates(st)
    return True
