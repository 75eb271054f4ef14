"""The session store's place in the log; what it writes to Redis is tested on a real one."""

import pytest
import redis
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import REGISTRY

from nextclick.topics import SESSIONS
from nextclick.v1.session_pb2 import SessionRecord
from settings.store import StoreSettings
from streaming import store
from streaming.session_batch import Batch
from streaming.session_writer import SessionWriter
from streaming.store import SessionStore, TopicDescription
from tests.unit.streaming.fake_redis import FakeRedis


def positioned(**positions):
    out = Batch()
    out.positions = {int(p[1:]): offset for p, offset in positions.items()}
    return out


def began(client, topic_id):
    writer = SessionWriter(client, "", 1_000)
    if not writer.positions(topic_id):
        writer.begin()
    return writer


def test_positions_are_those_of_the_topic_that_was_read():
    """In a topic that was made anew they would pass over as many records as the old one had."""
    client = FakeRedis()
    assert began(client, "first").write(positioned(p0=7, p3=2))
    assert SessionWriter(client, "", 1_000).positions("first") == {0: 7, 3: 2}
    assert SessionWriter(client, "", 1_000).positions("second") == {}
    assert began(client, "second").write(positioned(p0=1))
    assert SessionWriter(client, "", 1_000).positions("second") == {0: 1}


def test_positions_of_the_version_before_are_taken_over():
    """It noted no topic; reading 30 days again after an upgrade would take an hour."""
    client = FakeRedis()
    client.hash = {b"mark": b"0123-4", b"1": b"9"}
    writer = SessionWriter(client, "", 1_000)
    assert writer.positions("first") == {1: 9}
    assert writer.write(positioned(p1=10))
    assert SessionWriter(client, "", 1_000).positions("second") == {}


class FakeConsumer:
    def __init__(self, config):
        self.assigned = []

        self.ends = {}

    def assign(self, parts):
        self.assigned = [(p.topic, p.partition, p.offset) for p in parts]

    def get_watermark_offsets(self, part, cached):
        assert cached, "asking the broker for each batch would take longer than the batch"
        return 0, self.ends.get(part.partition, -1001)

    def commit(self, offsets, asynchronous):
        pass


@pytest.fixture
def running(monkeypatch):
    """A store whose topic is what the test says, and whose next look at it is due."""
    monkeypatch.setattr(store, "Consumer", FakeConsumer)
    monkeypatch.setattr(store, "CHECK_TOPIC_S", 0)
    running = SessionStore(StoreSettings())
    running._writer = SessionWriter(FakeRedis(), "", 1_000)
    running.now = TopicDescription("first", 2)
    monkeypatch.setattr(running, "_describe", lambda: running.now)
    monkeypatch.setattr(running._admin, "shortfall", lambda *_: "")
    running._seek()
    return running


def test_all_partitions_are_read_and_those_that_come(running):
    """Sessions of the others would be missing from every answer that asks Redis."""
    assert running._consumer.assigned == [(SESSIONS, 0, 0), (SESSIONS, 1, 0)]
    assert running._writer.write(positioned(p1=5))
    assert not running._topic_has_changed()
    running.now = TopicDescription("first", 3)
    assert running._topic_has_changed()
    running._seek()
    assert running._consumer.assigned == [(SESSIONS, 0, 0), (SESSIONS, 1, 5), (SESSIONS, 2, 0)]


def test_a_topic_that_was_made_anew_is_read_from_its_start(running):
    """The positions in Redis are those of the old one."""
    assert running._writer.write(positioned(p0=5, p1=5))
    running.now = TopicDescription("second", 2)
    assert running._topic_has_changed()
    running._seek()
    assert running._consumer.assigned == [(SESSIONS, 0, 0), (SESSIONS, 1, 0)]


def test_a_broker_that_does_not_answer_has_changed_nothing(running, monkeypatch):
    """The store goes on where it is."""

    def silent():
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(running, "_describe", silent)
    assert not running._topic_has_changed()


def test_the_lag_is_that_of_all_partitions_also_while_redis_is_away(running, monkeypatch):
    """It was that of the last batch alone, and stood still while nothing could be written."""
    lag = lambda: REGISTRY.get_sample_value("nextclick_store_lag_records")  # noqa: E731
    running._consumer.ends = {0: 40, 1: 7}
    running._commit(positioned(p1=5))
    running._measure()
    assert lag() == 42
    running._consumer.ends[0] = 100
    waited = []

    def fails():
        waited.append(lag())
        if len(waited) == 2:
            running.stop()
        raise redis.ConnectionError

    monkeypatch.setattr(store, "MAX_BACKOFF_S", 0.0)
    running._retried(fails)
    assert waited[-1] == 102


def counted(name):
    return REGISTRY.get_sample_value(f"nextclick_store_{name}_total")


def test_what_is_written_passed_over_and_tried_again_is_counted(running, monkeypatch):
    """Redis that fills with nothing, or fails at each write, must be seen from outside."""
    delays = lambda: REGISTRY.get_sample_value("nextclick_store_delay_seconds_count")  # noqa: E731
    names, delays_before = ("written", "unreadable", "foreign_keys", "redis_errors"), delays()
    before = {name: counted(name) for name in names}
    batch = Batch()
    for n, session_id in enumerate(("s", "t", "s")):
        record = SessionRecord(session_id=session_id, version=n + 1, last_timestamp_ms=1)
        batch.add(0, n, session_id.encode(), record.SerializeToString(), 1_000 + n)
    batch.add(0, 3, b"u", b"\xff")
    ahead = SessionRecord(session_id="u", version=1, appended_ms=1 << 42)
    batch.add(0, 4, b"u", ahead.SerializeToString(), 1)
    running._writer._masters.fail = 2
    running._writer._masters.foreign = 1
    monkeypatch.setattr(store, "MAX_BACKOFF_S", 0.0)
    assert running._write(batch)
    assert {name: counted(name) - before[name] for name in names} == {
        "written": 2,  # of a session, the newest record of the batch
        "unreadable": 2,
        "foreign_keys": 1,  # as the script counts them, which a real Redis runs
        "redis_errors": 2,
    }
    assert batch.first_ms == 1_000
    assert delays() == delays_before + 1


def test_a_redis_that_has_lost_writes_is_counted(running, monkeypatch):
    """Each time the log is read again from where it stands."""
    before = counted("refills")
    running._consumer.consume = lambda *_, **__: []
    running._consumer.close = lambda: None
    looks = iter((True, False, True))

    def in_step():
        held = next(looks, None)
        if held is None:
            running.stop()
        return held is not False

    monkeypatch.setattr(running, "_in_step", in_step)
    running.run()
    assert counted("refills") == before + 1
