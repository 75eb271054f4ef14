"""The replica's sessions: each step learned once, in order, at its place, whatever is repeated."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick import Event, encode_event
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.sweep import CLEAR_WORK, LEAVE_WORK, MOST_PLACES, ROWS_AT_ONCE
from records.session_life import Applied
from server.replica.sessions import SessionTable
from streaming.raw_record import RawRecord
from streaming.sessionize import Update, process

NOW = 1_700_000_000_000


def table(max_sessions=64):
    return SessionTable(Engine(Limits(max_items=256, max_sessions=max_sessions, pairs=64)))


def history(events):
    """Session records after each of (item, minute, type) events."""
    state, out = None, []
    for offset, (item, minute, kind) in enumerate(events):
        event = Event(kind, item, NOW + minute * 60_000, session_id="s")
        raw = RawRecord(encode_event(event), b"s", "events", 0, offset, NOW, replayed=True)
        state, outcome = process(state, raw)
        if isinstance(outcome, Update):
            out.append(SessionRecord.FromString(outcome.record))
    return out


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([f"i{i}" for i in range(8)]),
        st.integers(0, 25),
        st.sampled_from(["view", "view", "purchase", "dislike", "scroll"]),
    ),
    min_size=1,
    max_size=60,
)


def kept(sessions, session_id="s"):
    engine = sessions._engine
    return [engine.item_id(r) for r in engine.session_rows(sessions.get(session_id).number)]


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.data())
def test_skipped_and_repeated_records_lead_to_the_same_session(events, data):
    """Compaction skips records and restarts repeat them; neither may lose or double a click."""
    records = history(events)
    every, some = table(), table()
    for record in records:
        every.apply(record)
    order = sorted(data.draw(st.lists(st.integers(0, len(records) - 1), max_size=30)))
    for at in [*order, len(records) - 1, *order[:3]]:
        some.apply(records[at])
    expected = [step.item_id for step in records[-1].steps]
    assert kept(every)[-len(expected) :] == expected if expected else kept(every) == []
    assert kept(some)[-len(expected) :] == expected if expected else kept(some) == []
    assert every.get("s").applied == some.get("s").applied == Applied.after(records[-1])
    assert every.get("s").hidden == some.get("s").hidden == tuple(records[-1].hidden_item_ids)
    assert set(every.get("s").purchased) == set(some.get("s").purchased)
    if len(events) <= 50:
        assert every._engine.clicks == some._engine.clicks


def test_a_purchase_on_a_viewed_item_is_remembered():
    """The filter on purchases rests on it."""
    sessions = table()
    for record in history([("a", 0, "view"), ("b", 1, "view"), ("b", 2, "purchase")]):
        sessions.apply(record)
    assert sessions.get("s").purchased == ("b",)


def test_the_table_holds_no_more_sessions_than_the_engine():
    """Memory is bounded: the oldest session goes, with its user."""
    sessions = table(max_sessions=8)
    for i in range(20):
        record = SessionRecord(session_id=f"s{i}", version=1, user_id=f"u{i}")
        record.steps.add(item_id="a", seq=1)
        sessions.apply(record)
    assert len(sessions) == 8
    assert sessions.evicted == 12
    assert sessions.get("s0") is None
    assert sessions.get("s19") is not None
    assert sessions.current_session("u0") == ""
    assert sessions.current_session("u19") == "s19"


def test_an_erased_session_is_gone():
    """A tombstone erases a person: nothing of the session may answer any more."""
    sessions = table()
    for record in history([("a", 0, "view"), ("b", 1, "view")]):
        sessions.apply(record)
    sessions.erase("s")
    sessions.erase("s")
    assert sessions.get("s") is None
    assert len(sessions) == 0


def user_record(session_id, user_id, last_ms, version=1):
    record = SessionRecord(
        session_id=session_id, version=version, user_id=user_id, last_timestamp_ms=last_ms
    )
    record.steps.add(item_id="a", seq=version, timestamp_ms=last_ms)
    return record


def test_a_session_whose_user_changes_is_no_longer_the_former_ones():
    """Former users were kept for ever, and led to a session that is another visitor's."""
    sessions = table()
    for n in range(1, 101):
        sessions.apply(user_record("s", f"u{n}", n, version=n))
    assert sessions.current_session("u99") == ""
    assert sessions.current_session("u100") == "s"
    assert len(sessions._users) == 1
    sessions.erase("s")
    assert len(sessions._users) == 0


