"""Pages without a session: popularity by context against a count by hand, and its bounds."""

import math
import random

import numpy as np
import pytest

from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.sources import context_popularity
from online_models.sources.context_popularity import (
    ENTRY_BYTES,
    MOST_BYTES,
    MOST_ITEMS,
    MOST_VALUES,
    OPENINGS,
    PLACES,
    PRIOR,
    SAME_SHARE,
    ContextCounts,
    opening,
)
from online_models.sources.popularity import DECAY_LONG
from settings.presets import PRESETS

LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)
DE, FR = ("", "DE", ""), ("", "FR", "")


def learn(engine, said, item_id, times=1):
    for _ in range(times):
        engine.learn(engine.open_session(), item_id, said=said)


def names(engine, rows):
    return [engine.ids[row] for row in rows]


def page(engine, said=(), k=5, flt=None, items=()):
    return names(engine, engine.recommend(list(items), k, flt=flt, said=said).rows)


@pytest.fixture
def shop():
    """Everybody clicks a and b; in France, f, and in Germany, g."""
    engine = Engine(LIMITS, sample=0, remote=True)
    for _ in range(200):
        for said, own in ((DE, "g"), (FR, "f"), ((), "b")):
            learn(engine, said, "a", 2)
            learn(engine, said, own)
    return engine


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_contexts_differ_at_the_rates_of_each_preset(preset):
    """After a hundred million clicks, each share must still be that of popularity's own decay."""
    engine = Engine(LIMITS, sample=0, remote=True)
    engine.set_rates(preset.decay_long, preset.decay_short)
    engine.arrays["counters"]["clock"] = 100_000_000
    for _ in range(100):
        for said, own in ((DE, "g"), (FR, "f"), ((), "b")):
            learn(engine, said, "a", 2)
            learn(engine, said, own)
    assert page(engine, FR, k=2) == ["a", "f"]
    assert page(engine, DE, k=2) == ["a", "g"]


def by_hand(clicks, said):
    """Return the items in the order of the documented formula, from a list of (said, item)."""
    end = len(clicks)

    def count(wanted):
        decayed = [
            math.exp((at - end) / DECAY_LONG) for at, click in enumerate(clicks) if wanted(*click)
        ]
        return sum(decayed)

    everything = DECAY_LONG * -math.expm1(-end / DECAY_LONG)
    scores = {}
    for item in {item for _, item in clicks}:
        share = max(count(lambda _, i, item=item: i == item), 0.5) / everything
        scores[item] = math.log(share)
        for place, text in enumerate(said):
            total = count(lambda s, _, place=place, text=text: bool(s) and s[place] == text)
            if text and total:
                of = count(
                    lambda s, i, item=item, place=place, text=text: (
                        bool(s) and s[place] == text and i == item
                    )
                )
                scores[item] += math.log((of + PRIOR * share) / ((total + PRIOR) * share))
    return sorted(scores, key=lambda item: -scores[item]), scores


def test_the_order_is_that_of_a_count_by_hand():
    """The formula of the docs is the one that orders the page."""
    pick = random.Random(1)
    engine = Engine(LIMITS, sample=0, remote=True)
    clicks = []
    for _ in range(600):
        said = pick.choice([(), DE, FR, ("mobile", "DE", ""), ("desktop", "FR", "app")])
        favourite = f"i{pick.randrange(12)}" if said else f"i{pick.randrange(20)}"
        item = f"{favourite}{said[1]}" if said and pick.random() < 0.5 else favourite
        clicks.append((said, item))
        learn(engine, said, item)
    for said in (DE, ("mobile", "DE", ""), ("mobile", "FR", "app"), ("watch", "DE", "")):
        rows = opening(engine.contexts, said, engine.arrays, engine.rows)
        order, scores = by_hand(clicks, said)
        found = [scores[name] for name in names(engine, rows)]
        assert found == pytest.approx([scores[name] for name in order], abs=1e-6)


def test_a_first_page_is_that_of_its_country(shop):
    """A visitor from France is shown what France clicks; everybody's favourites stay above."""
    assert page(shop, FR)[:2] == ["a", "f"]
    assert page(shop, DE)[:2] == ["a", "g"]
    assert page(shop, FR).index("f") < page(shop, FR).index("g")
    assert sorted(page(shop, FR)) == sorted(page(shop)) == ["a", "b", "f", "g"]


def test_what_tells_nothing_changes_nothing(shop):
    """A page must not get worse for a context that is unknown, thin, or like all others."""
    plain = page(shop)
    assert page(shop, ("", "NZ", "")) == plain
    learn(shop, ("", "NZ", ""), "g")
    assert page(shop, ("", "NZ", ""))[0] == plain[0]
    assert page(shop, ("", "", "")) == page(shop)


