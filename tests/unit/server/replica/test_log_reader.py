"""The log reader with a consumer that is played by the test: where it begins, pauses and ends."""

import itertools
import threading
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from nextclick.codec import DeadLetterReason, Item, encode_item
from nextclick.limits import MAX_RECORD_BYTES
from nextclick.topics import DEAD_LETTERS, ITEMS, SESSIONS, partitions
from nextclick.v1.session_pb2 import SessionRecord
from online_models import sweep
from online_models.tables.item_rows import CLOSED
from server.replica import log_reader
from server.replica.broker import TopicNow
from server.replica.catalogue_entries import DROPPED_AT_ONCE
from server.replica.followed_topics import FOLLOWED
from server.replica.log_reader import AT_ONCE, POLL, POLL_BYTES, SMALL_BYTES
from tests.unit.server.replica.played_log import Message, record, until


def test_a_broker_that_does_not_answer_is_told_with_its_setting(replica, reader, caplog):
    """`serve --kafka` with a wrong address waits for ever: its log must say for what."""
    it = reader()
    it._consumer.failures = 1
    it.start()
    until(lambda: replica.caught_up)
    [said] = [r.getMessage() for r in caplog.records if "Kafka" in r.getMessage()]
    assert said.startswith("Kafka: 127.0.0.1:9092 does not answer: ")
    assert "set NEXTCLICK_KAFKA to its address" in said


def test_a_log_that_is_found_at_the_second_try_is_still_read_whole(replica, reader):
    """Else a server started a moment before its broker would ask Redis of every unknown visitor."""
    it = reader()
    it._consumer.failures = 1
    it.start()
    until(lambda: replica.caught_up)
    assert replica.whole_log
    assert replica.definitive
    assert set(replica.positions) == {(f.name, p) for f in FOLLOWED for p in partitions(f.name)}


def test_it_has_caught_up_at_the_end_of_every_partition(replica, reader):
    """A replica that answers earlier answers from half of the clicks."""
    it = reader()
    it._consumer.ends = {(SESSIONS, 0): 1, (SESSIONS, 3): 1}
    it._consumer.messages = [Message(SESSIONS, 0, 0, record("a", "x"))]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 1)
    assert not replica.caught_up
    it._consumer.messages.append(Message(SESSIONS, 3, 0, record("b", "y")))
    until(lambda: replica.caught_up)
    assert replica.engine.clicks == 2


def test_items_that_wait_for_a_row_get_it_without_another_record(replica, reader, monkeypatch):
    """At night nobody clicks, and the item that the shop has put must still appear."""
    monkeypatch.setattr(sweep, "MOST_PLACES", 16)
    items = [Item(f"i{i}") for i in range(24)]
    waited = []
    put = replica.catalogue.put
    monkeypatch.setattr(
        replica.catalogue, "put", lambda item: put(item) or waited.append(item.item_id)
    )
    it = reader()
    it._consumer.messages = [Message(ITEMS, 0, at, encode_item(i)) for at, i in enumerate(items)]
    it.start()
    until(lambda: replica.positions.get((ITEMS, 0)) == len(items))
    assert waited
    until(lambda: not replica.catalogue.waiting)
    assert replica.engine.row(waited[-1])
    assert [replica.catalogue.get(item.item_id) for item in items] == items


@pytest.fixture
def slices(replica, monkeypatch):
    """What is done before, and in each slice, by a clock that gives it time for one thing."""
    clock, done, whole = itertools.count(), [[]], replica.slice

    @contextmanager
    def one_thing():
        with whole():
            done.append([])
            yield next(clock) + 2

    def noted(call):
        def noting(*args):
            out = call(*args)
            done[-1].append((call.__name__, out))
            return out

        return noting

    monkeypatch.setattr(
        log_reader, "time", SimpleNamespace(perf_counter=lambda: next(clock), time=lambda: 0)
    )
    monkeypatch.setattr(replica, "slice", one_thing)
    entries = replica.catalogue
    monkeypatch.setattr(entries, "put_again", noted(entries.put_again))
    monkeypatch.setattr(entries.left, "drop_oldest", noted(entries.left.drop_oldest))
    return done


