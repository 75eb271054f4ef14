"""Single links: raw scores of the last item alone, and of the one before it alone."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.sources.registry import COLUMN, FACT

NEXT, PAIR, SEQ2, COV2 = COLUMN["next"], COLUMN["pair"], FACT["seq2"], FACT["cov2"]


@njit(cache=True)
def _fill_last(st: State, first: int) -> None:
    for i in range(st.found[0].candidates):
        r = st.score[st.candidates[i]]
        st.features[first, i] = r[NEXT]
        st.features[first + 1, i] = r[PAIR]


@njit(cache=True)
def _fill_second(st: State, first: int) -> None:
    for i in range(st.found[0].candidates):
        r = st.score[st.candidates[i]]
        st.features[first, i] = r[SEQ2]
        st.features[first + 1, i] = r[COV2]


LAST = Family(
    (
        Feature("raw_next", "single links", "share of the last item's direct successions, 0..1"),
        Feature("raw_pair", "single links", "share of the last pair's successions, 0..1"),
    ),
    _fill_last,
)
SECOND = Family(
    (
        Feature("raw_seq2", "single links", "sequential score of the last item but one alone"),
        Feature("raw_cov2", "single links", "co-visit score of the last item but one alone"),
    ),
    _fill_second,
)
