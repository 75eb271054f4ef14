"""Intervals against plain computations; `test_off_policy_coverage.py` counts what they miss."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.off_policy import intervals
from evaluation.off_policy.estimators import Columns
from evaluation.off_policy.intervals import (
    ROUNDS,
    bernstein,
    draws,
    grouped,
    studentised,
    value_of,
)


def plain(above, below):
    """A sum of ratios and its standard error, group by group."""
    n, p = above.shape
    value, moves = 0.0, np.zeros(n)
    for j in range(p):
        if below[:, j].sum() > 0:
            ratio = above[:, j].sum() / below[:, j].sum()
            value += ratio
            moves += (above[:, j] - ratio * below[:, j]) / below[:, j].mean()
    return value, sqrt((moves**2).sum()) / n


@pytest.mark.parametrize("ratios", [1, 2, intervals.MOST_PAIRED, intervals.MOST_PAIRED + 1])
def test_the_bootstrap_is_that_of_the_book(ratios):
    """Both ways of computing errors, against drawing the groups one by one."""
    random = np.random.default_rng(ratios)
    below = random.uniform(0.5, 2, (40, ratios))
    above = below * random.uniform(size=(40, ratios)) * random.integers(2, size=(40, ratios))
    drawn = draws(40, seed=3)
    value, error = plain(above, below)
    distances = []
    for counts in drawn:
        again = np.repeat(np.arange(40), counts.astype(int))
        v, e = plain(above[again], below[again])
        distances.append((v - value) / e)
    distances.sort()
    low, high = studentised(above, below, drawn)
    assert low == pytest.approx(value - error * distances[int(0.975 * ROUNDS) - 1])
    assert high == pytest.approx(value - error * distances[int(0.025 * ROUNDS) - 1])
    assert low < value < high


def test_draws_are_of_as_many_groups_as_there_are():
    """Each group once on average; the same ones for the same seed."""
    drawn = draws(50, seed=1)
    assert drawn.shape == (ROUNDS, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.2)
    assert (draws(50, seed=1) == drawn).all()
    assert (draws(50, seed=2) != drawn).any()


def test_without_clicks_there_is_no_upper_bound_but_where_nothing_varies():
    """A log with one click among few visitors tells next to nothing: most draws have none."""
    above = np.zeros((10, 1))
    drawn = draws(10)
    assert studentised(above, np.ones((10, 1)), drawn) == (0, 0)
    above[0] = 1
    low, high = studentised(above, np.ones((10, 1)), drawn)
    assert low < 0.1
    assert high == np.inf


def columns_of(above, bounds=(0.0, 1.0)):
    above = np.asarray(above, float)[:, None]
    return Columns(above, np.ones_like(above), None, bounds)


def test_the_bernstein_bound_is_the_theorem():
    """Maurer & Pontil, theorem 4, with half of the misses on each side."""
    values = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.25])
    n, told = 6, log(4 / 0.05)
    half = sqrt(2 * values.var(ddof=1) * told / n) + 7 * 3.0 * told / (3 * (n - 1))
    found = bernstein(columns_of(values, (-1.0, 2.0)), np.arange(6))
    assert found == pytest.approx((values.mean() - half, values.mean() + half))
    assert bernstein(columns_of(values, None), np.arange(6)) is None
    assert bernstein(columns_of(values[:1]), np.arange(1)) == (-np.inf, np.inf)


def test_pages_of_a_visitor_count_as_one():
    """A visitor's clicks depend on each other: as often shown pages would seem to tell more."""
    once = np.tile([0.0, 1.0, 0.0, 0.0], 10)
    visitors = np.arange(40)
    thrice = np.repeat(once, 3)
    columns, repeated = columns_of(once), columns_of(thrice)
    above, below = grouped(columns, visitors)
    again = grouped(repeated, np.repeat(visitors, 3))
    assert again[0] == pytest.approx(3 * above)
    drawn = draws(40)
    assert studentised(*again, drawn) == pytest.approx(studentised(above, below, drawn))
    assert bernstein(repeated, np.repeat(visitors, 3)) == pytest.approx(
        bernstein(columns, visitors)
    )


def test_many_visitors_are_drawn_in_groups(monkeypatch):
    """Memory would grow with the log."""
    monkeypatch.setattr(intervals, "MOST_GROUPS", 7)
    above, below = grouped(columns_of(np.arange(100.0)), np.arange(100) * 3)
    assert len(above) == 7
    assert above.sum() == np.arange(100).sum()
    assert below[:, 0].tolist() == [15, 15, 14, 14, 14, 14, 14]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.floats(0.1, 10))
def test_intervals_scale_with_what_they_are_of(values, scale):
    """A unit is no matter: prices in cents have intervals in cents."""
    above = np.array(values, float)[:, None]
    below = np.ones_like(above)
    drawn = draws(len(above))
    low, high = studentised(above, below, drawn)
    assert low <= value_of(above.sum(axis=0), below.sum(axis=0)) + 1e-9
    again = studentised(scale * above, below, drawn)
    assert again == pytest.approx((scale * low, scale * high), rel=1e-5, abs=1e-7)
