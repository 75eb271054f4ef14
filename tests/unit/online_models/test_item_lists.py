"""The lists of items by category, and pages that are filled from them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick.limits import MAX_EXCLUDED_ITEMS, MAX_FILTER_CATEGORIES
from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.ranking.listed_items import ENOUGH, MOST_LOOKED_AT
from online_models.ranking.page import MAX_ANSWER
from online_models.sources.popularity import POPULAR
from online_models.tables.item_lists import ALL_ITEMS
from online_models.tables.item_rows import DELETED, UNAVAILABLE

LIMITS = Limits(max_items=8_192, max_sessions=64, pairs=64)


def listed(engine, number, clicked):
    """The rows of a list from both of its ends, which must agree."""
    links, ends = engine.arrays["item_links"], engine.arrays["item_lists"][number, int(clicked)]
    categories = engine.arrays["categories"]
    found = []
    for end, way in (("first", "after"), ("last", "before")):
        rows, row = [], int(ends[end])
        while row:
            rows.append(row)
            assert len(rows) <= len(engine.rows)
            place = 0 if number == ALL_ITEMS else 1 + categories[row].tolist().index(number)
            row = int(links[row, place][way])
        found.append(rows)
    assert found[0] == found[1][::-1]
    return found[0]


def check(engine):
    """Each list has the items that it is for, once, those that are not available last."""
    stats, categories = engine.arrays["stats"], engine.arrays["categories"]
    popular = set(engine.arrays["popular"][: engine.arrays["counters"]["popular"][0]].tolist())
    wanted = {}
    for row in engine.rows.values():
        if not stats[row]["flags"] & DELETED and row not in popular:
            for number in {ALL_ITEMS, *categories[row].tolist()}:
                wanted.setdefault((number, bool(stats[row]["clicks"])), set()).add(row)
    used = np.argwhere(engine.arrays["item_lists"]["first"] > 0)
    assert {(int(number), bool(clicked)) for number, clicked in used} == set(wanted)
    for (number, clicked), rows in wanted.items():
        found = listed(engine, number, clicked)
        assert len(found) == len(rows)
        assert set(found) == rows
        sold_out = [bool(stats[row]["flags"] & UNAVAILABLE) for row in found]
        assert sold_out == sorted(sold_out)
    gone = [*engine.leaving, *engine.free]
    assert not engine.arrays["item_links"][gone].view(np.int32).any()


def names(engine, ranked):
    return [engine.item_id(row) for row in ranked.rows]


def with_popular(limits=LIMITS):
    """An engine whose list of popular items is full: of items without a category."""
    engine = Engine(limits, sample=0)
    for i in range(POPULAR):
        engine.put_item(f"hot{i}")
        engine.strengthen(f"hot{i}", 1_000)
    return engine


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["click", "put", "sold out", "delete", "strengthen", "robot"]),
        st.integers(0, 60),
        st.lists(st.integers(0, 5), max_size=3),
    ),
    min_size=50,
    max_size=300,
)


@settings(max_examples=30, deadline=None)
@given(ACTIONS)
def test_an_item_is_in_the_lists_of_its_categories_whatever_happens(actions):
    """A link that is left over would show an item in a category that it has not, or loop."""
    engine = Engine(Limits(max_items=24, max_sessions=16, pairs=16), sample=0)
    number = engine.open_session()
    for i, (action, item, categories) in enumerate(actions):
        if action == "click":
            number = engine.open_session() if item % 3 == 0 else number
            engine.learn(number, f"i{item}")
        elif action == "delete":
            engine.delete_item(f"i{item}")
        elif action == "strengthen":
            engine.strengthen(f"i{item}", 1 + item)
        elif action == "robot":
            engine.learn(number, f"bot{i}")
        else:
            named = [f"c{c}" for c in categories]  # one may stand there twice
            engine.put_item(f"i{item}", available=action == "put", categories=named)
        if i % 5 == 0:
            check(engine)
    check(engine)


def test_items_come_and_go_between_the_popular_ones_and_the_lists():
    """An item that is no longer popular must be found by its category, and by no stale link."""
    engine = Engine(Limits(max_items=3_000, max_sessions=1_024, pairs=64), sample=0)
    rng = np.random.default_rng(0)
    for i in range(12_000):
        item = int(rng.integers(2_500)) + i // 20
        if i % 3 == 0:
            categories = [f"c{item % 7}", f"d{item % 50}"]
            engine.put_item(f"i{item}", available=item % 11 > 0, categories=categories)
        elif i % 500 == 1:
            engine.delete_item(f"i{item}")
        engine.learn(engine.open_session(), f"i{item}")
        if i % 1_000 == 0:
            check(engine)
    check(engine)
    assert len(listed(engine, ALL_ITEMS, True)) > 500
    for c in range(50):
        page = engine.recommend([], 20, flt=Filter((f"d{c}",)))
        number = engine.categories.numbers[f"d{c}"]
        assert len(page.rows) == 20
        assert all(number in engine.arrays["categories"][row] for row in page.rows)


def test_a_page_is_in_the_order_of_popularity_and_then_of_age():
    """What was clicked before is worth more than what nobody knows yet."""
    engine = with_popular()
    for i in range(30):
        engine.put_item(f"i{i}", categories=("c",))
        if i < 10:
            engine.strengthen(f"i{i}", 1 + i * 7 % 10)
    page = names(engine, engine.recommend([], 15, flt=Filter(("c",))))
    assert page[:10] == [f"i{i}" for i in sorted(range(10), key=lambda i: -(i * 7 % 10))]
    assert page[10:] == [f"i{i}" for i in range(29, 24, -1)]


@pytest.mark.parametrize("others", [ENOUGH - 1, ENOUGH])
def test_only_so_many_items_of_a_category_are_looked_at(others):
    """A category of a million items would hold up all other answers."""
    engine = with_popular()
    engine.put_item("old", categories=("c",))
    engine.strengthen("old", 9)
    for i in range(others):
        engine.put_item(f"i{i}", categories=("c",))
        engine.strengthen(f"i{i}", 1)
    page = names(engine, engine.recommend([], 20, flt=Filter(("c",))))
    assert len(page) == 20
    assert ("old" in page) == (others < ENOUGH)


@pytest.mark.parametrize("clicked", [False, True])
@pytest.mark.parametrize("categories", [(), ("c",)])
def test_the_longest_page_is_full_whatever_a_request_excludes(clicked, categories):
    """The bound must not cost a visitor's page."""
    engine = with_popular()
    n = MAX_EXCLUDED_ITEMS + 2 * MAX_ANSWER
    for i in range(n + 2_000):
        sold_out = i >= n  # the last ones put: they must not stand before the others
        engine.put_item(f"i{i}", available=not sold_out, categories=("c",))
        if clicked:
            engine.strengthen(f"i{i}", 1)
    last = [engine.row(f"i{i}") for i in range(n - MAX_EXCLUDED_ITEMS, n)]
    hot = tuple(engine.row(f"hot{i}") for i in range(POPULAR)) if not categories else ()
    answer = engine.recommend([], MAX_ANSWER, flt=Filter(categories, (*last, *hot)))
    assert len(set(names(engine, answer))) == MAX_ANSWER
    assert not {*last, *hot} & set(answer.rows.tolist())
    assert all(not engine.arrays["stats"][row]["flags"] & UNAVAILABLE for row in answer.rows)
    every = engine.recommend([], MAX_ANSWER, flt=Filter(("c",), (), include_unavailable=True))
    assert len(every.rows) == MAX_ANSWER


