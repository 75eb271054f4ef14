"""Lists of the items by category, which fill a page when the list of popular items does not.

Every category has two lists: of the items that were ever clicked, the last clicked first, and of
the others, the last added first. Those that are not available now come last. Number 0 stands for
all items. Items on the list of popular ones (`sources.popularity`) are in none of these, since a
page is filled from there first; nor are deleted ones.

An item is in its lists if it has a row, is not deleted and not popular. So whatever changes that,
whether it was ever clicked, or its categories, takes the item out before (`remove`) and puts it in
after the change (`add`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nextclick.limits import MAX_CATEGORIES
from online_models.memory.state import State
from online_models.memory.table import Arrays, Forget, Kept, Table
from online_models.tables.categories import MOST_CATEGORIES
from online_models.tables.item_rows import DELETED, NOT_NOW

ALL_ITEMS = 0
"""Number of the lists of all items."""

NOT_CLICKED, CLICKED = 0, 1

LINK = np.dtype([("before", "i4"), ("after", "i4")])
"""Rows beside an item in a list, 0: none."""

LINKS = 1 + MAX_CATEGORIES
"""Lists that an item may be in."""

LIST = np.dtype([("first", "i4"), ("last", "i4")])
"""Rows at the ends of a list, 0: it is empty."""

SWEPT_LISTS = 64
"""Pairs of lists that are swept at once."""

Records = NDArray[Any]


@njit(cache=True)
def _forget_links(st: State, row: int) -> None:
    """Let an item's neighbours be those that they become."""
    links = st.item_links[row]
    for place in range(len(links)):
        links[place].before = st.becomes[links[place].before]
        links[place].after = st.becomes[links[place].after]


@njit(cache=True)
def _forget_ends(st: State, place: int) -> None:
    """Do the same at the ends of some lists."""
    end = min((place + 1) * SWEPT_LISTS, len(st.item_lists))
    for number in range(place * SWEPT_LISTS, end):
        for clicked in range(2):
            of = st.item_lists[number, clicked]
            of.first = st.becomes[of.first]
            of.last = st.becomes[of.last]


TABLES = (
    Table(
        "item_links",
        LINK,
        ("rows", LINKS),
        Kept.ROWS,
        forget=Forget(_forget_links, leaving=False),
    ),
    Table(
        "item_lists",
        LIST,
        (1 + MOST_CATEGORIES, 2),
        Kept.WHOLE,
        forget=Forget(_forget_ends, -(-(1 + MOST_CATEGORIES) // SWEPT_LISTS), leaving=False),
    ),
)
"""``item_links`` has an item's links in the list of all items, then by place of its categories;
``item_lists`` has the lists by number of the category, and by whether their items were clicked. An
item that leaves is taken out of its lists at once: a sweep through all of them took 2 ms."""


@njit(cache=True, inline="always")
def place_in(categories: NDArray[np.int32], row: int, number: int) -> int:
    """Return the place of an item's links in a list of a category that it has."""
    if number != ALL_ITEMS:
        for place in range(MAX_CATEGORIES):
            if categories[row, place] == number:
                return 1 + place
    return 0


@njit(cache=True)
def _put(  # type: ignore[no-untyped-def]
    links: Records, of, categories: NDArray[np.int32], row: int, number: int, at_end: bool
) -> None:
    own = links[row, place_in(categories, row, number)]
    if at_end:
        own.before = of.last
        of.last = row
        if own.before:
            links[own.before, place_in(categories, own.before, number)].after = row
        else:
            of.first = row
    else:
        own.after = of.first
        of.first = row
        if own.after:
            links[own.after, place_in(categories, own.after, number)].before = row
        else:
            of.last = row


@njit(cache=True)
def _take(  # type: ignore[no-untyped-def]
    links: Records, of, categories: NDArray[np.int32], row: int, number: int
) -> None:
    own = links[row, place_in(categories, row, number)]
    if own.before:
        links[own.before, place_in(categories, own.before, number)].after = own.after
    else:
        of.first = own.after
    if own.after:
        links[own.after, place_in(categories, own.after, number)].before = own.before
    else:
        of.last = own.before
    own.before = 0
    own.after = 0


@njit(cache=True, inline="always")
def _named_before(categories: NDArray[np.int32], row: int, place: int) -> bool:
    """Whether a shop has given an item the category at ``place`` twice."""
    for earlier in range(place):
        if categories[row, earlier] == categories[row, place]:
            return True
    return False


@njit(cache=True)
def add(
    links: Records, lists: Records, categories: NDArray[np.int32], stats: Records, row: int
) -> None:
    """Put an item into its lists, where it is first if it is available, else last."""
    stat = stats[row]
    if stat.flags & DELETED or stat.at_long:
        return
    clicked = CLICKED if stat.clicks > 0 else NOT_CLICKED
    at_end = stat.flags & NOT_NOW != 0
    _put(links, lists[ALL_ITEMS, clicked], categories, row, ALL_ITEMS, at_end)
    for place in range(MAX_CATEGORIES):
        number = np.int64(categories[row, place])
        if number == 0:
            return
        if not _named_before(categories, row, place):
            _put(links, lists[number, clicked], categories, row, number, at_end)


@njit(cache=True)
def remove(
    links: Records, lists: Records, categories: NDArray[np.int32], stats: Records, row: int
) -> None:
    """Take an item out of its lists."""
    stat = stats[row]
    if stat.flags & DELETED or stat.at_long:
        return
    clicked = CLICKED if stat.clicks > 0 else NOT_CLICKED
    _take(links, lists[ALL_ITEMS, clicked], categories, row, ALL_ITEMS)
    for place in range(MAX_CATEGORIES):
        number = np.int64(categories[row, place])
        if number == 0:
            return
        if not _named_before(categories, row, place):
            _take(links, lists[number, clicked], categories, row, number)


@njit(cache=True)
def _add_all(
    links: Records,
    lists: Records,
    categories: NDArray[np.int32],
    stats: Records,
    rows: NDArray[np.int64],
) -> None:
    for row in rows:
        add(links, lists, categories, stats, row)


class ItemLists:
    """Keeps the lists while the catalogue changes; clicks change them in `sources.popularity`.

    Parameters
    ----------
    arrays
        The models' arrays.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._tables = tuple(
            arrays[name] for name in ("item_links", "item_lists", "categories", "stats")
        )

    def add(self, row: int) -> None:
        """See `add`."""
        add(*self._tables, row)

    def remove(self, row: int) -> None:
        """See `remove`."""
        remove(*self._tables, row)

    def make(self, rows: NDArray[np.int64]) -> None:
        """Make the lists of all items that have rows, for a snapshot that has none."""
        links, lists, _, stats = self._tables
        links[:] = 0
        lists[:] = 0
        since = np.where(stats["clicks"][rows] > 0, stats["last"][rows], stats["born"][rows])
        _add_all(*self._tables, rows[np.argsort(since, kind="stable")])
