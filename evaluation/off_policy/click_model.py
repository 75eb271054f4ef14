"""How likely an item is clicked at a place: the model of the direct method and the doubly robust.

    q(x, a, k) = rate of the place k * factor of the rank by score * factor of the item a

Each factor is clicks over the clicks that the ones before it expect, drawn towards 1 by some clicks
that nobody made. A page is predicted by what other visitors have clicked: the log is in two halves,
by visitor, and each predicts the other one (cross-fitting; Chernozhukov et al. 2018). Otherwise a
model would know the clicks that it is to correct.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.off_policy.pages import Block, Floats, Ints, Pages

HALVES = 2

PRIOR_SHOWN = 100.0
"""Showings at the mean rate that are added to each place."""

PRIOR_RANK, PRIOR_ITEM = 5.0, 2.0
"""Expected clicks that are added to each rank and each item."""

RANKS = 12
"""Groups of ranks: 1, 2 to 3, 4 to 7 and so on; 0 for all where scores tell nothing."""


@dataclass(frozen=True)
class ClickModel:
    """The factors of each half's model, learned from the other half.

    Parameters
    ----------
    place
        Rate of each place, (halves, places).
    rank
        Factor of each group of ranks, (halves, `RANKS`).
    item
        Factor of each item, (halves, items).
    """

    place: Floats
    rank: Floats
    item: Floats

    def of_block(self, block: Block, k: int, ranks: Ints) -> Floats:
        """Return the probability of a click on each candidate at the k-th place, (m, c)."""
        half = half_of(block.pages)[:, None]
        at = self.place[half, block.pages.place[:, k : k + 1]]
        q: Floats = np.minimum(at * self.rank[half, ranks] * self.item[half, block.item], 1.0)
        return q

    def base(self, pages: Pages) -> Floats:
        """Return the rate of each place alone, (n, k); 0 beyond the end of a page."""
        rates: Floats = np.where(pages.there, self.place[half_of(pages)[:, None], pages.place], 0)
        return rates


def half_of(pages: Pages) -> Ints:
    """Return the half that each page is in."""
    half: Ints = pages.visitor % HALVES
    return half


def rank_groups(block: Block) -> Ints:
    """Return the group of each candidate's rank by score, (m, c)."""
    order = np.argsort(-block.score, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], axis=1)
    groups = np.minimum(1 + np.log2(ranks + 1).astype(np.int64), RANKS - 1)
    lowest = np.where(block.there, block.score, np.inf).min(axis=1)
    tells = block.score.max(axis=1) > lowest
    grouped: Ints = np.where(tells[:, None], groups, 0)
    return grouped


def fit(pages: Pages) -> ClickModel:
    """Return the model of a log, which has a page at least."""
    there = pages.there
    rank = np.zeros(pages.shown.shape, np.int64)
    for block in pages.blocks():
        groups = rank_groups(block)
        rank[block.rows] = np.take_along_axis(groups, np.maximum(block.pages.shown, 0), axis=1)
    share = 1 / pages.inclusion
    weight = np.broadcast_to((share / share.mean())[:, None], there.shape)[there]
    half = np.broadcast_to(half_of(pages)[:, None], there.shape)[there]
    place, item, click = pages.place[there], pages.shown_item[there], pages.click[there]
    rank = rank[there]
    n_places = int(pages.place.max()) + 1
    shape = (HALVES, n_places), (HALVES, RANKS), (HALVES, len(pages.names))
    made = ClickModel(*(np.ones(s) for s in shape))
    for one in range(HALVES):
        other = half != one
        _fit_half(made, one, place[other], rank[other], item[other], click[other], weight[other])
    return made


def _fit_half(
    made: ClickModel, half: int, place: Ints, rank: Ints, item: Ints, click: Floats, weight: Floats
) -> None:
    clicks = weight * click
    mean = clicks.sum() / max(weight.sum(), 1.0)
    n = made.place.shape[1]
    shown = np.bincount(place, weight, n) + PRIOR_SHOWN
    made.place[half] = (np.bincount(place, clicks, n) + PRIOR_SHOWN * mean) / shown
    expected = weight * made.place[half, place]
    made.rank[half] = _factor(rank, clicks, expected, PRIOR_RANK, RANKS)
    expected = expected * made.rank[half, rank]
    made.item[half] = _factor(item, clicks, expected, PRIOR_ITEM, made.item.shape[1])


def _factor(group: Ints, clicks: Floats, expected: Floats, prior: float, n: int) -> Floats:
    """Return clicks over expected clicks of each group, drawn towards 1."""
    seen, hoped = np.bincount(group, clicks, n), np.bincount(group, expected, n)
    factor: Floats = (seen + prior) / (hoped + prior)
    return factor