def test_a_users_current_session_is_the_latest_in_time():
    """Partitions are read in any order: yesterday's session must not become the current one."""
    sessions = table()
    sessions.apply(user_record("today", "u", 200))
    sessions.apply(user_record("yesterday", "u", 100))
    assert sessions.current_session("u") == "today"
    sessions.apply(user_record("yesterday", "u", 150, version=2))
    assert sessions.current_session("u") == "today"
    again = SessionTable(sessions._engine)
    again.load(sessions.dump())
    assert again.current_session("u") == "today"
    again.apply(user_record("yesterday", "u", 300, version=3))
    assert again.current_session("u") == "yesterday"


def test_dump_and_load_give_the_same_table():
    """A restart from a snapshot must know every session's version, or learn clicks twice."""
    sessions = table()
    for record in history([("a", 0, "view"), ("b", 1, "purchase"), ("c", 2, "dislike")]):
        sessions.apply(record)
    again = SessionTable(sessions._engine)
    again.load(sessions.dump())
    assert again.get("s") == sessions.get("s")
    known = user_record("known", "u", 200)
    known.first_timestamp_ms = 100
    sessions.apply(known)
    again.load(sessions.dump())
    assert again.get("known") == sessions.get("known")
    assert again.get("known").first_ms == 100
    assert list(again.dump()) == list(sessions.dump())


@pytest.mark.parametrize("rows_a_part", [1, 7, 64])
def test_each_row_of_a_snapshot_is_looked_at_once(rows_a_part, monkeypatch):
    """With each part all before it were, too: minutes with a million sessions."""
    sessions = table()
    for n in range(40):
        name = f"s{n}" if n % 3 == 0 else f"u:v{n % 4}~{1_000 + n}.{n}"
        record = user_record(name, f"v{n % 4}", 100 + n)
        record.incarnation = record.appended_ms = 1_000 + n
        sessions.apply(record)
    rows, looked = list(sessions.dump()), []
    note = SessionTable._note_visit
    monkeypatch.setattr(
        SessionTable, "_note_visit", lambda *args: (looked.append(args[2]), note(*args))
    )
    again = SessionTable(sessions._engine)
    for first in range(0, len(rows), rows_a_part):
        again.load(rows[first : first + rows_a_part])
    assert len(looked) == len(set(looked)) <= len(rows)
    for user in ("v0", "v1", "v2", "v3"):
        assert again.last_visit(user) == sessions.last_visit(user) != ""


DAYS = 24 * 60
"""In minutes."""


def test_a_session_that_returns_starts_empty_and_is_learned_at_once():
    """Its clicks were ignored until their number passed that of the visit before."""
    sessions = table()
    first = visits(*((item, at) for at, item in enumerate("abcdefgh")))
    for record in first:
        sessions.apply(record)
    for record in (*visits(("x", 3 * DAYS)), *first):
        sessions.apply(record)
    assert kept(sessions) == ["x"]
    assert sessions.get("s").applied.version == 1
    assert sessions._engine.clicks == 9
    assert len(sessions) == 1
    assert list(sessions.newest(5)) == ["s"]


def test_the_visit_before_is_a_past_session():
    """It goes on to vote, and makes room in its turn without taking the new one along."""
    sessions = table(max_sessions=8)
    sessions.apply(user_record("s", "u", 100))
    past = sessions.get("s").number
    returned = user_record("s", "", 900)
    returned.incarnation = returned.appended_ms = 900
    sessions.apply(returned)
    assert sessions.current_session("u") == ""
    assert len(sessions._engine.session_rows(past)) == 1
    for i in range(7):
        sessions.apply(user_record(f"other{i}", "", 100))
    assert sessions.get("s") is not None
    assert sessions.evicted == 0
    sessions.apply(user_record("one more", "", 100))
    assert sessions.get("s") is None
    assert sessions.evicted == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9))
def test_events_that_are_sessionised_again_are_not_learned_again(gone, known, skipped):
    """The job had to start from nothing, after the broker had removed a session's first events."""
    clicks = [(f"i{n}", n) for n in range(10)]
    sessions = table()
    for record in visits(*clicks[:known]):
        sessions.apply(record)
    for record in visits(*clicks[gone:])[skipped:]:
        sessions.apply(record)
    expected = {n for n in range(10) if n < known or (n >= gone and gone + skipped < 10)}
    assert sessions._engine.clicks == len(expected)
    # Without an event that both have, it cannot be told from a visitor who returns.
    returned = gone >= known and gone + skipped < 10
    assert kept(sessions) == [f"i{n}" for n in sorted(expected) if n >= gone or not returned]