def test_a_session_counts_more_than_the_context(shop):
    """The context orders pages of which nothing else is known, and no others."""
    learn(shop, FR, "f")
    assert page(shop, FR, items=[shop.row("g")]) == page(shop, DE, items=[shop.row("g")])


def test_the_page_keeps_to_the_filter(shop):
    """Sold out is sold out in France, too."""
    assert "f" not in page(shop, FR, flt=Filter(excluded_rows=(shop.row("f"),)))
    shop.put_item("f", False, (), {}, "")
    assert "f" not in page(shop, FR)
    shop.delete_item("a")
    assert "a" not in page(shop, FR)


def test_answers_without_contexts_are_as_before(shop):
    """A shop that sends no context pays nothing and sees nothing."""
    plain = Engine(LIMITS, sample=0, remote=True)
    for _ in range(200):
        for own in "gfb":
            learn(plain, (), "a", 2)
            learn(plain, (), own)
    for k in (1, 4, 20):
        mine, other = shop.recommend([], k), plain.recommend([], k)
        assert names(shop, mine.rows) == names(plain, other.rows)
        assert np.array_equal(mine.scores, other.scores)
    assert list(plain.contexts.dump()) == []


def test_counts_are_bounded_and_the_largest_stay():
    """A robot that invents countries and items must not take memory, nor a shop's countries."""
    counts = ContextCounts()
    pick = random.Random(2)
    for clock in range(30_000):
        counts.learn(DE, f"i{pick.randrange(40)}", clock)
        counts.learn((f"d{clock}", f"c{clock}", f"h{clock}"), f"j{clock}", clock)
        if clock % 3 == 0:
            counts.learn(DE, f"j{clock}", clock)
    rows = list(counts.dump())
    assert sum(1 for *_, item, _ in rows if not item) <= PLACES * MOST_VALUES
    assert len(rows) * ENTRY_BYTES < MOST_BYTES
    [(total, items)] = counts.under(DE, 30_000)
    assert len(items) <= 2 * MOST_ITEMS
    assert {f"i{n}" for n in range(40)} <= set(items)
    assert 0.6 * DECAY_LONG < total < 1.4 * DECAY_LONG


def test_a_snapshot_keeps_the_counts(shop, tmp_path):
    """After a restart, France is still France; larger limits change nothing."""
    shop.snapshot(tmp_path / "models")
    again = Engine.restore(tmp_path / "models")
    assert list(again.contexts.dump()) == list(shop.contexts.dump())
    larger = again.resized(Limits(max_items=1_024, max_sessions=512, pairs=512))
    assert page(larger, FR) == page(shop, FR)
    larger_again = Engine.restore(tmp_path / "models", Limits(1_024, 512, pairs=512))
    assert page(larger_again, DE) == page(shop, DE)


def test_items_that_have_left_are_in_no_page(shop):
    """Their rows may be those of other items."""
    shop.contexts.learn(FR, "gone", shop.clicks)
    assert page(shop, FR, k=20) == page(shop, FR)


def test_asking_changes_nothing(shop):
    """Prediction never mutates: the same question gets the same answer."""
    before = list(shop.contexts.dump())
    assert page(shop, ("tv", "FR", "app")) == page(shop, ("tv", "FR", "app"))
    assert list(shop.contexts.dump()) == before


def test_a_count_is_pruned_to_the_items_clicked_most(monkeypatch):
    """With thousands of items in a country, its favourites must be among those that are kept."""
    monkeypatch.setattr(context_popularity, "MOST_ITEMS", 2)
    counts = ContextCounts()
    for clock, item in enumerate("aaabbbcde"):
        counts.learn(FR, item, clock)
    [(_, items)] = counts.under(FR, 9)
    assert set(items) == {"b", "a"}


def test_rows_are_found_again_after_a_thousandth_of_the_clicks(shop):
    """Each first page took a millisecond; kept for ever, it would be that of yesterday."""

    def ask():
        return opening(shop.contexts, FR, shop.arrays, shop.rows)

    first, allowed = ask(), shop.clicks // SAME_SHARE
    assert allowed >= 1
    for _ in range(allowed):
        learn(shop, FR, "new")
        assert ask() is first
    learn(shop, FR, "new")
    second = ask()
    assert shop.row("new") in second
    assert shop.row("new") not in first
    shop.have_left()
    assert ask() is not second, "rows may be those of other items"


def test_kept_pages_are_bounded(shop):
    """Who asks may say anything of the visitor."""
    for n in range(OPENINGS + 9):
        opening(shop.contexts, ("", "FR", f"campaign {n}"), shop.arrays, shop.rows)
    assert len(shop.contexts._openings) == OPENINGS
