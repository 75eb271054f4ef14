"""The log reader with a consumer that is played by the test: where it begins, pauses and ends."""

import threading
import time

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import REGISTRY

from nextclick.codec import Item, encode_item
from nextclick.topics import (
    DEAD_LETTERS,
    ITEMS,
    RANKER,
    SCOREBOARD,
    SESSIONS,
    TOPICS,
    VECTORS,
    partitions,
)
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models import sweep
from online_models.engine import Engine
from online_models.memory.layout import Limits
from records import item_vectors
from records.item_vectors import ItemVectors
from server import status
from server.replica import log_reader, log_watch
from server.replica.broker import TopicNow
from server.replica.followed_topics import FOLLOWED
from server.replica.lag_meter import Lag
from server.replica.log_reader import LogReader
from server.replica.refused import (
    INVALID,
    LATEST,
    LINES_PER_S,
    TOO_LARGE,
    Refused,
    RefusedRecords,
)
from server.replica.replica import Replica
from settings.server import ServerSettings


class Message:
    """A record, or an event of a partition that has an error code."""

    def __init__(self, topic, partition, offset, value=None, error=None, arrived_ms=1):
        self._fields = {"topic": topic, "partition": partition, "offset": offset, "value": value}
        self._fields["arrived_ms"] = arrived_ms
        self._error = error

    def __getattr__(self, name):
        return lambda: self._fields[name]

    def key(self):
        return b"k"

    def error(self):
        return self._error

    def timestamp(self):
        return 2, self._fields["arrived_ms"]


class FakeConsumer:
    """Ends of partitions, and messages to poll, as the test says."""

    def __init__(self, config):
        self.ends, self.messages, self.failures = {}, [], 0
        self.asked, self.assigned, self.paused, self.closed = 0, [], set(), False

    def get_watermark_offsets(self, partition, timeout=None, cached=False):
        self.asked += 1
        if self.failures and self.asked == 3:
            self.failures -= 1
            self.asked = 0
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return 0, self.ends.get((partition.topic, partition.partition), 0)

    def incremental_assign(self, partitions):
        self.assigned += partitions

    def incremental_unassign(self, partitions):
        gone = {(p.topic, p.partition) for p in partitions}
        self.assigned = [p for p in self.assigned if (p.topic, p.partition) not in gone]

    def poll(self, timeout):
        time.sleep(0.001)  # as long as a poll that finds nothing
        return self.messages.pop(0) if self.messages else None

    def consume(self, n, timeout):
        out, self.messages = self.messages[:n], self.messages[n:]
        return out

    def pause(self, partitions):
        self.paused |= {(p.topic, p.partition) for p in partitions}

    def resume(self, partitions):
        self.paused -= {(p.topic, p.partition) for p in partitions}

    def close(self):
        self.closed = True


class FakeBroker:
    """Topics and ends of partitions, as the test says; answers at once."""

    def __init__(self, kafka, topics):
        self.now = {name: TopicNow("first", TOPICS[name].partitions) for name in topics}
        self.up, self.log_ends = True, {}

    def poll(self):
        pass

    def describe(self):
        return dict(self.now)

    topics = describe

    def ask_topics(self):
        pass

    def ask_ends(self, places):
        pass

    def ends(self):
        return dict(self.log_ends)


@pytest.fixture
def replica():
    return Replica(Engine(Limits(max_items=16, max_sessions=16, pairs=16), sample=0, remote=True))


@pytest.fixture
def reader(replica, monkeypatch):
    """Makes readers, and stops them in the end."""
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
    monkeypatch.setattr(log_reader, "Broker", FakeBroker)
    monkeypatch.setattr(log_watch, "MEASURE_S", 0.001)
    monkeypatch.setattr(log_watch, "ASK_TOPICS_S", 0.001)
    monkeypatch.setattr(log_reader, "RETRY_S", 0.001)
    made = []

    def make(**hooks):
        made.append(LogReader(replica, ServerSettings(), **hooks))
        return made[-1]

    yield make
    for one in made:
        assert one.stop()
        assert one._consumer.closed


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def record(session_id, item_id):
    out = SessionRecord(session_id=session_id, version=1)
    out.steps.add(item_id=item_id, seq=1, timestamp_ms=1)
    return out.SerializeToString()


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


def test_a_record_that_cannot_be_applied_is_skipped(replica, reader, monkeypatch):
    """One such record must not stop the learning for good."""
    apply = replica.sessions.apply

    def fails_on_a(session):
        if session.session_id == "a":
            raise ZeroDivisionError
        return apply(session)

    monkeypatch.setattr(replica.sessions, "apply", fails_on_a)
    it = reader()
    it._consumer.messages = [
        Message(SESSIONS, 0, 0, record("a", "x")),
        Message(SESSIONS, 0, 1, record("b", "y")),
    ]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 2)
    assert replica.engine.clicks == 1


def refused_by(topic, reason):
    labels = {"topic": topic, "reason": reason}
    return REGISTRY.get_sample_value("nextclick_unreadable_total", labels) or 0


def said(caplog):
    return [r.getMessage() for r in caplog.records if "passing over" in r.getMessage()]


