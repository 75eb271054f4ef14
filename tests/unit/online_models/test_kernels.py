"""Each kernel against its plain-Python oracle, on random streams of interleaved sessions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.memory.top_k import sort_places, top_k
from online_models.sources import popularity
from online_models.sources.pool import place_in_pool
from online_models.sources.registry import COLUMN, POOL
from tests.unit.online_models.oracle import Oracle

SMALL = Limits(max_items=64, max_sessions=64, pairs=64)
STREAM = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), min_size=1, max_size=70)
QUERY = st.lists(st.integers(0, 9), min_size=1, max_size=12)


def replay(stream):
    """Feed (session, item) clicks to the engine and the oracle; sessions open as they come."""
    engine, oracle, numbers = Engine(SMALL), Oracle(), {}
    for session, item in stream:
        if session not in numbers:
            numbers[session] = engine.open_session()
        engine.learn(numbers[session], f"i{item}")
        oracle.learn(numbers[session], f"i{item}")
    return engine, oracle


def column(engine, query, name, own=-1):
    rows, scores = engine.candidates([engine.row(a) for a in query], own)
    scores = scores[:, COLUMN[name]]
    named = {engine.item_id(r): float(s) for r, s in zip(rows, scores, strict=True)}
    return {item: s for item, s in named.items() if s != 0}


def assert_same(actual, expected):
    # Items in every session have a weight of 1e-9: there is nothing to compare.
    expected, actual = ({i: x for i, x in d.items() if x > 1e-7} for d in (expected, actual))
    assert actual.keys() == expected.keys()
    for item, x in expected.items():
        assert actual[item] == pytest.approx(x, rel=2e-3, abs=1e-7), item


def test_what_sources_find_beyond_the_pool_is_left_out():
    """A source that names more items than it declared must not write beyond the table."""
    engine = Engine(Limits(max_items=8_192, max_sessions=64, pairs=64))
    n = 0
    for row in range(1, POOL + 100):
        place, n = place_in_pool(engine._state, row, n)
        assert place == min(row - 1, POOL)
        assert n == min(row, POOL)
    assert engine.arrays["pool"][:POOL].tolist() == list(range(1, POOL + 1))
    assert place_in_pool(engine._state, 5, n) == (4, POOL)


@settings(max_examples=60, deadline=None)
@given(STREAM, QUERY, st.integers(-1, 3))
def test_neighbours_vote_as_the_oracle_says(stream, query, own):
    """A wrong idf, decay, match place or a session voting for itself would show here."""
    engine, oracle = replay(stream)
    query = [f"i{a}" for a in query]
    votes = oracle.neighbours(query, own)
    for place, name in enumerate(("knn_place", "knn_after", "knn_undecayed", "knn_recent")):
        assert_same(column(engine, query, name, own), {b: v[place] for b, v in votes.items()})


@settings(max_examples=60, deadline=None)
@given(STREAM, QUERY)
def test_rules_and_covisits_count_as_the_oracle_does(stream, query):
    """A lost link, a wrong distance or normalisation would show here."""
    engine, oracle = replay(stream)
    query = [f"i{a}" for a in query]
    assert_same(column(engine, query, "seq"), oracle.rules(query))
    assert_same(column(engine, query, "cov"), oracle.covisits(query))
    assert_same(column(engine, query, "next"), oracle.successors(query))


@settings(max_examples=60, deadline=None)
@given(STREAM)
def test_popularity_decays_and_the_list_stays_sorted(stream):
    """A stale place in the list of popular items would answer new visitors with old hits."""
    engine, oracle = replay(stream)
    expected = oracle.popularity()
    answer = engine.recommend([], 10)
    named = [engine.item_id(r) for r in answer.rows]
    assert sorted(named) == sorted(expected)
    counts = [expected[item] for item in named]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(counts))
    for item, count in expected.items():
        found = popularity.log_popularity(engine._state, engine.row(item))
        assert found == pytest.approx(math.log(count), abs=1e-5)


def sort(values, order, n):
    keys, places = np.zeros(n, np.float32), np.zeros(n, np.int32)
    sort_places(values, order, n, keys, places)


def test_what_is_no_number_comes_last_and_once():
    """A ranker that broke must not show an item twenty times."""
    values = np.array([1, np.nan, 3, np.nan, 2], np.float32)
    order = np.arange(5, dtype=np.int32)
    sort(values, order, 5)
    assert order.tolist() == [2, 4, 0, 1, 3]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=80), st.integers(1, 40))
def test_selection_finds_the_largest_in_order(values, k):
    """Quickselect and the sort must agree with numpy's sort, ties by place."""
    array = np.array([*values, 0], np.float32)
    order = np.zeros(len(array), np.int32)
    n = top_k(array, len(values), k, order)
    assert n == min(len(values), k)
    sort(array, order, n)
    chosen = array[order[:n]].tolist()
    assert chosen == sorted((float(v) for v in array[: len(values)]), reverse=True)[:n]
    assert len(set(order[:n].tolist())) == n
    for a, b in itertools.pairwise(order[:n]):
        assert array[a] > array[b] or a < b
