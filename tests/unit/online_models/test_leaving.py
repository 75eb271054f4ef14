"""Items leave a full table, and nothing refers to their rows any more."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.engine import Engine, Filter
from online_models.engine.snapshot import KEPT
from online_models.memory.layout import Limits
from online_models.sources.rules import PRIOR, RULE_SLABS
from online_models.sweep import MOST_PLACES, phases_of
from online_models.tables.item_rows import IN_CATALOGUE
from tests.processor_time import floor_seconds, least_seconds

LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)


def finish(engine):
    """Run the sweep that is under way to its end."""
    while engine._sweep.active:
        engine._sweep.step(1_000)


def bytes_of(engine):
    """What names rows, and what is by row."""
    out = {}
    for table in (t for t in KEPT if t.forget or t.by_row):
        array = engine.arrays[table.name].copy()
        if table.name == "items":
            array["pool"] = 0
        if table.name == "sessions":
            array["sim"] = 0
        out[table.name] = array.tobytes()
    return out


def check(engine):
    """Nothing refers to a free row; every row is in use, leaving or free."""
    rows, leaving, free = set(engine.rows.values()), set(engine.leaving), set(engine.free)
    assert len(rows) + len(leaving) + len(free) == len(rows | leaving | free)
    assert rows | leaving | free == set(range(1, len(engine.ids)))
    assert all(engine.ids[row] == item for item, row in engine.rows.items())
    a = engine.arrays
    assert a["becomes"][sorted(rows)].tolist() == sorted(rows)
    assert set(np.flatnonzero(a["becomes"]).tolist()) == rows
    assert engine.provisional == sum(not engine.is_confirmed(row) for row in rows)
    assert engine.in_catalogue == int((a["stats"]["flags"] & IN_CATALOGUE > 0).sum())
    numbers = a["categories"][a["categories"] > 0]
    assert set(numbers.tolist()) == set(engine.categories.numbers.values())
    if engine._sweep.active:
        return
    gone = np.array(sorted(free), np.int64)
    named = [a["popular"][: a["counters"]["popular"][0]], a["recent_clicks"]]
    named.append(a["trending"][: a["counters"]["trending"][0]])
    kept = engine.limits.max_sessions
    sessions = range(max(engine.next_session - kept, 0), engine.next_session)
    named += [engine.session_rows(number) for number in sessions]
    for row in range(1, len(engine.ids)):
        it = a["items"][row]
        size = RULE_SLABS[it["rules_slab"]]
        listed = a["rules"]["item"][it["rules"] : it["rules"] + size]
        end = np.flatnonzero(np.append(listed, 0) == 0)[0]
        assert not listed[end:].any()
        named.append(listed)
    pairs = a["pairs"][a["pairs"]["key"] > 0]
    named += [pairs["key"] >> 32, pairs["key"] & 0xFFFFFFFF, pairs["items"].reshape(-1)]
    for some in named:
        assert not np.isin(some, gone).any()
    for name in ("items", "item_tokens", "context_vectors", "target_vectors", "has_vectors"):
        entries = a[name][gone].copy()
        if name == "items":
            entries["pool"] = 0
        assert not entries.view(np.uint8).any()
    assert (a["stats"]["clicks"][gone] == 0).all()
    # Sweeping once more finds nothing: this holds for every table that declares how to forget.
    before = bytes_of(engine)
    for phase in phases_of(engine, engine._state):
        phase.forget(0, phase.places())
    assert bytes_of(engine) == before


def churn(engine, days, seed=0, a_day=40, sessions=60):
    """Sessions over catalogues that succeed one another: neighbours follow each other."""
    rng = np.random.default_rng(seed)
    for day in range(days):
        first = day * a_day // 4
        for _ in range(sessions):
            number = engine.open_session()
            at = int(rng.integers(a_day))
            for step in range(3):
                engine.learn(number, f"i{first + (at + step) % a_day}")
            if number % 60 == 0:
                check(engine)


@pytest.mark.parametrize("sample", [0, 1])
def test_rows_are_used_again_and_nothing_refers_to_them_before(sample):
    """A reference to a row that another item has got would be evidence about the wrong item."""
    engine = Engine(LIMITS, sample=sample)
    churn(engine, days=12 if sample else 30)
    assert len(engine.ids) <= LIMITS.max_items + 1
    last = 12 if sample else 30
    named = [f"i{(last - 1) * 10 + i}" for i in range(40)]
    assert sum(engine.row(item) > 0 for item in named) > 36
    answer = engine.recommend([engine.row(named[5])], 20)
    assert named[6] in [engine.item_id(row) for row in answer.rows]
    assert set(answer.rows.tolist()) <= set(engine.rows.values())


def test_a_table_with_a_quarter_of_the_items_hits_nearly_as_often():
    """Items that are worth least leave, so the current catalogue is known."""
    hits = []
    for items in (128, 1_024):
        engine = Engine(Limits(max_items=items, max_sessions=1_024, pairs=1_024), sample=0)
        rng = np.random.default_rng(0)
        hit = 0
        for day in range(40):
            for _ in range(100):
                number = engine.open_session()
                at = int(80 * rng.random() ** 2)
                for step in range(3):
                    name = f"i{day * 10 + (at + step) % 80}"
                    shown = engine.recommend(engine.session_rows(number), 5, number).rows
                    hit += day > 10 and engine.row(name) in shown
                    engine.learn(number, name)
        hits.append(hit)
    assert len(engine.rows) > 4 * 100
    assert hits[0] > 0.9 * hits[1]


def test_a_snapshot_in_the_middle_of_a_sweep_goes_on_identically(tmp_path):
    """A restart must not change which items leave."""
    engine = Engine(Limits(max_items=512, max_sessions=1 << 12, pairs=64), sample=0)
    number = engine.open_session()
    i = 0
    while not (engine._sweep.active and engine._sweep.phase > 0):
        engine.put_item(f"i{i}", categories=(f"c{i}", "all"))
        engine.learn(number if i % 3 else engine.open_session(), f"i{i}")
        i += 1
        assert i < 2_000
    engine.snapshot(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    for e in (engine, restored):
        churn(e, days=8)
    assert bytes_of(restored) == bytes_of(engine)
    assert restored.rows == engine.rows
    assert restored.free == engine.free


def test_a_step_visits_fewer_of_the_places_that_cost_more():
    """A step through 4,096 lists of rules kept answers waiting for more than 2 ms."""
    engine = Engine(Limits(max_items=8_192, max_sessions=64, pairs=64), sample=0)
    costs = []

    def noted(phase):
        def forget(first, end):
            costs.append((phase.cost, (end - first) * phase.cost))
            phase.forget(first, end)

        return phase._replace(forget=forget)

    engine._sweep._phases = [noted(phase) for phase in engine._sweep._phases]
    i = 0
    while not {cost for cost, _ in costs} > {1} or engine._sweep.active:
        engine.put_item(f"i{i}")
        i += 1
        assert i < 20_000
    assert max(work for _, work in costs) <= MOST_PLACES
    check(engine)


def test_no_step_takes_longer_than_its_work_says():
    """The lists of all categories counted as 1,025 places, and took a new item 2 ms."""
    engine = Engine(Limits(max_items=1 << 16, max_sessions=64), sample=0, remote=True)
    rows = np.random.default_rng(0).integers(0, 1 << 16, engine.arrays["item_lists"].shape)
    engine.arrays["becomes"][:] = np.arange(len(engine.arrays["becomes"]))
    engine.arrays["item_lists"]["first"] = engine.arrays["item_lists"]["last"] = rows
    sweep = engine._sweep

    def step(phase):
        sweep.phase = phase - 1
        sweep._next_phase()
        sweep._advance(MOST_PLACES)

    # The longest takes 0.4 times the sum; with the lists of all categories it was 7 times.
    bound = 3 * floor_seconds()
    for phase in range(len(sweep._phases)):
        assert least_seconds(partial(step, phase)) < bound


def test_deleted_items_leave_first_and_unknown_ones_take_no_row():
    """A catalogue that deletes as much as it adds must cost nothing."""
    engine = Engine(LIMITS, sample=0)
    for i in range(60):
        engine.put_item(f"i{i}")
        engine.learn(engine.open_session(), f"i{i}")
    for i in range(20):
        engine.delete_item(f"i{i}")
        engine.delete_item(f"unknown{i}")
    assert len(engine.rows) == 60
    for i in range(20):
        assert engine.put_item(f"new{i}") > 0
    check(engine)
    assert all(engine.row(f"i{i}") > 0 for i in range(20, 60))
    engine.learn(engine.open_session(), "unknown3")
    engine.learn(engine.open_session(), "i0" if engine.row("i0") == 0 else "unknown4")
    assert engine.row("unknown3") == 0
    shown = [engine.item_id(row) for row in engine.recommend([], 64).rows]
    assert not {f"i{i}" for i in range(20)} & set(shown)
    assert engine.put_item("unknown3") > 0


def test_a_session_whose_rules_were_bequeathed_to_items_that_left_is_answered():
    """It had added more to the sum of its item's rules than was left there: a division by zero."""
    engine = Engine(Limits(max_items=512, max_sessions=4_096, pairs=64), sample=0)
    visitor = engine.open_session()
    items = ["a", "x"] * 4 + ["a"]
    for item in items:
        engine.learn(visitor, item)
    stronger = [f"y{i}" for i in range(RULE_SLABS[-1] - 1)]
    for item in [*(stronger * 10), "heir"]:  # the last one takes the place of the rule to x
        other = engine.open_session()
        engine.learn(other, "a")
        engine.learn(other, item)
    for item in [*stronger, "heir"]:
        engine.delete_item(item)
    added = 0
    while engine.row("heir") or engine._sweep.active:
        engine.put_item(f"new{added}")
        added += 1
    own, n_sum = 4, engine.arrays["items"]["next_sum"][engine.row("a")]
    assert n_sum - own + PRIOR == 0
    answer = engine.recommend(engine.rows_of(items), 5, visitor)
    assert len(answer.rows) == 5


