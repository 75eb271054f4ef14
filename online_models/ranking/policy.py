"""The seam between ranking and page: a policy re-orders what was ranked.

Exploration, rules and diversity are policies. Without one, nothing is added to an answer.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.ranking.request import Filter, Rows


class Ordered(NamedTuple):
    """What a policy makes of a ranking.

    Parameters
    ----------
    places
        Places in what it was given, (n,) integers, in their new order, each at most once.
    propensities
        Probability of each choice given those before it, (n,) float32, where it draws; else None.
    """

    places: NDArray[np.intp]
    propensities: NDArray[np.float32] | None = None


class Asked(NamedTuple):
    """The request, as a policy sees it.

    Parameters
    ----------
    items
        Rows of the session in click order, oldest first.
    size
        Items that the page wants.
    session
        Number of the session in the models, -1: none.
    filter
        Which items may be answered; what was ranked has passed it.
    number
        Of the answer in this process: with the policy's seed it makes draws repeatable.
    """

    items: Rows
    size: int
    session: int
    filter: Filter | None
    number: int


class ItemView(NamedTuple):
    """What a policy may read of items, by row; not to be written.

    Parameters
    ----------
    vectors
        Target vectors, (rows, 64) float32; zero where an item has none.
    categories
        Numbers of its categories, (rows, 16) int32; 0 ends them.
    clicks
        Clicks so far, (rows,) float32.
    """

    vectors: NDArray[np.float32]
    categories: NDArray[np.int32]
    clicks: NDArray[np.float32]


class Policy(Protocol):
    """Re-orders an answer; list it in `policies.POLICIES`.

    Called on the answering thread, so it must not wait.
    """

    name: str
    depth: int
    """It is given so many items, or as many as the page wants, if these are more."""

    def order(
        self,
        rows: NDArray[np.int32],
        scores: NDArray[np.float32],
        asked: Asked,
        items: ItemView,
    ) -> Ordered:
        """Return the new order of ``rows``; the page is its beginning."""
