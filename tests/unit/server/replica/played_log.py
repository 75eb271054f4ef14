"""A log that the test plays: records, ends of partitions, and a broker that answers as it says."""

import time

from confluent_kafka import KafkaError, KafkaException

from nextclick.topics import TOPICS
from nextclick.v1.session_pb2 import SessionRecord
from server.replica.broker import TopicNow


class Message:
    """A record, or an event of a partition that has an error code."""

    def __init__(
        self, topic, partition, offset, value=None, error=None, arrived_ms=1, headers=None
    ):
        self._fields = {"topic": topic, "partition": partition, "offset": offset, "value": value}
        self._fields |= {"arrived_ms": arrived_ms, "headers": headers}
        self._error = error

    def __getattr__(self, name):
        return lambda: self._fields[name]

    def __len__(self):
        return len(self._fields["value"] or b"")

    def key(self):
        return b"k"

    def error(self):
        return self._error

    def timestamp(self):
        return 2, self._fields["arrived_ms"]


class FakeConsumer:
    """Ends of partitions, and messages to poll, as the test says."""

    def __init__(self, config):
        self.config = config
        self.ends, self.messages, self.failures = {}, [], 0
        self.asked, self.assigned, self.paused, self.closed = 0, [], set(), False

    def get_watermark_offsets(self, partition, timeout=None, cached=False):
        self.asked += 1
        if self.failures and self.asked == 3:
            self.failures -= 1
            self.asked = 0
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return 0, self.ends.get((partition.topic, partition.partition), 0)

    def list_topics(self, topic, timeout):
        """Unlike a real one, this consumer knows all partitions without asking."""

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

    def __init__(self, settings, topics):
        self.now = {name: TopicNow("first", TOPICS[name].partitions) for name in topics}
        self.up, self.log_ends = True, {}

    def poll(self):
        pass

    def shortfall(self, role, tenant):
        return ""

    def describe(self):
        return dict(self.now)

    topics = describe

    def ask_topics(self):
        pass

    def ask_ends(self, places):
        pass

    def ends(self):
        return dict(self.log_ends)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def record(session_id, item_id):
    out = SessionRecord(session_id=session_id, version=1)
    out.steps.add(item_id=item_id, seq=1, timestamp_ms=1)
    return out.SerializeToString()
