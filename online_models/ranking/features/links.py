"""Single links: raw scores from the last item alone, and from the second last alone."""

from __future__ import annotations

from numba import njit

from online_models.memory.state import State
from online_models.ranking.features.family import Family, Feature
from online_models.ranking.features.origins import COUNTS
from online_models.sources.registry import COLUMN, FACT

PART = "single links"
NEXT, PAIR, SEQ2, COV2 = COLUMN["next"], COLUMN["pair"], FACT["seq2"], FACT["cov2"]


@njit(cache=True)
def _copy_columns(st: State, first: int, one: int, other: int) -> None:
    """Set two features to two columns of the pool."""
    for i in range(st.found[0].candidates):
        r = st.score[st.candidates[i]]
        st.features[first, i] = r[one]
        st.features[first + 1, i] = r[other]


@njit(cache=True)
def _fill_last(st: State, first: int) -> None:
    _copy_columns(st, first, NEXT, PAIR)


@njit(cache=True)
def _fill_second(st: State, first: int) -> None:
    _copy_columns(st, first, SEQ2, COV2)


LAST = Family(
    (
        Feature(
            "raw_next",
            PART,
            "its share of the last item's direct successors",
            "share 0..1",
            COUNTS,
            column="next",
        ),
        Feature(
            "raw_pair",
            PART,
            "its share of the successors of the last two items",
            "share 0..1",
            COUNTS,
            column="pair",
        ),
    ),
    _fill_last,
)
SECOND = Family(
    (
        Feature(
            "raw_seq2",
            PART,
            "its share of what followed the second last item",
            "share 0..1",
            COUNTS,
        ),
        Feature(
            "raw_cov2",
            PART,
            "co-visits with the second last item",
            "damped cosine, 0..1",
            COUNTS,
        ),
    ),
    _fill_second,
)
