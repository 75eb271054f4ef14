"""Popularity with exponential decay by number of clicks, at two rates.

An item's decayed count is ``exp(key - clock / decay)``. All items decay alike, so only the clicked
item can change its rank: the lists of the most popular items stay sorted by moving it up. All other
items are in the lists of their categories (`tables.item_lists`), the last clicked first.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.layout import Limits
from online_models.memory.state import State
from online_models.memory.table import Arrays, Forget, Kept, Table
from online_models.sources.source import Source
from online_models.tables.item_lists import add, remove

POPULAR = 1_024
"""Length of the lists of the most popular items."""

DECAY_LONG, DECAY_SHORT = 20_000.0, 2_000.0
"""Decay of popularity, in clicks, where no preset says another one."""

RATES = np.dtype([("long", "f8"), ("short", "f8")])


def _usual(table: NDArray[np.void], limits: Limits, seed: int) -> None:
    del limits, seed
    table[0] = DECAY_LONG, DECAY_SHORT


def set_rates(arrays: Arrays, long: float, short: float) -> None:
    """Let popularity decay at other rates from now on; the counts of now stay as they are."""
    rates, stats, clock = arrays["rates"], arrays["stats"], float(arrays["counters"]["clock"][0])
    for name, new in (("long", long), ("short", short)):
        old = float(rates[name][0])
        if old != new:
            stats[name] += clock / new - clock / old
            rates[name][0] = new


@njit(cache=True)
def _raised(key: float, known: bool, clock: float, weight: float) -> float:
    count = math.exp(key - clock) if known else 0.0
    return math.log(count + weight) + clock


@njit(cache=True)
def _rise_long(st: State, row: int) -> None:
    stats, ranked, n = st.stats, st.popular, st.counters[0].popular
    i = stats[row].at_long - 1
    if i < 0:
        if n < POPULAR:
            i = n
            st.counters[0].popular = n + 1
        elif stats[row].long <= stats[ranked[n - 1]].long:
            return
        else:
            i = n - 1
            stats[ranked[i]].at_long = 0
            out = np.int64(ranked[i])
            add(st.item_links, st.item_lists, st.categories, stats, out)
    while i > 0 and stats[ranked[i - 1]].long < stats[row].long:
        ranked[i] = ranked[i - 1]
        stats[ranked[i]].at_long = i + 1
        i -= 1
    ranked[i] = row
    stats[row].at_long = i + 1


@njit(cache=True)
def _rise_short(st: State, row: int) -> None:
    stats, ranked, n = st.stats, st.trending, st.counters[0].trending
    i = stats[row].at_short - 1
    if i < 0:
        if n < POPULAR:
            i = n
            st.counters[0].trending = n + 1
        elif stats[row].short <= stats[ranked[n - 1]].short:
            return
        else:
            i = n - 1
            stats[ranked[i]].at_short = 0
    while i > 0 and stats[ranked[i - 1]].short < stats[row].short:
        ranked[i] = ranked[i - 1]
        stats[ranked[i]].at_short = i + 1
        i -= 1
    ranked[i] = row
    stats[row].at_short = i + 1


@njit(cache=True)
def add_clicks(st: State, row: int, weight: float) -> None:
    """Add ``weight`` clicks of an item at the current clock."""
    stats, links, lists, categories = st.stats, st.item_links, st.item_lists, st.categories
    s = stats[row]
    clock = st.counters[0].clock
    known = s.clicks > 0
    if s.at_long == 0:
        remove(links, lists, categories, stats, row)
    s.long = _raised(s.long, known, clock / st.rates[0].long, weight)
    s.short = _raised(s.short, known, clock / st.rates[0].short, weight)
    s.clicks += weight
    s.log_clicks = math.log(1.0 + s.clicks)
    s.last = clock
    st.items[row].damp = 1.0 / math.sqrt(s.clicks + 10.0)
    _rise_long(st, row)
    _rise_short(st, row)
    if s.at_long == 0:
        add(links, lists, categories, stats, row)


@njit(cache=True, inline="always")
def log_popularity(st: State, row: int) -> float:
    """Return the log of the count with the long decay, at least -5."""
    s = st.stats[row]
    if s.clicks == 0:
        return -5.0
    return max(s.long - st.counters[0].clock / st.rates[0].long, -5.0)


@njit(cache=True)
def log_popularities(st: State, rows: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """Set ``out`` (n,) to `log_popularity` of the rows (n,)."""
    for i in range(len(rows)):
        out[i] = log_popularity(st, rows[i])


@njit(cache=True)
def without(log_count: float, count: float) -> float:
    """Return the log of a count minus the session's own clicks, at least -5."""
    return math.log(max(math.exp(log_count) - count, 0.0067))


