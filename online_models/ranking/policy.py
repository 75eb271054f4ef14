"""The seam after the ranking: a policy re-orders an answer before it is returned.

Exploration, business rules and diversification are policies. Without one, an answer has no extra
step.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.ranking.request import Filter, Rows


class Ordered(NamedTuple):
    """The order that a policy returns.

    Parameters
    ----------
    places
        Indices into the rows that it was given, (n,) integers, in their new order, each at most
        once. The page is the first of them: what is left out is not shown, and if fewer are left
        than the page has places, the page is shorter.
    propensities
        Probability of each choice given the choices before it, (n,) floats above 0 and at most 1,
        if the policy samples; otherwise None.
    """

    places: NDArray[np.intp]
    propensities: NDArray[np.float32] | None = None


class Asked(NamedTuple):
    """The request that a policy gets.

    Parameters
    ----------
    items
        Rows of the session in click order, oldest first.
    size
        Size of the page.
    session
        Number of the session in the models, -1 if it is not there.
    filter
        Which items may be in the answer; the rows have passed it.
    number
        Number of the answer in this process: with the policy's seed, it makes sampling
        reproducible.
    """

    items: Rows
    size: int
    session: int
    filter: Filter | None
    number: int


class ItemView(NamedTuple):
    """Read-only views of what a policy may read of items, by row.

    Parameters
    ----------
    vectors
        Target vectors, (rows, 64) float32; zero where an item has none.
    categories
        Numbers of their categories, (rows, 16) int32, terminated by 0.
    clicks
        Clicks so far, (rows,) float32.
    """

    vectors: NDArray[np.float32]
    categories: NDArray[np.int32]
    clicks: NDArray[np.float32]


class Policy(Protocol):
    """Re-orders an answer; list it in `policies.POLICIES`.

    It runs on the answering thread, so it must not block.
    """

    name: str
    depth: int
    """The policy gets this many items, or the size of the page if that is larger."""

    def order(
        self,
        rows: NDArray[np.int32],
        scores: NDArray[np.float32],
        asked: Asked,
        items: ItemView,
    ) -> Ordered:
        """Return the new order of ``rows``; the page is its first ``asked.size`` items.

        ``scores`` fall along ``rows``. Items that are only near those of the session, or only
        popular, come last and score -50 and less (`page.NEAR_SCORE`, `page.FILL_SCORE`).
        """


ROUNDING = 1e-5
"""A propensity may be this much above 1, by the rounding of its 32-bit floats."""


def checked(name: str, order: Ordered, n: int) -> Ordered:
    """Return an order of ``n`` items as arrays; refuse one that is none.

    Raises
    ------
    ValueError
        Naming the policy: a place is no place or stands twice, or the propensities are not as many
        or no probabilities.
    """
    places = np.asarray(order.places)
    if places.ndim != 1 or not (places.size == 0 or np.issubdtype(places.dtype, np.integer)):
        raise ValueError(
            f"policy {name}: places must be (n,) integers, not {places.shape} {places.dtype}"
        )
    if len(places) and not (places.min() >= 0 and places.max() < n):
        raise ValueError(f"policy {name}: places must be 0 to {n - 1}")
    if len(np.unique(places)) != len(places):
        raise ValueError(f"policy {name}: a place stands twice in its order")
    places = places.astype(np.intp, copy=False)
    if order.propensities is None:
        return Ordered(places)
    drawn = np.asarray(order.propensities, np.float32)
    if drawn.shape != places.shape:
        raise ValueError(f"policy {name}: {len(places)} places, but {drawn.size} propensities")
    if not ((drawn > 0) & (drawn <= 1 + ROUNDING)).all():
        raise ValueError(f"policy {name}: propensities must be above 0 and at most 1")
    return Ordered(places, np.minimum(drawn, 1))
