"""Flink's part, played by a test: states by name, batches, and a clock that is set by hand."""

import copy
import struct

from streaming.jobs.batches import BATCH
from streaming.jobs.task_operator import TaskOperator


class Value:
    def __init__(self):
        self.held = None

    def value(self):
        return self.held

    def update(self, value):
        self.held = value


class Map:
    def __init__(self):
        self.held = {}

    def get(self, key):
        return self.held.get(key)

    def put(self, key, value):
        self.held[key] = value

    def put_all(self, values):
        self.held.update(values)

    def remove(self, key):
        self.held.pop(key, None)

    def items(self):
        return list(self.held.items())

    def values(self):
        return list(self.held.values())

    def clear(self):
        self.held.clear()


class Counter:
    count = 0

    def inc(self):
        self.count += 1


def packed(record):
    """A record as ``Batches.java`` packs it."""
    value, key, topic, partition, offset, time_ms, replayed = record
    topic = topic.encode()
    sizes = len(value), len(key), len(topic)
    return struct.pack("<5i2q", *sizes, partition, replayed, offset, time_ms) + value + key + topic


class Host:
    """Flink's part: states and counters by name, batches, a clock that is set by hand."""

    def __init__(self, make):
        self.states = {}
        self.counters = {}
        self.batch = []
        self.now = 0
        self.make = make
        self.start()

    def checkpoint(self):
        """A copy of the states."""
        self.before_checkpoint()
        return copy.deepcopy(self.states)

    def before_checkpoint(self):
        """What is in a batch is passed on."""
        if self.batch:
            assert not self.pass_on(tick=0)

    def restore(self, checkpoint):
        """What has happened since a checkpoint is lost."""
        self.states = copy.deepcopy(checkpoint)
        self.batch.clear()
        self.start()

    def restart(self):
        """A checkpoint, from which a new operator goes on."""
        self.before_checkpoint()
        self.start()

    def start(self):
        """A new operator over the states that there are."""
        self.operator = TaskOperator(self.make, "")
        self.operator.open(self)

    def get_metrics_group(self):
        return self

    def counter(self, name):
        return self.counters.setdefault(name, Counter())

    def get_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Value())

    def get_map_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Map())

    def timer_service(self):
        return self

    def current_processing_time(self):
        return self.now

    def feed(self, record):
        self.batch.append(packed(record))
        if len(self.batch) == BATCH:
            assert not self.pass_on(tick=0)

    def pass_on(self, tick):
        batch, self.batch = b"".join(self.batch), []
        return list(self.operator.process_element((batch, tick), self))

    def publish(self):
        """A tick; what is published, by topic and key."""
        rows = self.pass_on(tick=1)
        return {(row[0], row[1].decode()): row[2] for row in rows}
