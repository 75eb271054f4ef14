"""Logged pages as arrays: what could be shown, what was, with which probability, what was clicked.

A page has places, which were filled one after another from a pool of candidates. A log of single
slots, such as Open Bandit's, is one of pages with one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCK_CELLS = 1 << 14
"""About so many candidates are looked at together: pages times the largest of their pools."""


@dataclass(frozen=True)
class Pages:
    """Logged pages: n of them, with up to k places.

    Parameters
    ----------
    item, score
        The pools' candidates, (candidates,): number of the item, and the score by which it was
        ranked. Pages may share a pool.
    first, size
        Where each page's pool begins, and how many candidates it has, (n,).
    shown
        Place in its pool of the candidate that was shown, (n, k); -1 beyond the end of a page.
    propensity
        Probability of that choice given those before it on the page, (n, k), above 0; 1 beyond
        the end.
    click
        1 where the shown item was clicked, else 0, (n, k).
    place
        Where on the screen it stood, (n, k), from 0.
    visitor
        Number of the visitor, (n,): what happens on pages of one visitor is not independent.
    inclusion
        Probability that the page is in the log, (n,).
    time_s
        When it was shown, (n,), in seconds since 1970.
    names
        The items' ids, by number.
    """

    item: Ints
    score: Floats
    first: Ints
    size: Ints
    shown: Ints
    propensity: Floats
    click: Floats
    place: Ints
    visitor: Ints
    inclusion: Floats
    time_s: Floats
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def places(self) -> int:
        """The most places of a page."""
        return int(self.shown.shape[1])

    @property
    def there(self) -> Bools:
        """Where pages have a place, (n, k)."""
        return self.shown >= 0

    @property
    def shown_item(self) -> Ints:
        """Number of the item that was shown, (n, k); that of any item beyond the end of a page."""
        shown: Ints = self.item[self.first[:, None] + np.maximum(self.shown, 0)]
        return shown

    def take(self, which: Any) -> Pages:
        """Return some of the pages."""
        names = ("first", "size", "shown", "propensity", "click", "place", "visitor", "inclusion")
        return replace(self, **{name: getattr(self, name)[which] for name in (*names, "time_s")})

    def shortened(self, places: int) -> Pages:
        """Return the same pages with no more than their first ``places``."""
        names = ("shown", "propensity", "click", "place")
        return replace(self, **{name: getattr(self, name)[:, :places] for name in names})

    def blocks(self) -> Iterator[Block]:
        """Yield the pages in blocks; those of one block have pools of similar size."""
        order = np.argsort(-self.size, kind="stable")  # the first one has the largest pool
        begin = 0
        while begin < len(order):
            end = begin + max(1, BLOCK_CELLS // int(self.size[order[begin]]))
            yield self._block(order[begin:end])
            begin = end

    def _block(self, rows: Ints) -> Block:
        width = int(self.size[rows].max())
        column = np.arange(width)
        there = column < self.size[rows][:, None]
        at = self.first[rows][:, None] + np.where(there, column, 0)
        score = np.where(there, self.score[at], -np.inf)
        return Block(rows, self.item[at], score, there, self.take(rows))


@dataclass(frozen=True)
class Block:
    """Some pages, with their pools side by side.

    Parameters
    ----------
    rows
        Which of the pages, (m,).
    item, score
        Of each candidate, (m, c); the score is -inf where there is none.
    there
        Where there is a candidate, (m, c).
    pages
        The pages themselves.
    """

    rows: Ints
    item: Ints
    score: Floats
    there: Bools
    pages: Pages
