"""Lists of near items: made aside, for what was asked, fresh enough, and bounded."""

import time

import numpy as np
import pytest

from online_models.vectors import near_lists as module
from online_models.vectors.index import VectorIndex
from online_models.vectors.near_lists import NearestItems

ROWS = 400


@pytest.fixture
def lists():
    vectors = np.random.default_rng(6).normal(size=(ROWS + 1, 64)).astype(np.float32)
    vectors[0] = vectors[ROWS] = 0
    index = VectorIndex(ROWS + 1)
    for row in range(1, ROWS):
        index.put(row, vectors[row])
    return NearestItems(index, vectors, time.monotonic), index, vectors


def test_an_answer_reads_what_was_made_after_it_asked(lists):
    nearest, index, vectors = lists
    assert not len(nearest.near_to([3]))
    assert nearest.make(10) == 1
    assert nearest.near_to([3]).tolist() == index.query(vectors[3], module.LENGTH)[0].tolist()
    assert nearest.make(10) == 0, "a fresh list is not made again"


def test_the_latest_known_items_are_read(lists):
    nearest, _, _ = lists
    nearest.near_to([0, 5, 0, 6, 7])
    assert nearest.make(10) == 2
    near = nearest.near_to([5, 6])
    assert near[0] == 5
    assert near[module.LENGTH] == 6


def test_an_old_list_is_made_again_and_read_meanwhile(lists, monkeypatch):
    nearest, index, _ = lists
    nearest.near_to([3])
    nearest.make(10)
    second = int(nearest.near_to([3])[1])
    index.remove(second)
    monkeypatch.setattr(module, "OLD_S", -1.0)
    assert second in nearest.near_to([3])
    assert nearest.make(10) == 1
    assert second not in nearest.near_to([3])


def test_an_item_without_vectors_is_near_to_nothing(lists):
    nearest, _, _ = lists
    nearest.near_to([ROWS])
    nearest.make(1)
    assert not len(nearest.near_to([ROWS]))


def test_lists_and_those_that_wait_are_bounded(lists, monkeypatch):
    nearest, _, _ = lists
    monkeypatch.setattr(module, "LISTS", 10)
    monkeypatch.setattr(module, "WANTED", 30)
    for row in range(1, 100):
        nearest.near_to([row])
    assert nearest.make(1_000) == 30
    held = [row for row in range(1, 100) if len(nearest.near_to([row]))]
    assert held == list(range(21, 31)), "the ones made last"
