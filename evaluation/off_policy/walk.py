"""How the new policy would have filled the logged pages: its weights, and what is expected of it.

At each place of each logged page, given the items before it: the probability of the item that was
shown there, and the clicks that the click model expects of it and of the new policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.off_policy.click_model import ClickModel, rank_groups
from evaluation.off_policy.pages import Block, Floats, Pages
from evaluation.off_policy.policies import TargetPolicy
from evaluation.progress import Progress, silent


@dataclass(frozen=True)
class Walked:
    """Logged pages seen with the new policy; beyond the end of a page nothing happens.

    Parameters
    ----------
    weight
        w_{1:k}: product of the new policy's probabilities of the items up to each place, over those
        that were logged, (n, k).
    click
        r_k: 1 where the item was clicked, (n, k).
    fitted
        q(x, a_k, k): what the click model expects of the logged item, (n, k).
    expected
        v_k: what it expects of the new policy at the place, given the items before it, (n, k).
    later
        H_{k+1}: clicks that places as such bring after each one, (n, k).
    direct
        What the click model expects of a whole page of the new policy, (n,).
    share
        Weight of the page among all, from its probability to be in the log; 1 on average, (n,).
    visitor
        Number of the visitor, (n,).
    """

    weight: Floats
    click: Floats
    fitted: Floats
    expected: Floats
    later: Floats
    direct: Floats
    share: Floats
    visitor: np.ndarray[tuple[int], np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.direct)

    @property
    def page_weight(self) -> Floats:
        """The weight of each whole page, (n,)."""
        return self.weight[:, -1]

    @property
    def weight_before(self) -> Floats:
        """w_{1:k-1}: the weight before each place, (n, k)."""
        return np.concatenate([np.ones((len(self), 1)), self.weight[:, :-1]], axis=1)


def walk(
    pages: Pages,
    policy: TargetPolicy,
    model: ClickModel,
    seed: int = 0,
    progress: Progress = silent,
) -> Walked:
    """Return the logged pages seen with a policy.

    Parameters
    ----------
    pages
        The log.
    policy
        The new policy.
    model
        Which clicks to expect.
    seed
        Of the pages that the direct method plays: one for each logged page that has more than one
        place. (With one place, the mean over all candidates is exact.)
    progress
        Told how far it is.
    """
    n, k = pages.shown.shape
    ratio, fitted, expected = np.ones((n, k)), np.zeros((n, k)), np.zeros((n, k))
    direct, done = np.zeros(n), 0
    random = np.random.default_rng(seed)
    for block in pages.blocks():
        rows = block.rows
        ratio[rows], fitted[rows], expected[rows] = _follow(block, policy, model)
        direct[rows] = expected[rows, 0] if k == 1 else _play(block, policy, model, random)
        done += len(rows)
        progress("judging pages", done, n, "")
    base = model.base(pages)
    later = np.cumsum(base[:, ::-1], axis=1)[:, ::-1] - base
    share = 1 / pages.inclusion
    share = share / share.mean() if n else share
    return Walked(
        np.cumprod(ratio, axis=1),
        np.where(pages.there, pages.click, 0.0),
        fitted,
        expected,
        np.where(pages.there, later, 0.0),
        direct,
        share,
        pages.visitor,
    )


def _follow(block: Block, policy: TargetPolicy, model: ClickModel) -> tuple[Floats, Floats, Floats]:
    """Return ratios of probabilities, fitted and expected clicks at the logged places, (m, k)."""
    pages = block.pages
    m, k = pages.shown.shape
    ratio, fitted, expected = np.ones((m, k)), np.zeros((m, k)), np.zeros((m, k))
    choose, ranks = policy.chooser(block), rank_groups(block)
    left, every = block.there.copy(), np.arange(m)
    for place in range(k):
        there = pages.there[:, place]
        at = np.maximum(pages.shown[:, place], 0)
        chances = choose(left, place)
        clicks = model.of_block(block, place, ranks)
        ratio[:, place] = np.where(there, chances[every, at] / pages.propensity[:, place], 1.0)
        fitted[:, place] = np.where(there, clicks[every, at], 0.0)
        expected[:, place] = np.where(there, (chances * clicks).sum(axis=1), 0.0)
        left[every[there], at[there]] = False
    return ratio, fitted, expected


def _play(
    block: Block, policy: TargetPolicy, model: ClickModel, random: np.random.Generator
) -> Floats:
    """Return the clicks to expect of pages that the policy fills, one for each logged page."""
    pages = block.pages
    m, k = pages.shown.shape
    choose, ranks = policy.chooser(block), rank_groups(block)
    left, every, clicks = block.there.copy(), np.arange(m), np.zeros(m)
    for place in range(k):
        there = pages.there[:, place]
        sums = np.cumsum(choose(left, place), axis=1)
        drawn = random.random(m) * sums[:, -1]
        at = np.minimum((sums <= drawn[:, None]).sum(axis=1), sums.shape[1] - 1)
        clicks += np.where(there, model.of_block(block, place, ranks)[every, at], 0.0)
        left[every, at] = False
    return clicks
