"""The vector index: near what exact search finds, through changes, removals and rebuilds."""

import threading
from collections import OrderedDict

import numpy as np
import pytest

from online_models.vectors import main_index
from online_models.vectors.index import REBUILD_AT, VectorIndex
from online_models.vectors.main_index import DELTA
from online_models.vectors.two_towers import DIMENSIONS


def clustered(n):
    """Vectors around a few centres, as learned ones are."""
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(20, 64))
    out = centres[rng.integers(20, size=n)] + 0.4 * rng.normal(size=(n, 64))
    return out.astype(np.float32)


@pytest.fixture
def filled():
    vectors = clustered(3_000)
    index = VectorIndex(6_001)
    for row, vector in enumerate(vectors, 1):
        index.put(row, vector)
    index.rebuild()
    return index, vectors


def test_recall_against_exact_search(filled):
    """What it does not find is never recommended."""
    index, vectors = filled
    assert index.delta_size == 0
    assert index.recall(vectors[:100], 50) > 0.97


def test_results_are_the_best_first_with_their_cosines(filled):
    """Callers cut the list where they like."""
    index, vectors = filled
    rows, cosines = index.query(vectors[7], 10)
    assert rows[0] == 8
    assert cosines[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(cosines) <= 0).all()
    assert len(set(rows.tolist())) == 10


def test_a_new_row_is_found_at_once_and_a_removed_one_never(filled):
    """A new item is to be sold today; a deleted one cannot be."""
    index, vectors = filled
    index.put(5_000, vectors[3])
    assert {4, 5_000} <= set(index.query(vectors[3], 5)[0].tolist())
    index.remove(4)
    index.remove(5_000)
    assert not {4, 5_000} & set(index.query(vectors[3], 50)[0].tolist())
    index.rebuild()
    assert not {4, 5_000} & set(index.query(vectors[3], 50)[0].tolist())
    index.put(4, vectors[3])
    assert index.query(vectors[3], 1)[0].tolist() == [4]


def test_a_turned_row_is_found_where_it_is_now(filled):
    """The graph knows where it was: that place is stale."""
    index, vectors = filled
    index.put(10, vectors[100])
    assert 10 in index.query(vectors[100], 5)[0]
    if vectors[9] @ vectors[100] < 0.5 * np.linalg.norm(vectors[9]) ** 2:
        assert 10 not in index.query(vectors[9], 5)[0]


def test_small_turns_leave_the_index_alone(filled):
    """Every click moves vectors a little: a delta of them all would be the whole index."""
    index, vectors = filled
    for row in range(1, 200):
        index.put(row, vectors[row - 1] * 3 + 0.01)
    assert index.delta_size == 0


def test_changes_during_a_build_survive_the_swap(filled):
    """A build takes seconds, in which the shop goes on."""
    index, vectors = filled
    main = index.build()
    assert not index.due
    index.put(5_001, vectors[0])
    index.put(1, vectors[500])
    index.remove(2)
    before = index._main
    assert index.swap(main) is before
    assert 5_001 in index.query(vectors[0], 3)[0]
    assert 1 in index.query(vectors[500], 3)[0]
    assert 2 not in index.query(vectors[1], 50)[0]


def test_changes_during_a_build_are_taken_over_in_small_parts(filled):
    """20,000 new items during a build kept all answers waiting for 6 seconds at its swap."""
    index, vectors = filled
    main = index.build()
    for row in range(3_001, 3_051):
        index.put(row, vectors[row - 3_001])
    index.remove(7)
    assert not index.swap(main, 50)
    index.put(3_051, vectors[99])
    index.remove(3_001)
    assert not index.swap(main, 1), "the removed row changed again"
    assert set(index.query(vectors[1], 2)[0].tolist()) == {2, 3_002}
    assert index.swap(main, 2)
    assert not {7, 3_001} & set(index.query(vectors[6], 500)[0].tolist())
    assert {100, 3_051} == set(index.query(vectors[99], 2)[0].tolist())
    assert index.delta_size == 50


def test_a_build_that_failed_is_due_again(filled):
    """Out of memory once, the index would never learn of new items again."""
    index, vectors = filled
    for row in range(3_001, 3_001 + REBUILD_AT):
        index.put(row, vectors[row - 3_001])
    index.build()
    assert not index.due
    index.give_up()
    assert index.due


