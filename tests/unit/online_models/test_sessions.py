"""Session slots: order, growth through the slabs, late steps, overwriting."""

from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.tables.sessions import MAX_KEPT

SMALL = Limits(max_items=128, max_sessions=8, pairs=64)


def names(engine, number):
    return [engine.item_id(r) for r in engine.session_rows(number)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99), st.integers(0, 60)), max_size=160))
def test_sessions_keep_their_last_steps_at_their_places(steps):
    """A session that outgrows its line or its slab must keep order, late steps included."""
    engine = Engine(SMALL)
    numbers = [engine.open_session() for _ in range(4)]
    kept = {n: [] for n in numbers}
    for s, item, place in steps:
        number, model = numbers[s], kept[numbers[s]]
        at = min(place, len(model))
        engine.learn(number, f"i{item}", at)
        if len(model) < MAX_KEPT:
            model.insert(at, f"i{item}")
        elif at > 0:
            model.insert(at, f"i{item}")
            del model[0]
    for number in numbers:
        assert names(engine, number) == kept[number]


def test_a_new_session_takes_the_slot_of_the_oldest():
    """Memory is bounded: the ninth of eight sessions overwrites the first, and only it."""
    engine = Engine(SMALL)
    numbers = [engine.open_session() for _ in range(9)]
    for n in numbers:
        engine.learn(n, f"i{n}")
    assert names(engine, numbers[0]) == []
    assert [names(engine, n) for n in numbers[1:]] == [[f"i{n}"] for n in numbers[1:]]


def test_an_overwritten_session_learns_nothing_and_votes_for_nothing():
    """A click of a forgotten session must not write into its successor's slot."""
    engine = Engine(SMALL)
    numbers = [engine.open_session() for _ in range(9)]
    engine.learn(numbers[0], "a")
    engine.learn(numbers[0], "b")
    engine.learn(numbers[8], "c")
    clicks = engine.clicks
    engine.learn(numbers[0], "a")
    assert engine.clicks == clicks
    assert names(engine, numbers[8]) == ["c"]
    rows, scores = engine.candidates([engine.row("a")])
    assert engine.row("c") not in rows.tolist()
    assert scores[:, 0].max() == 0


def test_slabs_of_overwritten_sessions_are_used_again():
    """Long sessions for ever must not run the arena dry."""
    engine = Engine(SMALL)
    for _ in range(200):
        number = engine.open_session()
        for i in range(MAX_KEPT):
            engine.learn(number, f"i{i}")
    assert len(names(engine, number)) == MAX_KEPT


def test_an_erased_session_votes_no_more():
    """Who asks to be erased must not go on as somebody's neighbour."""
    engine = Engine(SMALL)
    erased, other = engine.open_session(), engine.open_session()
    for item in ("a", "b"):
        engine.learn(erased, item)
    engine.learn(other, "x")
    engine.forget_session(erased)
    assert names(engine, erased) == []
    _, scores = engine.candidates([engine.row("a")])
    assert scores[:, :4].max() == 0
