"""Held-back items: what is held back, and what the figures compare."""

import numpy as np
import pytest

from evaluation.datasets import Session
from evaluation.held_back import FIRST_CLICKS, HeldBack, every_tenth, hold_back, without_clicks_on
from nextclick import Item

ITEMS = [
    Item(
        f"i{n:02}",
        categories=("even" if n % 2 == 0 else "odd",),
        title="lonely" if n in (2, 20) else "",
    )
    for n in range(40)
]


def test_every_tenth_item_is_held_back_and_its_clicks_are_gone():
    """A held-back item that is clicked in training is not new."""
    held = every_tenth(ITEMS)
    assert held == {"i00", "i10", "i20", "i30"}
    assert every_tenth(ITEMS, 5).isdisjoint(held)
    sessions = [Session("a", ("i00", "i01", "i10"), (1, 2, 3)), Session("b", ("i20",), (4,))]
    assert without_clicks_on(sessions, held) == [Session("a", ("i01",), (2,))]


def test_figures_compare_what_was_held_back_and_all_others():
    """A gain on new items would hide a loss on all others."""
    held = np.array([True, True, False, False])
    ranks = [np.array(of) for of in ([2, 0, 1, 0], [0, 0, 1, 4], [0, 5, 0, 0])]
    figures = HeldBack(held, *ranks).figures()
    assert figures["cases_held_back"] == 2
    assert (figures["hit_rate_content"], figures["mrr_content"]) == (0.5, 0.25)
    assert (figures["hit_rate_without"], figures["hit_rate_popular"]) == (0, 0.5)
    assert figures["hit_rate_others_gain"] == -0.5
    assert figures["mrr_others_gain"] == pytest.approx(-0.125)
    assert figures["hit_rate_others_gain_95"] > 0
    assert (figures["hit_rate_all"], figures["hit_rate_all_gain"]) == (0.5, 0)


def test_new_items_that_are_like_the_last_one_are_found():
    """The source would be there and change nothing."""
    train = [Session(f"s{n}", (f"i{n % 39 + 1:02}",)) for n in range(60)]
    test = [Session("t", ("i02", "i20")), Session("u", ("i03", "i05"))]
    found = hold_back(train, test, ITEMS)
    assert found.held.tolist() == [True, False]
    assert found.content[0] > 0
    assert found.without[0] == 0


def test_test_clicks_are_learned_only_where_that_is_asked_for():
    """A static figure would know the clicks that it is to predict."""
    train = [Session(f"s{n}", (f"i{n % 39 + 1:02}",)) for n in range(60)]
    test = [Session(f"t{n}", ("i02", "i20")) for n in range(5)]
    static = hold_back(train, test, ITEMS)
    prequential = hold_back(train, test, ITEMS, learn=True)
    assert len(set(static.without.tolist())) == 1
    assert prequential.without[-1] == 1


def test_only_the_first_clicks_of_a_held_back_item_count_as_such():
    """An item that counts know by now would show what the counts are worth, not the content."""
    train = [Session(f"s{n}", (f"i{n % 39 + 1:02}",)) for n in range(60)]
    test = [Session(f"t{n}", ("i02", "i20")) for n in range(FIRST_CLICKS + 2)]
    assert hold_back(train, test, ITEMS).held.all()
    assert hold_back(train, test, ITEMS, learn=True).held.sum() == FIRST_CLICKS
