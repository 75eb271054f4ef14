"""The rows that fulfil a condition: those that a look at each item finds, whatever has changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.memory.bits import lowest_bit, put_bit, put_bits
from online_models.ranking import conditions
from online_models.ranking.conditions import (
    EVERYTHING,
    MASKS,
    NOTHING,
    AllOf,
    AnyOf,
    HasFact,
    InRange,
    Masks,
    Not,
    find_rows,
    whole_condition,
)
from online_models.tables import facts
from online_models.tables.facts import BUCKET, Facts, Order, RowSet, facts_of

ROWS = 130
"""More than two words of bits, the last one not full."""

WORDS = -(-ROWS // 64)

NAMES = ("a", "b", "c")
VALUES = st.sampled_from([-1.5, 0.0, 1.0, 2.0, 1e9])


@st.composite
def items(draw):
    """Draw what the catalogue says of an item: categories, attributes, kind, numbers."""
    return (
        draw(st.lists(st.sampled_from(NAMES), max_size=4)),
        draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from("xy"), max_size=3)),
        draw(st.sampled_from(["", "film", "song"])),
        draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=2)),
    )


LEAVES = st.one_of(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(
        lambda names: HasFact(tuple(map(facts.category, names)))
    ),
    st.sampled_from(["film", "song", "other"]).map(lambda kind: HasFact((facts.kind(kind),))),
    st.tuples(st.sampled_from(NAMES), st.sampled_from("xyz")).map(
        lambda named: HasFact((facts.attribute(*named),))
    ),
    st.builds(InRange, st.sampled_from([*NAMES, "d"]), VALUES, VALUES),
    st.builds(InRange, st.sampled_from(NAMES), st.just(-math.inf), VALUES),
    st.builds(InRange, st.sampled_from(NAMES), VALUES),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda more: st.one_of(
        st.lists(more, max_size=3).map(lambda some: AllOf(tuple(some))),
        st.lists(more, max_size=3).map(lambda some: AnyOf(tuple(some))),
        st.builds(Not, more),
    ),
    max_leaves=8,
)
CHANGES = st.lists(st.tuples(st.integers(1, ROWS - 1), st.one_of(st.none(), items())), max_size=60)


def fulfils(condition, item):
    """Whether an item fulfils a condition, by its meaning alone."""
    categories, attributes, kind, numbers = item
    match condition:
        case HasFact(wanted):
            has = {facts.category(name) for name in categories} | {facts.kind(kind)}
            has |= {facts.attribute(*pair) for pair in attributes.items()}
            return any(fact in has for fact in wanted)
        case InRange(name, low, high):
            return name in numbers and low <= numbers[name] <= high
        case Not(other):
            return not fulfils(other, item)
        case AllOf(some):
            return all(fulfils(other, item) for other in some)
        case AnyOf(some):
            return any(fulfils(other, item) for other in some)


NOBODY = ((), {}, "", {})


class Shop:
    """The index beside a plain dictionary of the same items."""

    def __init__(self):
        self.index = Facts(WORDS)
        self.items = {}
        self.masks = Masks({"condition_masks": np.zeros((MASKS, WORDS), np.int64)}, self.index)

    def change(self, row, item):
        if item is None:
            self.index.clear(row)
            self.items.pop(row, None)
            return
        categories, attributes, kind, numbers = item
        self.index.put(row, facts_of(categories, attributes, kind), numbers)
        self.items[row] = item

    def wanted(self, condition):
        """Return the rows that fulfil a condition, those without an item among them."""
        return {row for row in range(ROWS) if fulfils(condition, self.items.get(row, NOBODY))}


def rows_of(bits):
    places = np.unpackbits(bits.view(np.uint8), bitorder="little")
    return {row for row in np.flatnonzero(places).tolist() if row < ROWS}


@given(CHANGES, CONDITIONS)
def test_found_rows_are_those_that_a_look_at_each_item_finds(changes, condition):
    """If it failed, a filter would show what it must not, or hide what it should show."""
    shop = Shop()
    for row, item in changes:
        shop.change(row, item)
    bits = np.full(WORDS, 7, np.int64)
    find_rows(condition, shop.index, bits)
    assert rows_of(bits) == shop.wanted(condition)


@given(st.lists(st.tuples(CHANGES, CONDITIONS), min_size=1, max_size=6), st.integers(0, 5))
def test_kept_rows_follow_every_change(rounds, again):
    """If it failed, a condition that was asked before would show what the catalogue was then."""
    shop = Shop()
    asked = []
    for changes, condition in rounds:
        for row, item in changes:
            shop.change(row, item)
        asked.append(condition)
        for each in {condition, asked[again % len(asked)]}:
            place = shop.masks.place(each)
            assert rows_of(shop.masks._bits[place]) == shop.wanted(each)


def test_many_changes_are_found_anew_and_few_one_by_one(monkeypatch):
    """If it failed, either an import would make each answer slow, or the rows were not of now."""
    shop = Shop()
    film = HasFact((facts.kind("film"),))
    looks = []
    monkeypatch.setattr(conditions, "find_rows", lambda *args: looks.append(find_rows(*args)))
    shop.masks.place(film)
    for n in range(1, 40):
        shop.change(n, ((), {}, "film", {}))
        if n < 4:
            assert rows_of(shop.masks._bits[shop.masks.place(film)]) == set(range(1, n + 1))
    assert len(looks) == 1
    assert rows_of(shop.masks._bits[shop.masks.place(film)]) == set(range(1, 40))
    assert len(looks) == 2


def test_an_item_that_is_put_again_as_it_was_is_no_change():
    """If it failed, a shop that writes everything each hour would make each answer slow."""
    shop = Shop()
    item = (("c",), {"a": "x"}, "film", {"a": 3.0})
    shop.change(3, item)
    version = shop.index.version
    shop.change(3, item)
    assert shop.index.version == version
    shop.change(3, (("c",), {"a": "x"}, "film", {"a": 4.0}))
    assert shop.index.version == version + 1


def test_the_condition_that_was_used_longest_ago_makes_room():
    """If it failed, conditions would take memory without bound, or those in use would be lost."""
    shop = Shop()
    shop.change(5, ((), {}, "film", {"a": 3.0}))
    often = HasFact((facts.kind("film"),))
    place = shop.masks.place(often)
    for n in range(3 * MASKS):
        other = shop.masks.place(InRange("a", float(n)))
        assert rows_of(shop.masks._bits[other]) == ({5} if n <= 3 else set())
        assert shop.masks.place(often) == place
    assert rows_of(shop.masks._bits[place]) == {5}


@given(st.lists(st.tuples(VALUES, st.integers(0, 3_000)), max_size=300, unique_by=lambda e: e[1]))
def test_an_order_of_many_rows_finds_each_range(entries):
    """If it failed, items of one price, which fill several buckets, would be lost."""
    same = [(1.0, row) for row in range(4_000, 4_000 + 3 * BUCKET)]
    order = Order(128)
    for value, row in [*entries, *same]:
        order.add(value, row)
    for value, row in same[::3]:
        order.discard(value, row)
    held = [*entries, *(entry for n, entry in enumerate(same) if n % 3)]
    assert len(order) == len(held)
    for low, high in [(-math.inf, math.inf), (1.0, 1.0), (-1.5, 0.5), (1.5, math.inf), (5.0, 6.0)]:
        bits = np.zeros(128, np.int64)
        order.put_into(bits, low, high)
        places = np.unpackbits(bits.view(np.uint8), bitorder="little")
        assert set(np.flatnonzero(places).tolist()) == {r for v, r in held if low <= v <= high}
    for value, row in held:
        order.discard(value, row)
    assert not len(order)


@given(st.lists(st.integers(0, 127), max_size=200))
def test_a_set_of_rows_is_one_in_either_form(toggled):
    """If it failed, rows would be lost where a set becomes bits, or a list again."""
    rows, held = RowSet(2), set()
    for row in toggled:
        (rows.discard if row in held else rows.add)(row)
        held ^= {row}
        bits = np.zeros(2, np.int64)
        rows.put_into(bits)
        assert (len(rows), rows_of(bits)) == (len(held), held)


def test_numbers_and_facts_beyond_the_bounds_find_no_item(monkeypatch):
    """If it failed, a shop with an attribute for each item would take memory without bound."""
    monkeypatch.setattr(facts, "MOST_FACTS", 2)
    monkeypatch.setattr(facts, "MOST_NUMBERS", 1)
    index = Facts(1)
    index.put(1, [facts.kind("a"), facts.kind("b"), facts.kind("c")], {"x": 1.0, "y": 1.0})
    assert (index.number(facts.kind("b")), index.number(facts.kind("c"))) == (2, 0)
    assert index.of(1) == ([1, 2], {"x": 1.0})
    index.put(1, [], {"y": 1.0})
    index.put(2, [facts.kind("c")], {})
    assert index.of(1) == ([], {"y": 1.0})
    assert index.number(facts.kind("c"))


def test_parts_of_a_filter_narrow_each_other():
    """If it failed, kinds and categories would widen a condition."""
    films = HasFact((facts.kind("film"),))
    assert whole_condition((), (), films) is films
    assert whole_condition(("x", "y"), ("film",), NOTHING) == AllOf(
        (HasFact((facts.category("x"), facts.category("y"))), films, NOTHING)
    )
    bits = np.zeros(1, np.int64)
    find_rows(EVERYTHING, Facts(1), bits)
    assert bits[0] == -1
    find_rows(NOTHING, Facts(1), bits)
    assert bits[0] == 0


@pytest.mark.parametrize("place", [0, 1, 31, 32, 62, 63])
def test_bits_of_a_word(place):
    """If it failed, the last row of a word would be another, or none."""
    bits = np.zeros(2, np.int64)
    put_bit(bits, 64 + place, True)
    assert lowest_bit(int(bits[1])) == place
    put_bits(bits, np.array([64 + place, 3], np.int32), False)
    assert not bits.any()
