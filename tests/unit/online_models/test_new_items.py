"""New items among the candidates: where counts are thin, marked for the ranker, else nowhere."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.content import new_items as module
from online_models.content.new_items import LEAST, NewItems, put_on_lists
from online_models.content.terms import Content, counted
from online_models.content.vectors import ContentVectors
from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import NAMES
from online_models.ranking.new_share import NEW, give_new_share
from online_models.sources.new_items import LIKE, LISTED, NEW_CLICKS, READ, THIN_CLICKS
from online_models.tables.item_rows import DELETED, STAT

LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)
MARKS = [name for name in NAMES if name.startswith("new_")]


def content_of(kind, number):
    """What the items of a kind have in common makes them alike, beside a word each."""
    common = " ".join(f"{kind}{end}" for end in ("er", "ing", "ish"))
    return counted(Content((kind,), title=f"{kind}{number}", description=common))


@pytest.fixture
def shop():
    """Films and shoes, of each kind 40 that were clicked after each other, and 10 new ones."""
    engine = Engine(LIMITS, sample=0)
    engine.begin_content(lambda: 100.0)
    for number in range(50):
        for kind in ("film", "shoe"):
            row = engine.put_item(f"{kind}{number}", categories=(kind, f"n{number % 2}"))
            engine.put_content(row, content_of(kind, number))
    engine.content.refit()
    for start in range(60):
        session = engine.open_session()
        for step in range(60):
            engine.learn(session, f"{('film', 'shoe')[step % 2]}{(start + step) % 40}")
    engine.new_items.renew()
    while engine.new_items.list_next():
        pass
    return engine


def thin(engine, *item_ids):
    """Let the counts hardly know some items."""
    rows = engine.rows_of(item_ids)
    engine.arrays["stats"]["clicks"][rows] = THIN_CLICKS - 1
    return rows


def marked(engine, rows):
    """The new items among the candidates of a session: their features by id."""
    found = engine.candidate_features(rows, -1)
    of = [NAMES.index(name) for name in MARKS]
    return {
        engine.item_id(row): dict(zip(MARKS, found.features[of, place].tolist(), strict=True))
        for place, row in enumerate(found.rows.tolist())
        if found.features[of, place].any()
    }


def answered(engine, rows, k=40, flt=None):
    return [engine.item_id(row) for row in engine.recommend(rows, k, flt=flt).rows]


def test_new_items_like_the_last_one_are_candidates_and_say_how_much(shop):
    """A new item would have no click until somebody searches for it."""
    rows = thin(shop, "film3", "film5")
    found = marked(shop, rows)
    assert len(found) >= NEW
    assert all(name.startswith("film") and int(name[4:]) >= 40 for name in found)
    for name, said in found.items():
        cosines = shop.content.cosines(shop.row(name), np.array(rows))
        on = [row for row in rows if shop.row(name) in shop.arrays["like"]["row"][row]]
        most = max(cosines[rows.index(row)] for row in on)
        assert said["new_like"] == 1
        assert said["new_cosine"] == pytest.approx(most, abs=1e-5)
        assert said["new_beside"] == pytest.approx(
            float(shop.arrays["stats"]["log_clicks"][rows[-1]]), rel=1e-6
        )
    assert set(found) <= set(answered(shop, rows, CANDIDATES))


def test_where_counts_know_what_follows_the_candidates_are_theirs(shop):
    """Each candidate that is new is one less of those that visitors do click."""
    rows = shop.rows_of(["film2", "film3"])
    shop.arrays["stats"]["clicks"][rows] = THIN_CLICKS
    assert marked(shop, rows) == {}
    assert not [name for name in answered(shop, rows, 20) if int(name[4:]) >= 40]


def test_only_the_last_items_are_read(shop):
    """What a visitor looked at an hour ago says little."""
    rows = thin(shop, "film3") + shop.rows_of(["shoe1", "shoe2"][:READ])
    shop.arrays["stats"]["clicks"][rows[1:]] = THIN_CLICKS
    assert marked(shop, rows) == {}


def test_what_counts_have_found_is_not_marked(shop):
    """An item that visitors go on to is not worth less because it is new, too."""
    session = shop.open_session()
    for item in ("film3", "film41"):
        shop.learn(session, item)
    rows = thin(shop, "film3")
    assert "film41" not in marked(shop, rows)
    assert "film41" in answered(shop, rows)


def test_filters_hold_for_new_items(shop):
    """A filter is a promise to the caller, whoever finds the item."""
    rows = thin(shop, "film3")
    found = answered(shop, rows, 40, Filter(("n1",), (shop.row("film43"),)))
    new = [name for name in found if int(name[4:]) >= 40]
    assert new
    assert "film43" not in found
    assert all(int(name[4:]) % 2 for name in new)


@pytest.mark.parametrize("size", [20, CANDIDATES, 75])
def test_a_page_has_each_item_once_and_no_gap(shop, size):
    """What new items push back must be neither lost nor there twice."""
    rows = thin(shop, "film3", "shoe4")
    ranked = shop.recommend(rows, size)
    assert len(set(ranked.rows.tolist())) == len(ranked.rows) == size
    assert ranked.rows.all()


def test_an_item_that_is_clicked_or_deleted_is_new_no_longer(shop):
    """It is in the counts by then; a deleted one may not be shown."""
    rows = thin(shop, "film3")
    first, second, *_ = marked(shop, rows)
    shop.arrays["stats"]["clicks"][shop.row(first)] = NEW_CLICKS
    shop.delete_item(second)
    assert not {first, second} & set(marked(shop, rows))


def test_an_item_that_leaves_is_on_no_list(shop):
    """Another item gets its row: it would be recommended to those who like the one before."""
    before = dict(shop.rows.items())
    shop._sweep.evict(85)
    gone = [row for name, row in before.items() if name not in shop.rows]
    assert len(gone) == 15
    listed = shop.arrays["like"]["row"]
    assert not np.isin(listed, gone).any()
    assert listed.any()
    gaps = (listed[:, :-1] == 0) & (listed[:, 1:] != 0)
    assert not gaps.any()


def test_without_content_nothing_changes(shop):
    """A shop without a catalogue must not pay for it, nor get other answers."""
    rows = thin(shop, "film2", "film3")
    shop.arrays["like"][:] = 0
    before = shop.recommend(rows, 20)
    assert marked(shop, rows) == {}
    shop.content = shop.new_items = None
    after = shop.recommend(rows, 20)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.scores, after.scores)


# ---- their share of the candidates

SHARING = Engine(Limits(max_items=64, max_sessions=64, pairs=64), sample=0)


@settings(max_examples=100)
@given(st.integers(0, 60), st.integers(CANDIDATES, 100), st.integers(0, 2**32 - 1))
def test_the_share_is_that_of_plain_python(new, n, seed):
    """A candidate of the counts would be lost, or an item be answered twice."""
    rng, a = np.random.default_rng(seed), SHARING.arrays
    size = 120
    scores = rng.permutation(size).astype(np.float32)
    cosines = rng.integers(3, 9, size) / 10
    order = np.argsort(-scores, kind="stable")[:n]
    a["pool_score"][:size], a["order"][:n] = scores, order
    a["new_cosines"][:size] = cosines
    a["found"]["new_first"], a["found"]["pool_size"] = size - new, size
    give_new_share(SHARING._state, n, CANDIDATES)
    others = [p for p in range(size - new, size) if p not in order[:CANDIDATES]]
    chosen = sorted(others, key=lambda p: -cosines[p])[:NEW]
    first = CANDIDATES - len(chosen)
    behind = [*order[first:CANDIDATES], *(p for p in order[CANDIDATES:] if p not in chosen)]
    expected = [*order[:first], *sorted(chosen, key=lambda p: -scores[p]), *behind][:n]
    assert a["order"][:n].tolist() == [int(p) for p in expected]


# ---- the lists


def as_python(lists, clicks, row, rows, cosines):
    """What `put_on_lists` does, on lists of pairs (row, cosine)."""

    def put(owner, new, cosine):
        kept = [e for e in lists[owner] if e[0] != new and clicks[e[0]] < NEW_CLICKS]
        at = len(kept)
        while at > 0 and kept[at - 1][1] <= cosine:
            at -= 1
        lists[owner] = [*kept[:at], (new, cosine), *kept[at:]][:LISTED]

    for other, cosine in zip(rows, cosines, strict=True):
        if clicks[row] < NEW_CLICKS and cosine >= LEAST:
            put(other, row, cosine)
            if clicks[other] < NEW_CLICKS:
                put(row, other, cosine)


@settings(max_examples=60)
@given(st.data())
def test_lists_are_those_of_plain_python(data):
    """A new item would push out one that is more like the owner, or be listed twice."""
    n = 16
    stats, lists = np.zeros(n, STAT), np.zeros((n, LISTED), LIKE)
    wanted = {row: [] for row in range(n)}
    for _ in range(data.draw(st.integers(1, 30))):
        changed = data.draw(st.integers(1, n - 1))
        stats["clicks"][changed] = data.draw(st.integers(0, NEW_CLICKS))
        row = data.draw(st.integers(1, n - 1))
        rows = data.draw(st.lists(st.integers(1, n - 1).filter(lambda r, row=row: r != row),
                                  unique=True, max_size=n))  # fmt: skip
        cosines = sorted((data.draw(st.integers(0, 10)) / 10 for _ in rows), reverse=True)
        exact = np.array(cosines, np.float32)
        put_on_lists(lists, stats, row, np.array(rows, np.int64), exact)
        as_python(wanted, stats["clicks"], row, rows, exact.tolist())
    for owner, expected in wanted.items():
        found = [(int(e["row"]), float(e["cosine"])) for e in lists[owner] if e["row"]]
        assert found == expected, owner


@pytest.fixture
def known():
    arrays = {"stats": np.zeros(200, STAT), "like": np.zeros((200, LISTED), LIKE)}
    content = ContentVectors(200, lambda: 100.0)
    items = NewItems(content, arrays)
    for row in range(1, 31):
        content.put(row, content_of("film" if row % 2 else "shoe", row))
        items.note(row)
    return items, content, arrays


def test_items_wait_until_there_is_a_basis(known):
    """Before it, nobody knows what is like what: they would be forgotten."""
    items, content, arrays = known
    assert not items.list_next()
    assert len(items) == 30
    content.refit()
    while items.list_next():
        pass
    assert len(items) == 0
    assert set(arrays["like"]["row"][3]) <= set(range(1, 31, 2)) - {3}


def test_lists_are_filled_again_as_their_items_are_clicked(known):
    """The first eight of a kind would be the last ones that anybody hears of."""
    items, content, arrays = known
    content.refit()
    while items.list_next():
        pass
    listed = arrays["like"]["row"][3].copy()
    arrays["stats"]["clicks"][listed] = NEW_CLICKS
    items.renew()
    while items.list_next():
        pass
    assert set(arrays["like"]["row"][3]) - {0} == set(range(1, 31, 2)) - {3, *listed.tolist()}


def test_new_items_come_before_those_that_are_listed_again(known):
    """A whole catalogue takes minutes: what is put now would wait for it."""
    items, content, arrays = known
    content.refit()
    while items.list_next():
        pass
    items.renew()
    content.put(101, content_of("film", 101))
    items.note(101)
    assert items.list_next()
    assert 101 in arrays["like"]["row"][3]
    assert len(items) == 30


def test_what_waits_is_bounded(known, monkeypatch):
    """A catalogue of millions would be in memory once more."""
    _, content, arrays = known
    content.refit()
    monkeypatch.setattr(module, "WAITING", 10)
    fresh = NewItems(content, arrays)
    for row in range(1, 31):
        fresh.note(row)
    assert list(fresh._waiting) == list(range(21, 31))
    fresh.renew()
    assert sorted(fresh._again) == list(range(21, 31))
    arrays["stats"]["flags"][25] = DELETED
    while fresh.list_next():
        pass
    assert not (arrays["like"]["row"] == 25).any()
    assert math.isclose(arrays["like"]["cosine"].max(), 1, abs_tol=1)