POISON = [
    (SESSIONS, b" " * 100_000, TOO_LARGE),
    (SESSIONS, b"\xff\xff", INVALID),
    (SESSIONS, SessionRecord(session_id="s", version=9, steps=[Step()] * 4_000), INVALID),
    (SESSIONS, SessionRecord(version=9), INVALID),
    (ITEMS, b'{"v": 1}', INVALID),
    (VECTORS, b"\x0a\x00", INVALID),
    (VECTORS, b"\xff\xff", INVALID),
    (RANKER, LearnerState(version=1), INVALID),  # under the key of no learner
    (RANKER, b"\xff\xff", INVALID),
    (SCOREBOARD, Score(model="other"), INVALID),
    (SCOREBOARD, b"\xff\xff", INVALID),
]


@pytest.mark.parametrize(("topic", "value", "reason"), POISON)
def test_poison_is_passed_over_counted_and_found_again(
    replica, reader, caplog, topic, value, reason
):
    """Every record that a topic may hold must let the next one through, and say where it is."""
    value = value if isinstance(value, bytes) else value.SerializeToString()
    before = refused_by(topic, reason)
    it = reader()
    it._consumer.messages = [
        Message(topic, 0, 6, value),
        Message(SESSIONS, 1, 0, record("b", "y")),
    ]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 1)) == 1)
    assert replica.positions[topic, 0] == 7
    assert replica.engine.clicks == 1
    assert refused_by(topic, reason) == before + 1
    [refused] = replica.refused.latest
    assert refused[:4] == (topic, 0, 6, reason)
    until(lambda: said(caplog))
    [line] = said(caplog)
    assert f"{topic}-0 at 6: {reason}" in line
    assert len(line) < 400
    assert status.describe(replica, True)["refused"][0]["offset"] == 6
    assert not replica.catalogue
    assert not replica.learners
    assert not replica.scoreboard


def test_a_topic_full_of_poison_does_not_fill_the_log(caplog):
    """A hundred thousand lines a second would fill the disk, and take longer than the records."""
    now = 1.0
    refused = RefusedRecords(lambda: now)
    for second in (1.0, 2.0):
        now = second
        for offset in range(1_000):
            refused.add(Refused(SESSIONS, 0, offset, INVALID, "x" * 10_000))
            refused.report()
    now = 3.0
    refused.report()
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) <= 3 * (LINES_PER_S + 1)
    assert any("more records" in line for line in lines)
    assert len(refused.latest) == LATEST


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


def end_of(topic, partition, offset):
    """What the consumer tells when it has read a partition to its end."""
    return Message(topic, partition, offset, error=KafkaError(KafkaError._PARTITION_EOF))


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


def test_the_lag_is_seen_while_the_reading_thread_is_kept(replica, reader):
    """A snapshot takes seconds: in these, no lag was shown, and Kafka was up whatever it was."""
    kept, goes_on = threading.Event(), threading.Event()

    def keep():
        kept.set()
        goes_on.wait(60)

    it = reader(between_polls=keep)
    it._consumer.messages = [Message(SESSIONS, 1, 0, record("a", "x"), arrived_ms=1_000)]
    it.start()
    until(kept.is_set)
    it._broker.log_ends = {(SESSIONS, 1): 5, (SESSIONS, 2): 3}
    until(lambda: replica.lag_records == 7)
    assert replica.lags[SESSIONS].records == 7
    assert status.describe(replica, True)["lags"][SESSIONS]["records"] == 7
    assert REGISTRY.get_sample_value("nextclick_log_lag_records", {"topic": SESSIONS}) == 7
    it._broker.up = False
    until(lambda: not replica.kafka_up)
    it._broker.up = True
    until(lambda: replica.kafka_up)
    goes_on.set()


def test_kafka_is_not_up_while_the_log_cannot_be_followed(replica, reader):
    """With a snapshot a server then answers from it, and says so, instead of waiting for ever."""
    it = reader()
    it._consumer.failures = 1 << 30
    it.start()
    until(lambda: not replica.kafka_up)
    assert it._broker.up
    it._consumer.failures = 0
    until(lambda: replica.kafka_up)
    until(lambda: replica.caught_up)


def test_the_lag_in_time_is_that_of_all_topics_and_the_clicks_have_their_own(replica, reader):
    """A replica with 142,000 vectors still to read said that it was 0 ms behind."""
    it = reader()
    now_ms = int(time.time() * 1000)
    it._broker.log_ends = {(VECTORS, 0): 142_000}
    value = item_vectors.encode(ItemVectors(np.zeros(64, np.float32), np.zeros(64, np.float32)))
    it._consumer.messages = [Message(VECTORS, 0, 0, value, arrived_ms=now_ms - 90_000)]
    it.start()
    until(lambda: replica.lags.get(VECTORS, Lag()).records == 141_999)
    until(lambda: replica.lag_ms >= 90_000)
    assert replica.lag_ms < 150_000
    assert replica.click_lag_ms == 0
    assert replica.lags[SESSIONS] == Lag()


def test_a_partition_that_ends_with_a_gap_is_read_to_its_end(replica, reader):
    """The last offsets may hold no record: they must not be shown as lag for ever."""
    it = reader()
    it._broker.log_ends = {(SESSIONS, 0): 9}
    it._consumer.ends = {(SESSIONS, 0): 9}
    it._consumer.messages = [Message(SESSIONS, 0, 3, record("a", "x"))]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 4)
    assert not replica.caught_up
    it._consumer.messages.append(end_of(SESSIONS, 0, 9))
    until(lambda: replica.caught_up)
    until(lambda: replica.lags and replica.lag_records == 0)