@njit(cache=True)
def logs_without(st: State, row: int, own: float):  # type: ignore[no-untyped-def]
    """Return log(1 + clicks) and `log_popularity` of an item, without ``own`` of the clicks."""
    s = st.stats[row]
    if own == 0:
        return s.log_clicks, np.float32(log_popularity(st, row))
    clicks = np.float32(math.log(1 + max(s.clicks - own, 0)))
    return clicks, np.float32(without(log_popularity(st, row), own))


@njit(cache=True)
def log_trend(st: State, row: int, own: float) -> float:
    """Return the log of the count with the short decay, without ``own`` clicks, at least -8."""
    s = st.stats[row]
    if s.clicks == 0:
        return -8.0
    short = s.short - st.counters[0].clock / st.rates[0].short
    return max(without(short, own) if own > 0 else short, -8.0)


@njit(cache=True)
def mean_log_clicks(st: State, rows: NDArray[np.int32]) -> float:
    """Return the mean of log(1 + clicks) over the rows, 0 for none."""
    total = 0.0
    for row in rows:
        total += st.stats[row].log_clicks
    return total / max(len(rows), 1)


@njit(cache=True)
def trend(st: State, row: int) -> float:
    """Return how much faster an item is clicked now than in the long run; 0 for a new item.

    The ratio of the two decayed rates, the long one with a prior of five clicks, so that a single
    click on a rare item is not a trend.
    """
    s = st.stats[row]
    if s.clicks == 0:
        return 0.0
    clock, rates = st.counters[0].clock, st.rates[0]
    short = math.exp(s.short - clock / rates.short) / rates.short
    # In a young stream, the counts cover fewer clicks than the long decay.
    long = (math.exp(s.long - clock / rates.long) + 5.0) / min(rates.long, clock + 1.0)
    return short / long


@njit(cache=True)
def _learn(st: State) -> None:
    """Count the click."""
    add_clicks(st, st.click[0].row, 1.0)


@njit(cache=True)
def _forget_popular(st: State, place: int) -> None:
    """Drop items that leave from the whole list of the most popular ones."""
    ranked, n = st.popular, st.counters[0].popular
    kept = 0
    for i in range(n):
        row = ranked[i]
        ranked[i] = 0
        if st.becomes[row] != 0:
            ranked[kept] = st.becomes[row]
            kept += 1
            st.stats[row].at_long = kept
    st.counters[0].popular = kept


@njit(cache=True)
def _forget_trending(st: State, place: int) -> None:
    """Drop items that leave from the whole list by recent popularity."""
    ranked, n = st.trending, st.counters[0].trending
    kept = 0
    for i in range(n):
        row = ranked[i]
        ranked[i] = 0
        if st.becomes[row] != 0:
            ranked[kept] = st.becomes[row]
            kept += 1
            st.stats[row].at_short = kept
    st.counters[0].trending = kept


SOURCE = Source(
    "popularity",
    learn=_learn,
    tables=(
        Table("rates", RATES, (1,), Kept.WHOLE, initial=_usual),
        Table("popular", np.int32, (POPULAR,), Kept.WHOLE, forget=Forget(_forget_popular, 1)),
        Table("trending", np.int32, (POPULAR,), Kept.WHOLE, forget=Forget(_forget_trending, 1)),
    ),
)
"""Adds nothing to the pool: it fills pages (`ranking.page`) and is a feature."""
