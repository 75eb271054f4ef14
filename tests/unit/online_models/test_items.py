"""Which items get a row, and the bounds of the tables."""

from pathlib import Path

import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.tables.items import PENDING
from tests.processor_time import least_seconds


def test_an_unknown_item_has_no_row_and_asking_gives_none():
    """Answering must not fill the table with what callers ask for."""
    engine = Engine(Limits(max_items=8, max_sessions=8, pairs=8))
    assert engine.row("x") == 0
    engine.recommend([engine.row("x")], 5)
    assert engine.row("x") == 0


def test_a_robots_invented_ids_do_not_fill_the_table():
    """Ids seen in one session hold at most their share of rows; real items still come in."""
    engine = Engine(Limits(max_items=40, max_sessions=64, pairs=8, provisional_share=0.25))
    robot = engine.open_session()
    for i in range(1_000):
        engine.learn(robot, f"bot{i}")
    assert len(engine.rows) <= 10
    for _ in range(2):
        engine.learn(engine.open_session(), "real")
    assert engine.row("real") > 0
    assert engine.put_item("catalogue") > 0


def test_seeing_an_item_in_a_second_session_frees_its_provisional_place():
    """Otherwise a busy shop would use up the share with its own items."""
    engine = Engine(Limits(max_items=40, max_sessions=64, pairs=8, provisional_share=0.25))
    for i in range(10):
        engine.learn(engine.open_session(), f"i{i}")
        engine.learn(engine.open_session(), f"i{i}")
    assert engine.provisional == 0
    engine.learn(engine.open_session(), "next")
    assert engine.row("next") > 0


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_beside_a_catalogue_two_sessions_confirm_what_they_click_beside_confirmed_items(share):
    """Not every shop's catalogue has all items; robots click what they invent beside more of it."""
    limits = Limits(max_items=40, max_sessions=64, pairs=8, provisional_share=share)
    engine = Engine(limits, sample=0)
    engine.put_item("put")

    def click(*items):
        session = engine.open_session()
        for item in items:
            engine.learn(session, item)
        row = engine.row(items[-1])
        return bool(row) and engine.is_confirmed(row)

    assert [click("bot"), click("bot0", "bot"), click("bot1", "bot")] == [False] * 3
    assert [click("put", "real"), click("put", "real")] == [False, True]
    assert [click("next"), click("real", "next")] == [False, True]
    engine.delete_item("put")
    assert [click("alone"), click("alone")] == [False, True]


def test_a_full_table_takes_new_items_in_and_goes_on():
    """The table's limit holds, the newest items have rows, and a lost row does no harm."""
    engine = Engine(Limits(max_items=4, max_sessions=8, pairs=8, provisional_share=1.0))
    number = engine.open_session()
    for i in range(10):
        engine.learn(number, f"i{i}")
    assert len(engine.ids) - 1 == 4
    assert engine.row("i9") > 0
    assert engine.row("i0") == 0
    assert engine.put_item("more") > 0
    assert len(engine.session_rows(number)) == 10
    assert len(engine.recommend(engine.session_rows(number), 4).rows) == 4


def test_items_stay_useful_when_the_arenas_are_full():
    """Without room for a ring or rules an item keeps its popularity; nothing breaks."""
    limits = Limits(max_items=64, max_sessions=64, pairs=8, rules_per_item=1, ring_per_item=1)
    engine = Engine(limits)
    for s in range(60):
        number = engine.open_session()
        for i in range(8):
            engine.learn(number, f"i{(s * 7 + i * 3) % 50}")
    answer = engine.recommend([engine.row("i1")], 20)
    assert len(answer.rows) == 20


@pytest.mark.parametrize("bad", [{"max_sessions": 3}, {"pairs": 0}, {"max_items": 0}])
def test_limits_that_the_layout_cannot_hold_are_refused(bad):
    """Slots are numbers modulo a power of two: another size would mix sessions up."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        Limits(**bad)


def test_the_docs_tell_how_many_deleted_ids_are_remembered():
    """An operator who deletes more than that must know what a click on one may do."""
    told = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    assert f"some {PENDING:,} of each" in told


def test_the_next_deleted_item_to_leave_is_found_at_once():
    """After a catalogue of 200,000 items was deleted, each that left took half a millisecond."""
    deleted = Engine(Limits(max_items=64, max_sessions=64, pairs=64), sample=0).deleted
    deleted.update(dict.fromkeys(range(1 << 18)))

    def drop_next():
        del deleted[next(iter(deleted))]

    at_first = least_seconds(drop_next, runs=50)
    for row in range(1_000, 200_000):
        del deleted[row]
    for row in range(50, 1_000):
        del deleted[row]
    # In a plain dictionary it was a hundred times that, and more.
    assert least_seconds(drop_next, runs=50) < 20 * at_first