def test_each_wanted_category_gets_its_turn_and_each_item_one_place():
    """A large category must not keep a small one out, nor an item in both come twice."""
    engine = with_popular()
    small = MAX_FILTER_CATEGORIES - 2
    for i in range(small):
        engine.put_item(f"small{i}", categories=(f"s{i}", "both"))
        engine.strengthen(f"small{i}", 2)
    for i in range(2 * MOST_LOOKED_AT):
        engine.put_item(f"i{i}", categories=("large",))
        engine.strengthen(f"i{i}", 1)
    wanted = ("large", "both", *(f"s{i}" for i in range(small)))
    page = names(engine, engine.recommend([], 200, flt=Filter(wanted)))
    assert len(set(page)) == 200
    assert set(page[:small]) == {f"small{i}" for i in range(small)}


def as_version_7(folder):
    """Take out of a snapshot what version 7 did not have."""
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"version": 7}))
    for name in ("item_links", "item_lists"):
        (folder / f"{name}.npy").unlink()


@pytest.mark.parametrize("version", [7, 9])
def test_a_snapshot_brings_the_same_pages(tmp_path, version):
    """Version 7 had no lists: they are made from what it has."""
    engine = with_popular()
    for i in range(500):
        engine.put_item(f"i{i}", available=i % 9 > 0, categories=(f"c{i % 5}", "all"))
        engine.learn(engine.open_session(), f"i{i * 7 % 500}")
    engine.delete_item("i7")
    engine.snapshot(tmp_path / "s")
    if version == 7:
        as_version_7(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    check(restored)
    for flt in (Filter(("c2",)), Filter(("all", "c1")), Filter((), (1, 2), True)):
        page, again = (e.recommend([], 200, flt=flt) for e in (engine, restored))
        assert again.rows.tolist() == page.rows.tolist()
        assert again.scores.tolist() == page.scores.tolist()
    smaller = Engine.restore(tmp_path / "s", Limits(max_items=1_200, max_sessions=64, pairs=64))
    check(smaller)


def test_a_sweep_that_began_without_lists_visits_all_tables_again(tmp_path):
    """Its phases had other numbers: it would go on in another table, beyond the end of that."""
    engine = Engine(Limits(max_items=512, max_sessions=1 << 12, pairs=1 << 12), sample=0)
    i = 0
    while not (engine._sweep.active and engine._sweep.size == 1 << 12 and engine._sweep.at > 512):
        engine.learn(engine.open_session(), f"i{i}")
        i += 1
        assert i < 10_000
    engine.snapshot(tmp_path / "s")
    as_version_7(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    assert restored._sweep.active
    assert restored._sweep.at == 0
    while restored._sweep.active:
        restored._sweep.step(1_000)
    check(restored)
