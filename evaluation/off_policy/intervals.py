"""Intervals of 95 %: the studentised bootstrap, and the empirical Bernstein bound.

What happens to one visitor is not independent, so visitors are drawn, not pages.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from evaluation.off_policy.estimators import Columns
from evaluation.off_policy.pages import Floats, Ints

ROUNDS = 1_000
"""Draws of the bootstrap."""

MOST_GROUPS = 1_000
"""Groups of visitors that are drawn: with more visitors than this, some share one. Sums of more
visitors are less skewed, and there are fewer of them: the mean is as skewed as before."""

MOST_PAIRED = 6
"""Ratios up to which it is quicker to draw the products of columns than to draw each group."""

MISS = 0.05
"""Probability that an interval misses."""


def grouped(columns: Columns, visitor: Ints) -> tuple[Floats, Floats]:
    """Return the sums of ``above`` and ``below`` by visitor, or group of visitors, (groups, p)."""
    _, number = np.unique(visitor, return_inverse=True)
    number = number % MOST_GROUPS
    n = int(number.max()) + 1
    above, below = np.zeros((n, columns.above.shape[1])), np.zeros((n, columns.below.shape[1]))
    np.add.at(above, number, columns.above)
    np.add.at(below, number, columns.below)
    return above, below


def value_of(above: Floats, below: Floats) -> Floats:
    """Return sums of ratios, (...): of sums (..., p); 0 where the sum below is 0."""
    values: Floats = (above / np.where(below > 0, below, 1.0)).sum(axis=-1)
    return values


def draws(groups: int, seed: int = 0) -> Floats:
    """Return how often each group is in each draw of as many as there are, (`ROUNDS`, groups)."""
    random = np.random.default_rng(seed)
    chosen = random.integers(groups, size=(ROUNDS, groups))
    chosen += groups * np.arange(ROUNDS)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=ROUNDS * groups)
    return counts.reshape(ROUNDS, groups).astype(np.float64)


def studentised(above: Floats, below: Floats, drawn: Floats) -> tuple[float, float]:
    """Return the studentised bootstrap interval of a sum of ratios.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, sec. 12.5: of each draw b,
    t_b = (V_b - V) / se_b, and the interval is V - t_(0.975) se to V - t_(0.025) se. Percentiles of
    V_b alone, without the division, miss too often where few clicks have large weights: V_b is high
    where its own error is large.

    Parameters
    ----------
    above, below
        Sums by group, (groups, p); see `grouped`.
    drawn
        See `draws`.

    Notes
    -----
    Errors are those of the linearised ratio (the delta method). A draw without any click has no
    error, and counts as infinitely far below: if more than 2.5 % are such, there is no upper bound.
    """
    value, error = (float(x[0]) for x in _value_and_error(above, below, np.ones((1, len(above)))))
    if error == 0:
        return value, value
    values, errors = _value_and_error(above, below, drawn)
    away = values - value
    none = np.where(away < 0, -np.inf, np.where(away > 0, np.inf, 0.0))
    exact = errors <= 1e-6 * error  # but for rounding, which is the root of 1e-16
    distances = np.where(exact, none, away / np.where(exact, 1.0, errors))
    # This method takes one that is there: between an infinite one and another there is none.
    low, high = np.quantile(distances, [MISS / 2, 1 - MISS / 2], method="inverted_cdf")
    return value - float(high) * error, value - float(low) * error


def bernstein(columns: Columns, visitor: Ints) -> tuple[float, float] | None:
    """Return the empirical Bernstein interval of a mean; None where no bounds are known.

    Maurer & Pontil, COLT 2009, theorem 4, on both sides: with n visitors of sample variance S², and
    values in a range of R, the mean is within

        sqrt(2 S² ln(4/δ) / n) + 7 R ln(4/δ) / (3 (n - 1))

    of its expectation with a probability of at least 1 - δ. It holds for any distribution, so it is
    wide. A visitor's value is the sum of those of the pages, in as many times the range of a page
    as any visitor has pages.
    """
    if columns.bounds is None:
        return None
    _, number, pages = np.unique(visitor, return_inverse=True, return_counts=True)
    n = len(pages)
    if n < 2:
        return -np.inf, np.inf
    sums = np.bincount(number, columns.above[:, 0], n)
    spread = (columns.bounds[1] - columns.bounds[0]) * int(pages.max())
    told = log(4 / MISS)
    half = sqrt(2 * float(sums.var(ddof=1)) * told / n) + 7 * spread * told / (3 * (n - 1))
    scale = n / float(columns.below.sum())
    value = float(sums.mean())
    return float((value - half) * scale), float((value + half) * scale)


def _value_and_error(above: Floats, below: Floats, drawn: Floats) -> tuple[Floats, Floats]:
    """Return value and standard error of each draw, (rounds,): ``drawn`` is (rounds, groups)."""
    n, p = above.shape
    tops, bottoms = drawn @ above, drawn @ below
    scale = n / np.where(bottoms > 0, bottoms, np.inf)
    ratio = tops / n * scale
    # A group moves the value by the sum over p of (above - ratio * below) * scale: columns, each
    # with a factor that depends on the draw.
    columns = np.concatenate([above, below], axis=1)
    factors = np.concatenate([scale, -ratio * scale], axis=1)
    if p <= MOST_PAIRED:
        one, other = np.triu_indices(2 * p)
        pairs = drawn @ (columns[:, one] * columns[:, other])
        twice = np.where(one == other, 1.0, 2.0)
        squares = (pairs * factors[:, one] * factors[:, other] * twice).sum(axis=1)
    else:
        squares = (drawn * (factors @ columns.T) ** 2).sum(axis=1)
    return ratio.sum(axis=1), np.sqrt(np.maximum(squares, 0.0)) / n
