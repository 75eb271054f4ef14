"""Requests and answers, and how a request reaches the kernels."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import MAX_FILTER_CATEGORIES
from online_models.memory.state import REQUEST, State
from online_models.memory.table import Arrays
from online_models.ranking.conditions import Condition, Masks, whole_condition
from online_models.ranking.page import MAX_ANSWER
from online_models.sources.past import take_past
from online_models.sources.registry import MAX_QUERY_ITEMS
from online_models.tables.facts import Facts

Rows = Sequence[int] | NDArray[np.int32]

UNKNOWN_TIMES = (0, 0)
NO_SESSION = NO_MASK = -1

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
        Also allow items that the catalogue marks as not available, or not at this time.
    kinds
        Only items of one of these; empty: all.
    condition
        Only items that fulfil it.
    """

    categories: tuple[str, ...] = ()
    excluded_rows: tuple[int, ...] = ()
    include_unavailable: bool = False
    kinds: tuple[str, ...] = ()
    condition: Condition | None = None


NO_FILTER = Filter()


class Past(NamedTuple):
    """What a user did in earlier sessions.

    Parameters
    ----------
    rows
        Items (n,) int32, each once, oldest first by the last step on it; the last 50 are read, and
        0 (no row) is passed over.
    times_s
        When that step was, (n,) seconds since 1970, ascending.
    flags
        (n,) uint8, sums of ``sources.past.BOUGHT`` and ``LIKED``.
    repeats
        Share of the user's steps that were on an item of an earlier session, 0..1.
    """

    rows: NDArray[np.int32]
    times_s: NDArray[np.int64]
    flags: NDArray[np.uint8]
    repeats: float = 0.0

    def before(self, began_s: int) -> Past:
        """Return what was before a session that began then: never its own future."""
        n = int(np.searchsorted(self.times_s, began_s))
        if n == len(self.times_s):
            return self
        return Past(self.rows[:n], self.times_s[:n], self.flags[:n], self.repeats)


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
    from_past
        Whether the session had no item yet, and the ranked items are those of the user's past.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    n_ranked: int = 0
    n_near: int = 0
    propensities: NDArray[np.float32] | None = None
    from_past: bool = False


class RequestWriter:
    """Writes requests into the tables that the kernels read.

    Parameters
    ----------
    arrays, state
        The models' tables, and the kernels' view of them.
    category_numbers
        Numbers of the catalogue's categories; grows with it.
    facts
        What the catalogue says of items.
    """

    def __init__(
        self, arrays: Arrays, state: State, category_numbers: Mapping[str, int], facts: Facts
    ) -> None:
        self._state = state
        self._record: Any = arrays["request"].view(np.uint8).data
        self._query = arrays["query"]
        self._marks = arrays["marks"]
        self._categories, self._wanted = arrays["filter_categories"], arrays["wanted"]
        self._past = arrays["past"]
        self._category_numbers = category_numbers
        self._masks = Masks(arrays, facts)
        self.number = 0
        """Number of the last request, 31 bits."""
        self.now_s = 0
        """The time of the next request: seconds since 1970; 0: no item's time is looked at."""
        self.n_left_out = 0
        """Columns and features that are left out."""
        self.n_query = 0
        """Number of items in the last query."""
        self.n_past = 0
        """Number of items of the past in the last request."""
        self.first_page = False
        """Whether its query is that past."""

    def write(
        self,
        items: Rows,
        size: int,
        session: int = NO_SESSION,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
        past: Past | None = None,
    ) -> None:
        """Write a request: see `Engine.recommend`."""
        tail: Rows = items[-MAX_QUERY_ITEMS:]
        self.n_past = 0 if past is None else self.write_past(past)
        self.first_page = self.n_past > 0 and len(tail) == 0
        if self.first_page:
            tail = self._past[: self.n_past]
        n = self.n_query = len(tail)
        self._query[:n] = tail
        self.write_again(size, session, flt, times_s)

    def write_past(self, past: Past) -> int:
        """Write the user's past; return the number of its items that have a row."""
        return int(take_past(self._state, past.rows, past.times_s, past.flags, float(past.repeats)))

    def write_again(
        self, size: int, session: int, flt: Filter | None, times_s: tuple[int, int]
    ) -> None:
        """Write a request for the last query, under a new number: earlier marks are void."""
        number = self.number = self.number % LARGEST_NUMBER + 1
        n_categories = unavailable = exclusions = 0
        mask = NO_MASK
        if flt is not None:
            n_categories, unavailable = len(flt.categories), flt.include_unavailable
            if flt.kinds or flt.condition is not None:
                whole = whole_condition(flt.categories, flt.kinds, flt.condition)
                mask, n_categories = self._masks.place(whole), 0
            if n_categories > MAX_FILTER_CATEGORIES:
                raise ValueError(f"at most {MAX_FILTER_CATEGORIES} categories in a filter")
            for i, name in enumerate(flt.categories[:n_categories]):
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
            NO_SESSION if self.first_page else session,  # it has learned none of its query
            0 if self.first_page else times_s[0],
            0 if self.first_page else times_s[1],
            size,
            n_categories,
            unavailable,
            exclusions,
            self.n_left_out,
            self.now_s,
            mask,
            self.n_past,
            self.first_page,
        )


def page_size(k: int) -> int:
    """Return ``k``; raise ValueError unless it is 1..512."""
    if not 1 <= k <= MAX_ANSWER:
        raise ValueError(f"k must be 1..{MAX_ANSWER}, not {k}")
    return k
