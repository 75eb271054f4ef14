"""The log reader with a consumer that is played by the test: where it begins, pauses and ends."""

import threading

from nextclick.codec import Item, encode_item
from nextclick.topics import DEAD_LETTERS, ITEMS, SESSIONS, partitions
from online_models import sweep
from server.replica.broker import TopicNow
from server.replica.followed_topics import FOLLOWED
from tests.unit.server.replica.played_log import Message, record, until


def test_a_broker_that_does_not_answer_is_told_with_its_setting(replica, reader, caplog):
    """`serve --kafka` with a wrong address waits for ever: its log must say for what."""
    it = reader()
    it._consumer.failures = 1
    it.start()
    until(lambda: replica.caught_up)
    [said] = [r.getMessage() for r in caplog.records if "Kafka" in r.getMessage()]
    assert said.startswith("Kafka, 127.0.0.1:9092: ")
    assert "NEXTCLICK_KAFKA says where it is" in said


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
