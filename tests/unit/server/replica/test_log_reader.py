"""The log reader with a consumer that is played by the test: where it begins, pauses and ends."""

import threading
import time

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import REGISTRY

from nextclick.codec import Item, encode_item
from nextclick.topics import ITEMS, RANKER, SCOREBOARD, SESSIONS, VECTORS, partitions
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models import sweep
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server import status
from server.replica import log_reader
from server.replica.followed_topics import FOLLOWED
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

    def __init__(self, topic, partition, offset, value=None, error=None):
        self._fields = {"topic": topic, "partition": partition, "offset": offset, "value": value}
        self._error = error

    def __getattr__(self, name):
        return lambda: self._fields[name]

    def key(self):
        return b"k"

    def error(self):
        return self._error

    def timestamp(self):
        return 1, 1


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

    def assign(self, partitions):
        self.assigned = partitions

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


@pytest.fixture
def replica():
    return Replica(Engine(Limits(max_items=16, max_sessions=16, pairs=16), sample=0, remote=True))


@pytest.fixture
def reader(replica, monkeypatch):
    """Makes readers, and stops them in the end."""
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
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