def test_items_that_return_get_their_entries_in_slices_of_their_own(replica, reader, slices):
    """A record of 50 of them held the lock for 15 ms."""
    back = [Item(f"i{n}", available=False) for n in range(3)]
    for item in back:
        replica.catalogue.left.keep(item.item_id, encode_item(item))
    visit = SessionRecord(session_id="s", version=3)
    for n, item in enumerate(back):
        visit.steps.add(item_id=item.item_id, seq=n + 1, timestamp_ms=1)
    it = reader()
    it._consumer.messages = [
        Message(SESSIONS, 0, 0, visit.SerializeToString()),
        Message(SESSIONS, 0, 1, record("t", "other")),
    ]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 2)
    assert slices[1:6] == [[], *[[("put_again", None)]] * 3, []]
    assert [replica.catalogue.get(item.item_id) for item in back] == back
    assert not replica.catalogue.left


def test_a_slice_begins_with_a_large_message(replica, reader, monkeypatch):
    """One at the end of a slice added its millisecond to that of the others."""
    done, whole = [], replica.slice

    @contextmanager
    def slice_of_many():
        with whole() as until:
            done.append([])
            yield until + 60

    monkeypatch.setattr(replica, "slice", slice_of_many)
    it = reader()
    it._apply_one = lambda message: done[-1].append(len(message))
    large = SMALL_BYTES + 1
    it._apply([Message(SESSIONS, 0, 0, bytes(n)) for n in (1, SMALL_BYTES, large, 2, large, large)])
    assert done == [[1, SMALL_BYTES], [large, 2], [large], [large]]
    it.start()


def test_room_for_large_entries_is_made_in_slices_of_its_own(replica, reader, slices):
    """Sixteen items leave at once, and each took the room of 280 small ones: 11 to 16 ms."""
    left = replica.catalogue.left
    n = 0
    while not left.keep(f"i{n}", b"small"):
        n += 1
    for k in range(16):
        left.keep(f"large{k}", bytes(65_000))
    assert left.over
    it = reader()
    it._consumer.messages = [Message(SESSIONS, 0, 0, record("t", "other"))]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 1)
    assert not left.over
    dropped = [[n for _, n in a_slice] for a_slice in slices[1:]]
    assert max(map(sum, dropped)) <= DROPPED_AT_ONCE


def test_a_poll_is_bounded_in_bytes_and_takes_few_records_at_once(reader):
    """Kafka's client copies them while it holds the GIL: 500 of 64 kB took 15 ms."""
    it = reader()
    taken, consume = [], it._consumer.consume
    it._consumer.consume = lambda n, timeout: taken.append(n) or consume(n, timeout)
    large = Message(ITEMS, 0, 0, bytes(MAX_RECORD_BYTES))
    it._consumer.messages = [large] * POLL
    assert 0 <= len(it._poll()) - POLL_BYTES // MAX_RECORD_BYTES <= AT_ONCE
    it._consumer.messages = [Message(ITEMS, 0, 0, b"small")] * 2 * POLL
    assert 0 <= len(it._poll()) - POLL <= AT_ONCE
    assert set(taken) == {AT_ONCE}
    it._consumer.messages = [large] * 3
    assert len(it._poll()) == 3
    it.start()


def test_dead_letters_are_counted_without_the_lock(replica, reader):
    """To look through 300,000 headers took 7 ms, in which nobody got an answer."""
    reason = "reason", DeadLetterReason.TOO_LATE.encode()
    counted = [
        partial(REGISTRY.get_sample_value, "nextclick_dead_letters_total", {"reason": of})
        for of in ("too_late", "unknown")
    ]
    before = [count() or 0 for count in counted]
    it = reader()
    it._consumer.messages = [
        Message(DEAD_LETTERS, 0, 0, headers=[reason, ("detail", None)]),
        Message(DEAD_LETTERS, 0, 1, headers=[("x", b"")] * 300_000 + [reason]),
        Message(DEAD_LETTERS, 0, 2, headers=[("reason", b"made up")]),
        Message(DEAD_LETTERS, 0, 3),
    ]
    with replica.answering():
        it.start()
        until(lambda: [count() for count in counted] == [before[0] + 1, before[1] + 3])


