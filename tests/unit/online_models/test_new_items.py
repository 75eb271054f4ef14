"""New items on a page: where counts are thin, in their own order, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.content import new_items as module
from online_models.content.new_items import FILL_SHARE, NEW_CLICKS, PAGE_SHARE, NewItems, new_share
from online_models.content.terms import Content, counted
from online_models.content.vectors import ContentVectors
from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.ranking.new_places import place_new
from online_models.tables.item_rows import STAT, UNAVAILABLE

LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)


def content_of(kind, number):
    """What the items of a kind have in common makes them alike (`LIKE`), beside a word each."""
    common = " ".join(f"{kind}{end}" for end in ("er", "ing", "ish"))
    return counted(Content((kind,), title=f"{kind}{number}", description=common))


@pytest.fixture
def shop():
    """Films and shoes that were clicked, all after each other; of each kind, new ones."""
    engine = Engine(LIMITS)
    engine.begin_content(lambda: 100.0)
    for number in range(40):
        for kind in ("film", "shoe"):
            row = engine.put_item(f"{kind}{number}", categories=(kind, f"n{number % 2}"))
            engine.put_content(row, content_of(kind, number))
    engine.content.refit()
    for start in range(60):
        session = engine.open_session()
        for step in range(12):
            engine.learn(session, f"{('film', 'shoe')[step % 2]}{(start + step) % 30}")
    return engine


def answered(engine, item_ids, k=20, flt=None):
    """Answer twice: the first one asks for the list that the second one reads."""
    rows = engine.rows_of(item_ids)
    without = engine.recommend(rows, k, flt=flt)
    engine.new_items.lists.make(10)
    ranked = engine.recommend(rows, k, flt=flt)
    assert len(set(ranked.rows.tolist())) == len(ranked.rows) == len(without.rows)
    assert (np.diff(ranked.scores) <= 0).all()
    return [engine.item_id(row) for row in ranked.rows], ranked, without


def new(item_ids):
    """Those of the items that were never clicked."""
    return [item_id for item_id in item_ids if int(item_id[4:]) >= 30]


def test_a_page_that_counts_cannot_fill_has_new_items_that_are_like_the_last(shop):
    """A visitor of a new item would get the same popular items as everybody."""
    ids, ranked, without = answered(shop, ["film35"])
    assert ids[0] == "film35"
    assert len(new(ids[1:])) == (20 - 1) // FILL_SHARE == 4
    assert all(item_id.startswith("film") for item_id in ids[-4:])
    assert new(ids[-4:]) == ids[-4:]
    assert ranked.n_ranked == without.n_ranked == 1
    np.testing.assert_array_equal(ranked.rows[:-4], without.rows[:-4])
    assert not new([shop.item_id(row) for row in without.rows[1:]])


def test_where_counts_know_what_follows_the_page_is_theirs(shop):
    """Each place for a new item is one less for what visitors do click."""
    shop.arrays["stats"]["clicks"][shop.row("film3")] = NEW_CLICKS
    _, ranked, without = answered(shop, ["film2", "film3"], 10)
    assert without.n_ranked == 10
    np.testing.assert_array_equal(ranked.rows, without.rows)
    np.testing.assert_array_equal(ranked.scores, without.scores)


def test_where_counts_are_thin_the_last_places_are_for_new_items(shop):
    """The last item is hardly known: what follows it is told by what it is as well."""
    shop.arrays["stats"]["clicks"][shop.row("film3")] = 0
    ids, ranked, without = answered(shop, ["film2", "film3"], PAGE_SHARE)
    assert without.n_ranked == PAGE_SHARE
    assert len(new(ids)) == 1
    assert new(ids) == ids[-1:]
    np.testing.assert_array_equal(ranked.rows[:-1], without.rows[:-1])


def test_filters_hold_for_new_items(shop):
    """A filter is a promise to the caller, whoever fills the page."""
    flt = Filter(("n1",), (shop.row("film33"),))
    ids, _, _ = answered(shop, ["film35"], 20, flt)
    assert len(new(ids)) > 1
    assert "film33" not in ids
    assert all(int(item_id[4:]) % 2 for item_id in ids)


def test_a_page_that_nothing_can_fill_has_no_gap(shop):
    """A filter may leave fewer items than the page has places."""
    allowed = {shop.row(f"film{n}") for n in (1, 2, 35)}
    excluded = tuple(row for row in range(1, 81) if row not in allowed)
    ids, _, _ = answered(shop, ["film36"], 20, Filter(excluded_rows=excluded))
    assert sorted(ids) == ["film1", "film2", "film35"]


def test_an_item_without_content_is_in_no_list(shop):
    """It would take the place of one that may be like another."""
    before = len(shop.new_items)
    row = shop.put_item("bare")
    shop.put_content(row, counted(Content()))
    assert len(shop.new_items) == before
    shop.put_content(row, content_of("film", 99))
    assert len(shop.new_items) == before + 1
    shop.put_content(row, counted(Content()))
    assert len(shop.new_items) == before


def test_without_content_nothing_changes(shop):
    """A shop without a catalogue must not pay for it, nor get other answers."""
    rows = shop.rows_of(["film2", "film35"])
    before = shop.recommend(rows, 20)
    shop.content = shop.new_items = None
    after = shop.recommend(rows, 20)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.scores, after.scores)


@pytest.mark.parametrize(
    ("size", "n_ranked", "clicks", "expected"),
    [
        (20, 20, 100, (20, 0)),
        (20, 20, 1, (20, 0)),
        (20, 20, 0, (19, 1)),
        (20, 17, 0, (20, 0)),
        (20, 12, 100, (18, 2)),
        (20, 0, 0, (15, 5)),
        (1, 1, 0, (1, 0)),
        (1, 0, 0, (1, 0)),
    ],
)
def test_the_share_of_a_page(size, n_ranked, clicks, expected):
    """Of a page of one item, nothing is taken; of an empty one, a quarter."""
    assert new_share(size, n_ranked, clicks) == expected


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), unique=True, max_size=20),
    st.lists(st.integers(1, 60), max_size=12),
    st.integers(1, 20),
    st.integers(0, 12),
    st.data(),
)
def test_places_are_those_of_plain_python(answer, rows, size, most, data):
    """An item would be on a page twice, or one be lost."""
    answer = answer[:size]
    at = data.draw(st.integers(0, len(answer)))
    engine = PLACING
    engine._request.write([1], size)
    a = engine.arrays
    a["answer"][: len(answer)] = answer
    a["answer_score"][: len(answer)] = -np.arange(len(answer))
    put = place_new(engine._state, len(answer), at, most, np.array(rows, np.int64))
    fresh = [row for row in dict.fromkeys(rows) if row not in answer][: min(most, size - at)]
    expected = [*answer[:at], *fresh, *answer[at:]][:size]
    assert put == len(fresh)
    assert a["answer"][: len(expected)].tolist() == expected


PLACING = Engine(Limits(max_items=64, max_sessions=64, pairs=64))
for _number in range(60):
    PLACING.put_item(f"i{_number}")


# ---- which items are new


@pytest.fixture
def known():
    stats = np.zeros(200, STAT)
    content = ContentVectors(200, lambda: 100.0)
    items = NewItems(content, stats, lambda: 100.0)
    for row in range(1, 31):
        content.put(row, content_of("film" if row % 2 else "shoe", row))
        items.note(row)
    content.refit()
    return items, stats


def like(items, row):
    return items._like(row).tolist()


def test_only_new_items_that_are_like_it_are_listed(known):
    """A clicked one is in the counts; one that may not be shown would take a place."""
    items, stats = known
    assert set(like(items, 3)) == set(range(1, 31, 2)) - {3}
    stats["clicks"][5] = NEW_CLICKS
    stats["flags"][7] = UNAVAILABLE
    items.drop(9)
    assert set(like(items, 3)) == set(range(1, 31, 2)) - {3, 5, 7, 9}
    assert len(items) == 29
    items.forget_clicked()
    assert len(items) == 28
    items.note(5)
    assert len(items) == 28


def test_of_equals_the_least_clicked_then_the_last_added_come_first(known):
    """Of a whole shelf of equal items, the newest would never be shown."""
    items, stats = known
    for row in (101, 102, 103):
        items._content.put(row, counted(Content(("film",))))
        items.note(row)
    assert [row for row in like(items, 3) if row > 100] == [103, 102, 101]
    stats["clicks"][103] = 1
    assert [row for row in like(items, 3) if row > 100] == [102, 101, 103]


def test_new_items_are_bounded(known, monkeypatch):
    """A whole catalogue is new at first: comparing all of it for each list would take a core."""
    items, _ = known
    monkeypatch.setattr(module, "MOST_NEW", 10)
    for row in range(31, 60):
        items.note(row)
    assert len(items) <= 30
    fresh = NewItems(items._content, items._stats, lambda: 100.0)
    for row in range(1, 31):
        fresh.note(row)
    assert list(fresh._new) == list(range(21, 31))
