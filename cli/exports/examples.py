"""Cases from the topic `examples`: what the emitter took before it learned each click."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from cli.errors import CommandError
from connections.kafka import client_config
from evaluation.point_in_time import Case
from nextclick.topics import EXAMPLES, topic
from records import example
from records.errors import RecordError
from records.limited import check_size
from records.session_life import Applied
from settings.base import Settings

REMEMBERED = 200_000
"""Latest examples by which repetitions are recognised: an emitter that was started again repeats
minutes."""

SILENT_S = 30.0
"""After so long without a record, Kafka is taken for unreachable."""


class Record(Protocol):
    """A record of Kafka, as its client hands it over."""

    def key(self) -> bytes | None:
        """Return its key."""

    def value(self) -> bytes | None:
        """Return its value."""

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of its time, and the time in milliseconds."""


class Read:
    """Turns records into cases, and counts what is none."""

    def __init__(self) -> None:
        self.refused = self.repeated = self.other_schema = 0
        """Records that cannot be read; those that repeat one; those of other features than ours."""
        self._seen: OrderedDict[tuple[str, Applied], None] = OrderedDict()

    def cases(self, records: Iterable[Record]) -> Iterator[Case]:
        """Yield the cases of records, each once."""
        for record in records:
            case = self._case(record)
            if case is not None:
                yield case

    def _case(self, record: Record) -> Case | None:
        value, arrived_ms = record.value(), record.timestamp()[1]
        try:
            check_size(EXAMPLES, record.key() or b"", value)
            message = example.parse(value or b"", arrived_ms)
            if message.feature_schema not in example.FITTING_SCHEMAS:
                self.other_schema += 1
                return None
            found = example.decode(message)
        except RecordError:
            self.refused += 1
            return None
        name = found.session_id, found.click
        if name in self._seen:
            self.repeated += 1
            return None
        self._seen[name] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        time_ms = found.click.appended_ms or arrived_ms
        return Case(
            found.session_id,
            found.click.version,
            time_ms,
            found.item_ids,
            found.features,
            found.target,
        )


def records(
    settings: Settings, since_ms: int, tick: Callable[[int, int], None]
) -> Iterator[Message]:
    """Yield the records of `examples` that arrived from a time on, up to those of now.

    Parameters
    ----------
    settings
        How Kafka is reached, and whose topic it is.
    since_ms
        Milliseconds since 1970; 0: from the beginning.
    tick
        Called with how many records were read, and how many there are.

    Raises
    ------
    CommandError
        If there is no such topic, or Kafka does not answer.
    """
    name = topic(EXAMPLES, settings.tenant)
    consumer = Consumer({**client_config(settings), "group.id": name, "enable.auto.commit": False})
    try:
        yield from _read(consumer, name, since_ms, tick)
    except KafkaException as e:
        raise CommandError(f"Kafka at {settings.kafka}: {e.args[0].str()}") from e
    finally:
        consumer.close()


def _read(
    consumer: Consumer, name: str, since_ms: int, tick: Callable[[int, int], None]
) -> Iterator[Message]:
    found = consumer.list_topics(name, timeout=SILENT_S).topics[name]
    if found.error is not None or not found.partitions:
        raise CommandError(f"there is no topic {name}: start the emitter (`nextclick up`) first")
    partitions = [TopicPartition(name, p) for p in found.partitions]
    ends, left = {}, 0
    if since_ms:
        asked = [TopicPartition(name, p.partition, since_ms) for p in partitions]
        partitions = consumer.offsets_for_times(asked, timeout=SILENT_S)
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(partition, timeout=SILENT_S)
        if not since_ms:
            partition.offset = low
        elif partition.offset < 0:  # nothing has arrived since
            partition.offset = high
        if partition.offset < high:
            ends[partition.partition] = high
            left += high - partition.offset
    total, done = left, 0
    consumer.assign([p for p in partitions if p.partition in ends])
    heard = time.monotonic()
    while ends:
        batch = consumer.consume(500, timeout=1.0)
        if batch:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENT_S:
            raise CommandError(f"Kafka sends nothing of {name} any more; try again")
        for message in batch:
            if message.error() is not None:
                raise KafkaException(message.error())
            partition_end = ends.get(message.partition())
            if partition_end is None:
                continue
            done += 1
            yield message
            if message.offset() + 1 >= partition_end:
                del ends[message.partition()]
        tick(min(done, total), total)
