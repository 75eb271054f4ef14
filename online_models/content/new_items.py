"""New items that are like a session's last item: a source of their own where counts are thin.

What nobody has clicked yet is in no count, so no other source names it; and a ranker that learns
from clicks learns that such items are never clicked. So these get a small share of the page, in
the order of their own: the cosine of content vectors with the last item's. The shares are as large
as the other targets do not notice: with half of the places that are left, the hit rate on those of
the validation split of rsc15 fell by 0.13 +- 0.11 points, with a quarter by 0.05 +- 0.07
(`evaluation.held_back`).

Lists are made aside (`vectors.near_lists`): comparing an item with all new ones takes longer than
an answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from online_models.content.vectors import ContentVectors
from online_models.tables.item_rows import DELETED, UNAVAILABLE
from online_models.vectors.near_lists import NOTHING, NearLists

NEW_CLICKS = 5
"""An item with fewer clicks is new."""

MOST_NEW = 8_192
"""New items that are compared; a further one takes the place of the one added first."""

FILL_SHARE = 4
"""On a page that the counts cannot fill, one in so many of the places that are left is for new
items: the last ones."""

THIN_CLICKS, PAGE_SHARE = 1, 20
"""On a page that they can fill, one place in so many, the last, if the session's last item has
fewer clicks than this: the counts do not know at all what follows it."""

LENGTH = 64
"""The most items of a list."""

LIKE = np.float32(0.3)
"""Items with a smaller cosine are not like each other."""


class NewItems:
    """Knows which items are new, and which of them are like an item.

    Parameters
    ----------
    content
        The content vectors.
    stats
        ``State.stats``: flags and clicks by row.
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self,
        content: ContentVectors,
        stats: NDArray[np.void],
        clock: Callable[[], float],
    ) -> None:
        self._content = content
        self._stats = stats
        self._new: OrderedDict[int, None] = OrderedDict()
        self.lists = NearLists(self._like, clock, latest=1)

    def __len__(self) -> int:
        return len(self._new)

    def note(self, row: int) -> None:
        """Note that an item was added to the catalogue, or has changed there."""
        if self._stats["clicks"][row] >= NEW_CLICKS:
            self._new.pop(row, None)
            return
        self._new[row] = None
        if len(self._new) > MOST_NEW:
            self._new.popitem(last=False)

    def drop(self, row: int) -> None:
        """Note that an item has left."""
        self._new.pop(row, None)

    def forget_clicked(self) -> None:
        """Drop the items that are not new any more."""
        rows = np.fromiter(self._new, np.int64, len(self._new))
        for row in rows[self._stats["clicks"][rows] >= NEW_CLICKS].tolist():
            del self._new[row]

    def _like(self, row: int) -> NDArray[np.int64]:
        """Return the new items that are like an item, best first.

        Of those that are equally like it, the least clicked come first, then the last added.

        On the thread that makes lists: another one may change what is new meanwhile.
        """
        rows = np.array(list(self._new)[::-1], np.int64)
        stats = self._stats[rows]
        shown = (stats["flags"] & (DELETED | UNAVAILABLE) == 0) & (stats["clicks"] < NEW_CLICKS)
        rows = rows[shown & (rows != row)]
        if not len(rows):
            return NOTHING
        cosines = self._content.cosines(row, rows)
        alike = cosines >= LIKE
        rows, cosines = rows[alike], cosines[alike]
        return rows[np.lexsort((self._stats["clicks"][rows], -cosines))[:LENGTH]]


def new_share(size: int, n_ranked: int, clicks: float) -> tuple[int, int]:
    """Return the place from which new items are put on a page, and how many at most.

    Parameters
    ----------
    size
        Items of the page.
    n_ranked
        How many of them the counts have found.
    clicks
        Clicks of the session's last item.
    """
    if n_ranked < size:
        most = (size - n_ranked) // FILL_SHARE
    else:
        most = size // PAGE_SHARE if clicks < THIN_CLICKS else 0
    return size - most, most