def test_only_clicks_pause_while_the_learners_are_behind(reader):
    """What the learners publish must still arrive, or nobody would ever see that they caught up."""
    behind = threading.Event()
    it = reader(pause_clicks=behind.is_set)
    it.start()
    behind.set()
    clicks = {(SESSIONS, p) for p in partitions(SESSIONS)}
    until(lambda: it._consumer.paused == clicks)
    behind.clear()
    until(lambda: not it._consumer.paused)


def read(it):
    return {(p.topic, p.partition): p.offset for p in it._consumer.assigned}


def test_all_partitions_are_read_however_many_there_are(replica, reader):
    """Of a topic that somebody made with twelve, eight were left out without a word."""
    it = reader()
    it._broker.now[SESSIONS] = TopicNow("first", 12)
    it._broker.now[ITEMS] = TopicNow("first", 1)
    it.start()
    until(lambda: replica.caught_up)
    assert {place for place in replica.positions if place[0] in (SESSIONS, ITEMS)} == {
        *((SESSIONS, p) for p in range(12)),
        (ITEMS, 0),
    }
    assert set(read(it)) == set(replica.positions) | {(DEAD_LETTERS, p) for p in range(4)}


def test_partitions_that_a_topic_gets_are_read_from_their_start(replica, reader):
    """Else part of the clicks is left out from the day that somebody adds partitions."""
    behind = threading.Event()
    it = reader(pause_clicks=behind.is_set)
    it.start()
    until(lambda: replica.caught_up)
    behind.set()
    until(lambda: (SESSIONS, 3) in it._consumer.paused)
    replica.positions[SESSIONS, 0] = 7
    it._broker.now[SESSIONS] = TopicNow("first", 6)
    until(lambda: (SESSIONS, 5) in replica.positions)
    assert read(it)[SESSIONS, 5] == 0
    assert replica.positions[SESSIONS, 0] == 7
    until(lambda: (SESSIONS, 5) in it._consumer.paused)
    assert replica.whole_log


def test_a_topic_that_was_made_anew_is_read_from_its_start(replica, reader, caplog):
    """Its offsets begin at 0 again: the old position would pass over what has come since."""
    replica.positions = {(SESSIONS, 0): 40, (ITEMS, 0): 5}
    replica.topic_ids = {SESSIONS: "before", ITEMS: "first"}
    it = reader()
    it._consumer.ends = {(SESSIONS, 0): 90, (ITEMS, 0): 9}
    it.start()
    until(lambda: replica.topic_ids.get(SESSIONS) == "first")
    until(lambda: read(it).get((SESSIONS, 0)) == 0)
    assert read(it)[ITEMS, 0] == 5
    assert any("sessions was made anew" in r.getMessage() for r in caplog.records)
    it._consumer.ends[ITEMS, 0] = 8
    it._broker.now[ITEMS] = TopicNow("second", 2)
    until(lambda: replica.topic_ids[ITEMS] == "second")
    until(lambda: read(it)[ITEMS, 0] == 0)
    assert {place for place in replica.positions if place[0] == ITEMS} == {(ITEMS, 0), (ITEMS, 1)}
    assert len(it._consumer.assigned) == len(read(it))


def test_items_open_and_close_without_another_record(replica, reader, monkeypatch):
    """A sale ends at night, when nobody writes; and an import must not hold it up."""
    now_s = [1_000]
    monkeypatch.setattr(log_reader.time, "time", lambda: now_s[0])
    sale = Item("sale", available_from_ms=2_000_000, available_until_ms=3_000_000)
    it = reader()
    it._consumer.messages = [Message(ITEMS, 0, 0, encode_item(sale))]
    it.start()
    until(lambda: replica.engine.row("sale"))
    seen = []
    for at, closed in ((1_999, True), (2_000, False), (3_000, True)):
        now_s[0] = at
        until(lambda closed=closed: _closed(replica, "sale") == closed)
        seen.append(at)
    assert len(seen) == 3


def _closed(replica, item_id):
    flags = int(replica.engine.arrays["stats"]["flags"][replica.engine.row(item_id)])
    return bool(flags & CLOSED)