def test_a_change_looks_at_as_much_of_a_full_delta_as_of_an_empty_one(monkeypatch):
    """With the delta full of new items, each change looked through all of it for one to drop."""
    looked_at = 0

    class Counting(OrderedDict):
        def __iter__(self):
            nonlocal looked_at
            for row in super().__iter__():
                looked_at += 1
                yield row

    monkeypatch.setattr(main_index, "OrderedDict", Counting)
    index = VectorIndex(DELTA + 3_001)
    for row, vector in enumerate(clustered(DELTA + 3_000), 1):
        index.put(row, vector)
    assert index.delta_size == DELTA
    assert looked_at == 0
    assert index.query(clustered(1)[0], 5)[0].shape == (5,)
    assert looked_at == DELTA


def test_the_delta_is_bounded_and_asks_for_a_rebuild():
    """Every query scans it."""
    index = VectorIndex(DELTA + 2_001)
    vectors = clustered(DELTA + 2_000)
    for row, vector in enumerate(vectors, 1):
        index.put(row, vector)
        assert index.delta_size <= DELTA
    assert index.due
    index.rebuild()
    assert not index.due
    assert len(index) == DELTA + 2_000
    assert index.recall(vectors[:50], 20) > 0.97
    for row in range(1, REBUILD_AT + 1):
        index.put(row, -vectors[row - 1])
    assert index.due


def test_vectors_without_a_direction_are_not_indexed(filled):
    """An item that has learned nothing is near to nothing."""
    index, vectors = filled
    for broken in (np.zeros(64), np.full(64, np.nan), np.full(64, np.inf)):
        index.put(5, broken.astype(np.float32))
        assert 5 not in index.query(vectors[4], 50)[0]
    assert len(VectorIndex(10).query(vectors[0], 5)[0]) == 0


def test_loaded_rows_ask_for_a_build(filled):
    """After a restart all vectors come at once: far more than the delta may hold."""
    _, vectors = filled
    index = VectorIndex(6_001)
    index.load(np.arange(1, 3_001), vectors)
    assert index.due
    assert len(index) == 3_000
    index.rebuild()
    assert not index.due
    assert index.recall(vectors[:50], 50) > 0.97


def test_rows_may_change_while_the_graph_is_built():
    """The builder's thread reads what the log reader's changes: neither may crash or lose a row."""
    rng = np.random.default_rng(4)
    index = VectorIndex(4_000)
    for row in range(1, 3_000):
        index.put(row, rng.normal(size=64).astype(np.float32))
    lock, over = threading.Lock(), threading.Event()
    changed = 0

    def change():
        nonlocal changed
        numbers = np.random.default_rng(5)
        while not over.is_set():
            row = int(numbers.integers(1, 3_500))
            with lock:
                if changed % 50 == 49:
                    index.remove(row)
                else:
                    index.put(row, numbers.normal(size=64).astype(np.float32))
            changed += 1

    log_reader = threading.Thread(target=change)
    log_reader.start()
    builds = 0
    while builds < 4 or changed < 1_000:
        main = index.build()
        with lock:
            index.swap(main)
        builds += 1
    over.set()
    log_reader.join()
    queries = rng.normal(size=(30, 64)).astype(np.float32)
    assert index.recall(queries, 50) > 0.85
    alive = set(index.exact(queries[0], len(index)).tolist())
    assert set(index.query(queries[0], 50)[0].tolist()) <= alive


def test_many_equal_vectors_are_found_though_others_cannot_be_reached():
    """Items of a category without a word of their own: hnswlib raised, and so answers ended."""
    rng = np.random.default_rng(0)
    index = VectorIndex(4_001)
    kinds = rng.normal(size=(20, DIMENSIONS)).astype(np.float32)
    for row in range(1, 4_001):
        index.put(row, kinds[row % 20])
    index.rebuild()
    for kind in range(20):
        rows, cosines = index.query(kinds[kind], 500)
        assert 50 <= len(rows) <= 500
        assert len(set(rows.tolist())) == len(rows)
        assert (rows[:50] % 20 == kind).all()
        assert cosines[0] == pytest.approx(1, abs=1e-5)
