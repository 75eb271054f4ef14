"""Requests and answers, and how a request reaches the kernels."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import MAX_FILTER_CATEGORIES
from online_models.memory.state import REQUEST
from online_models.memory.table import Arrays
from online_models.ranking.page import MAX_ANSWER
from online_models.sources.registry import MAX_QUERY_ITEMS

Rows = Sequence[int] | NDArray[np.int32]

UNKNOWN_TIMES = (0, 0)
NO_SESSION = -1

_RECORD = struct.Struct(f"{REQUEST.itemsize // 8}q")
LARGEST_NUMBER = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be in an answer.

    Parameters
    ----------
    categories
        Only items in one of these, at most 64; empty: all.
    excluded_rows
        Rows that must not be in the answer.
    include_unavailable
        Also allow items that the catalogue marks as not available.
    """

    categories: tuple[str, ...] = ()
    excluded_rows: tuple[int, ...] = ()
    include_unavailable: bool = False


NO_FILTER = Filter()


class Pool(NamedTuple):
    """What a policy chose from, best first: rows (n,) int32 and scores (n,) float32."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


class Ranked(NamedTuple):
    """Items of an answer, best first.

    Parameters
    ----------
    rows, scores
        (n,) int32 and (n,) float32. Scores are comparable within one answer only.
    n_ranked
        The first so many are ranked for the session.
    n_near
        The next so many are near its items; the remaining ones are popular items.
    propensities
        Probability of each item at its place, where a policy has sampled them; otherwise None.
    pool
        What a policy that has sampled them chose from, best first; otherwise None.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    n_ranked: int = 0
    n_near: int = 0
    propensities: NDArray[np.float32] | None = None
    pool: Pool | None = None


class RequestWriter:
    """Writes requests into the tables that the kernels read.

    Parameters
    ----------
    arrays
        The models' tables.
    category_numbers
        Numbers of the catalogue's categories; grows with it.
    """

    def __init__(self, arrays: Arrays, category_numbers: Mapping[str, int]) -> None:
        self._record: Any = arrays["request"].view(np.uint8).data
        self._query = arrays["query"]
        self._marks = arrays["marks"]
        self._categories, self._wanted = arrays["filter_categories"], arrays["wanted"]
        self._category_numbers = category_numbers
        self.number = 0
        """Number of the last request, 31 bits."""
        self.n_left_out = 0
        """Columns and features that are left out."""
        self.n_query = 0
        """Number of items in the last query."""

    def write(
        self,
        items: Rows,
        size: int,
        session: int = NO_SESSION,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
    ) -> None:
        """Write a request: see `Engine.recommend`."""
        tail = items[-MAX_QUERY_ITEMS:]
        n = self.n_query = len(tail)
        self._query[:n] = tail
        self.write_again(size, session, flt, times_s)

    def write_again(
        self, size: int, session: int, flt: Filter | None, times_s: tuple[int, int]
    ) -> None:
        """Write a request for the last query, under a new number: earlier marks are void."""
        number = self.number = self.number % LARGEST_NUMBER + 1
        n_categories = unavailable = exclusions = 0
        if flt is not None:
            n_categories, unavailable = len(flt.categories), flt.include_unavailable
            if n_categories > MAX_FILTER_CATEGORIES:
                raise ValueError(f"at most {MAX_FILTER_CATEGORIES} categories in a filter")
            for i, name in enumerate(flt.categories):
                category = self._category_numbers.get(name, 0)
                self._categories[i] = category
                self._wanted[category] = number
            exclusions = bool(flt.excluded_rows)
            if exclusions:
                self._marks[list(flt.excluded_rows)] = number
        _RECORD.pack_into(
            self._record,
            0,
            number,
            self.n_query,
            session,
            times_s[0],
            times_s[1],
            size,
            n_categories,
            unavailable,
            exclusions,
            self.n_left_out,
        )


def page_size(k: int) -> int:
    """Return ``k``; raise ValueError unless it is 1..512."""
    if not 1 <= k <= MAX_ANSWER:
        raise ValueError(f"k must be 1..{MAX_ANSWER}, not {k}")
    return k