def test_invented_ids_take_nothing_from_items_that_are_clicked():
    """A robot's flood must neither push out real items nor keep new ones away."""
    engine = Engine(Limits(max_items=200, max_sessions=256, pairs=64), sample=0)
    real = [f"r{i}" for i in range(100)]
    for item in real:  # in two sessions each: confirmed
        engine.learn(engine.open_session(), item)
        engine.learn(engine.open_session(), item)
    robot = engine.open_session()
    for i in range(5_000):
        engine.learn(robot, f"bot{i}")
        if i % 50 == 0:
            engine.learn(engine.open_session(), real[i // 50])
        if i % 500 == 0:
            for _ in range(2):
                visitor = engine.open_session()
                engine.learn(visitor, real[0])
                engine.learn(visitor, f"new{i}")
            assert engine.row(f"new{i}") > 0
            assert engine.put_item(f"put{i}") > 0
    assert all(engine.row(item) for item in real)
    assert engine.provisional <= 50
    check(engine)


@pytest.mark.parametrize("clicks", [1, 20, 6_000])
def test_ids_invented_for_two_sessions_take_nothing_from_the_catalogue(clicks):
    """A robot that clicked each of its ids twice drove out all that was not clicked yet."""
    engine = Engine(Limits(max_items=2_000, max_sessions=4_096, pairs=4_096), sample=0)
    for i in range(1_500):
        engine.put_item(f"put{i}")
    for begin in range(0, 6_000, clicks):
        first, second = engine.open_session(), engine.open_session()
        for i in range(begin, begin + clicks):
            engine.learn(first, f"bot{i}")
            engine.learn(second, f"bot{i}")
    assert all(engine.row(f"put{i}") for i in range(1_500))
    assert 0 < sum(item.startswith("bot") for item in engine.rows) <= 500
    check(engine)


def test_a_flood_of_invented_ids_takes_no_row_from_rare_items():
    """A rare item has one session, as an invented id has; 400,000 of these cost 7 points."""
    engine = Engine(Limits(max_items=2_000, max_sessions=4_096, pairs=4_096), sample=0)
    for n in range(400):
        session = engine.open_session()
        for item in (f"known{n % 40}", f"rare{n}", f"known{(n + 1) % 40}"):
            engine.learn(session, item)
    for n in range(1_000):
        session = engine.open_session()
        for k in range(8):
            engine.learn(session, f"invented{n}-{k}")
    kept = sum(engine.row(f"rare{n}") > 0 for n in range(400))
    invented = sum(item.startswith("invented") for item in engine.rows)
    assert kept == 400
    assert 0 < invented < 0.25 * 2_000


def test_numbers_of_categories_are_used_again():
    """One item with ever new categories would otherwise take memory for ever."""
    engine = Engine(LIMITS, sample=0)
    for i in range(1_000):
        engine.put_item("a", categories=(f"c{i}", "kept"))
        engine.put_item("b", categories=("kept",))
    assert len(engine.categories.numbers) == 2
    assert max(engine.categories.numbers.values()) <= 4
    only = engine.recommend([], 5, flt=Filter(categories=("c999",)))
    assert [engine.item_id(row) for row in only.rows] == ["a"]
    assert len(engine.recommend([], 5, flt=Filter(categories=("c998",))).rows) == 0


def test_vectors_give_no_item_a_row():
    """The learner of vectors has a row for any clicked id, invented ones too."""
    engine = Engine(LIMITS, sample=0, remote=True)
    vector = np.ones(64, np.float32)
    assert not engine.put_vectors("x", vector, vector)
    engine.put_item("x")
    assert engine.put_vectors("x", vector, vector)
    assert engine.with_vectors == 1


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["click", "put", "delete", "robot"]), st.integers(0, 60)),
    min_size=50,
    max_size=400,
)


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_any_order_of_clicks_entries_and_deletions_keeps_the_table_sound(actions):
    """Rows are counted in several places, which must agree after everything."""
    limits = Limits(max_items=16, max_sessions=16, pairs=16)
    engine = Engine(limits, sample=0)
    number = engine.open_session()
    for i, (action, item) in enumerate(actions):
        if action == "click":
            number = engine.open_session() if item % 3 == 0 else number
            engine.learn(number, f"i{item}")
        elif action == "put":
            engine.put_item(f"i{item}", categories=(f"c{item % 7}",), title=f"word{item}")
        elif action == "delete":
            engine.delete_item(f"i{item}")
        else:
            engine.learn(number, f"bot{i}")
        if i % 7 == 0:
            check(engine)
        shown = engine.recommend(engine.session_rows(number), 8, number).rows
        assert not any(engine.is_deleted(int(row)) for row in shown)
        assert len(set(shown.tolist())) == len(shown)
    finish(engine)
    check(engine)
