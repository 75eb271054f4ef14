"""An arena that is full goes on to give lists to new items: none is left without for ever."""

import numpy as np
import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.memory.slabs import BUMP, LIMIT, give, take

LIMITS = Limits(max_items=256, max_sessions=1_024, pairs=256)
HOT, NEW = 60, 160
"""Items that fill the arena of rings, and those that come later."""

SIZES = np.array([0, 8, 32, 128], np.int64)


@pytest.fixture
def engine():
    """Models whose first items have taken the whole arena of rings."""
    engine = Engine(LIMITS, sample=0, remote=True)
    hot = [f"hot{i}" for i in range(HOT)]
    for item in hot:
        engine.put_item(item)
    for _ in range(130):
        for item in hot:
            engine.learn(engine.open_session(), item)
    meta = engine.arrays["rings_meta"]
    assert meta[LIMIT] - meta[BUMP] < 512
    return engine


def click(engine, item, times=3):
    for _ in range(times):
        engine.learn(engine.open_session(), item)


def neighbours(engine, item):
    """How many sessions the item's ring leads to."""
    engine.recommend([engine.row(item)], 5)
    return int(engine.arrays["found"]["neighbours"][0])


def test_items_that_come_later_have_neighbours(engine):
    """Once 40 items in 256 had long rings, those of all later ones stayed empty for ever."""
    for i in range(NEW):
        engine.put_item(f"new{i}")
        click(engine, f"new{i}")
        assert neighbours(engine, f"new{i}") == 3, i


def test_what_left_in_large_lists_is_used_for_small_ones(engine):
    """Slabs of items that have left were used for lists of the same length only."""
    for i in range(HOT):
        engine.delete_item(f"hot{i}")
    found = []
    for i in range(2 * LIMITS.max_items):
        engine.put_item(f"new{i}")
        click(engine, f"new{i}")
        found.append(neighbours(engine, f"new{i}"))
    assert found[-LIMITS.max_items :] == [3] * LIMITS.max_items


def test_a_shortened_ring_keeps_its_latest_sessions(engine):
    """A hot item gives room to others, and remembers what is new."""
    before = engine.arrays["items"]["ring_slab"].copy()
    for i in range(NEW // 2):
        engine.put_item(f"new{i}")
        click(engine, f"new{i}", times=40)
    items = engine.arrays["items"]
    shortened = [row for row in range(1, HOT + 1) if items["ring_slab"][row] < before[row]]
    assert shortened
    sizes = np.array([0, 8, 32, 128, 512])
    for row in shortened:
        size, n = int(sizes[items["ring_slab"][row]]), int(items["sessions"][row])
        ring = engine.arrays["rings"][items["ring"][row] :][:size]
        clicked = [HOT * turn + row - 1 for turn in range(n)]
        for ago in range(1, size + 1):
            assert ring[(n - ago) % size] == clicked[-ago]


def test_no_two_lists_share_entries(engine):
    """What is taken from one list must be in no other one, nor free."""
    for i in range(NEW // 2):
        engine.put_item(f"new{i}")
        click(engine, f"new{i}", times=40)
    sizes = np.array([0, 8, 32, 128, 512])
    items, rings = engine.arrays["items"], engine.arrays["rings"]
    meta = engine.arrays["rings_meta"]
    owner = np.zeros(len(rings), np.int64)
    for row in range(1, len(engine.ids)):
        at, size = int(items["ring"][row]), int(sizes[items["ring_slab"][row]])
        assert not owner[at : at + size].any()
        owner[at : at + size] = row
    for slab in range(1, 5):
        head = int(meta[slab])
        while head:
            assert not owner[head - 1 : head - 1 + sizes[slab]].any()
            owner[head - 1 : head - 1 + sizes[slab]] = -1
            head = int(rings[head - 1])


def test_items_that_come_later_have_rules():
    """Long lists of the first items left none to the others."""
    limits = Limits(max_items=128, max_sessions=512, rules_per_item=16, pairs=256)
    engine = Engine(limits, sample=0, remote=True)
    hot = [f"hot{i}" for i in range(60)]
    for item in hot:
        engine.put_item(item)
    for shift in range(1, 60):
        for i in range(60):
            number = engine.open_session()
            engine.learn(number, hot[i])
            engine.learn(number, hot[(i + shift) % 60])
    for i in range(60):
        engine.put_item(f"new{i}")
        for other in range(8):  # each search looks at a few items only
            number = engine.open_session()
            engine.learn(number, f"new{i}")
            engine.learn(number, hot[(i + other) % 60])
        row = engine.row(f"new{i}")
        assert engine.arrays["items"]["rules_slab"][row] > 0, i


def test_a_free_large_slab_is_split_where_no_small_one_is_left():
    """Words are those of the arena; stride 1."""
    words, meta = np.zeros(128, np.int32), np.zeros(8, np.int64)
    meta[LIMIT] = 128
    place = take(words, 1, meta, SIZES, 3)
    assert (place, take(words, 1, meta, SIZES, 1)) == (0, -1)
    give(words, 1, meta, 3, place)
    taken = sorted(take(words, 1, meta, SIZES, 1) for _ in range(16))
    assert taken == list(range(0, 128, 8))
    assert take(words, 1, meta, SIZES, 1) == -1