def visits(*clicks):
    """Records after each of (item, minute) clicks that arrived when they happened."""
    state, out = None, []
    for offset, (item, minute) in enumerate(clicks):
        time_ms = NOW + minute * 60_000
        value = encode_event(Event("view", item, time_ms, session_id="s"))
        state, outcome = process(state, RawRecord(value, b"s", "events", 0, offset, time_ms))
        out.append(SessionRecord.FromString(outcome.record))
    return out


def evicted_and_returned(sessions, *clicks):
    """Have a session of clicks, evict it, and have it return with the last of them."""
    records = visits(*clicks)
    for record in records[:-1]:
        sessions.apply(record)
    for i in range(8):
        sessions.apply(user_record(f"robot{i}", "", NOW))
    assert sessions.get("s") is None
    sessions.apply(records[-1])


def test_a_session_that_was_evicted_is_not_learned_again():
    """A robot's flood evicts real sessions; each of their next clicks was 50 clicks more."""
    sessions = table(max_sessions=8)
    evicted_and_returned(sessions, ("a", 0), ("b", 1), ("left", 2), ("c", 3), ("new", 4))
    assert sessions._engine.clicks == 4 + 8 + 1
    assert kept(sessions) == ["a", "b", "left", "c", "new"]
    assert sessions.get("s").applied.version == 5
    last = sessions._engine.arrays["click_times"][sessions.get("s").number % 8].tolist()
    assert last == [NOW // 1_000 + 180, NOW // 1_000 + 240]


def test_purchases_of_before_an_eviction_are_remembered():
    """The filter on purchases rests on them, and they are counted once."""
    sessions = table(max_sessions=8)
    clicks = [("a", 0, "purchase"), ("b", 1, "view")]
    first, second = history(clicks)
    sessions.apply(first)
    for i in range(8):
        sessions.apply(user_record(f"robot{i}", "", NOW))
    sessions.apply(second)
    assert sessions.get("s").purchased == ("a",)


def test_after_evictions_new_visitors_are_learned():
    """What is known of those who left must not count against those who come, in any partition."""
    sessions = table(max_sessions=8)
    for n in range(500):
        arrived = NOW + 1_000 * (n if n % 2 else n - 100)  # two partitions, one ahead of the other
        record = user_record(f"s{n}", "", arrived)
        record.incarnation = record.appended_ms = record.steps[0].appended_ms = arrived
        sessions.apply(record)
    assert sessions._engine.clicks >= 495


def test_rows_of_the_version_before_are_loaded():
    """A snapshot without incarnations is as good as the log that it was made from."""
    sessions = table()
    for record in history([("a", 0, "view"), ("b", 1, "view")]):
        sessions.apply(record)
    again = SessionTable(sessions._engine)
    again.load(row[:8] for row in sessions.dump())
    assert again.get("s").applied == Applied(0, 2, 0)
    assert again.get("s").first_ms == 0
    again.apply(visits(("x", 3 * DAYS))[0])
    assert kept(again) == ["x"]


def test_a_record_of_many_new_items_sweeps_little():
    """In a full table, each of 50 items did its part of a sweep: 15 ms in one hold of the lock.

    Then each of 94 clicks let at least one item leave, which was not counted: 5 ms.
    """
    limits = Limits(max_items=512, max_sessions=1 << 16, pairs=64)
    engine = Engine(limits, sample=0, remote=True)
    for i in range(limits.max_items):
        engine.put_item(f"i{i}")
    engine.arrays["counters"]["next_session"] = limits.max_sessions  # as if all were in use
    sessions, work, step = SessionTable(engine), [0], engine._sweep.step

    def noted(places):
        done = step(places)
        work[-1] += done
        return done

    engine._sweep.step = noted
    for n in range(30):
        for session_id in (f"a{n}", f"b{n}"):
            steps = [Step(item_id=f"new{n}-{i}", seq=i + 1) for i in range(50)]
            work.append(0)
            sessions.apply(SessionRecord(session_id=session_id, version=50, steps=steps))
    most_at_once = max(2 * LEAVE_WORK, ROWS_AT_ONCE * CLEAR_WORK)
    assert MOST_PLACES <= max(work) <= MOST_PLACES + most_at_once
    assert any(item_id.startswith("new") for item_id in engine.rows)
