"""How far behind the log a replica says that it is, and whether Kafka is up."""

import threading
import time

import numpy as np
from confluent_kafka import KafkaError
from prometheus_client import REGISTRY

from nextclick.topics import SESSIONS, VECTORS
from records import item_vectors
from records.item_vectors import ItemVectors
from server import status
from server.replica.lag_meter import Lag
from tests.unit.server.replica.played_log import Message, record, until


def end_of(topic, partition, offset):
    """What the consumer tells when it has read a partition to its end."""
    return Message(topic, partition, offset, error=KafkaError(KafkaError._PARTITION_EOF))


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
    for up in (False, True):
        it._broker.up = up
        until(lambda up=up: replica.kafka_up is up)
        until(lambda up=up: REGISTRY.get_sample_value("nextclick_kafka_up") == up)
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
