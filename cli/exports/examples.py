"""Cases from the topic `examples`: what the emitter took before it learned each click."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cli.errors import CommandError
from connections.kafka import client_config
from connections.kafka_admin import KafkaFaultError
from connections.kafka_faults import fault_of
from evaluation.point_in_time import Case
from nextclick.topics import EXAMPLES, topic
from online_models.ranking.features.registry import FITTING_SCHEMAS
from records import example
from records.errors import RecordError
from records.limited import check_size
from records.session_life import Applied
from settings.base import Settings
from settings.kafka_rights import FEATURES, READ, TOPIC, Right

REMEMBERED = 200_000
"""Latest examples by which repetitions are recognised: an emitter that was started again repeats
minutes."""

AT_ONCE, POLL_S = 500, 1.0
"""Records of one fetch at most, and how long it waits for the first; seconds."""

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
            if message.feature_schema not in ("", *FITTING_SCHEMAS):  # without one, it is none
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
    KafkaFaultError
        If Kafka refuses.
    CommandError
        If there is no such topic, or Kafka does not answer.
    """
    name = topic(EXAMPLES, settings.tenant)
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": topic(FEATURES, settings.tenant),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # what retention removes meanwhile is gone
        }
    )
    try:
        spans = _spans(consumer, name, since_ms)
        yield from _read(consumer, spans, tick)
    except KafkaException as e:
        fault = fault_of(e.args[0], settings, Right(TOPIC, name, READ).told)
        raise KafkaFaultError(e.args[0], fault) from e
    finally:
        consumer.close()


def _spans(consumer: Consumer, name: str, since_ms: int) -> list[tuple[TopicPartition, int]]:
    """Return the partitions that have something, each with where to begin, and where to end."""
    found = consumer.list_topics(name, timeout=SILENT_S).topics[name]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(found.error)
    if not found.partitions:
        raise CommandError(
            f"Kafka has no topic {name}: `nextclick topics create` creates it, and the example "
            "emitter fills it; --kafka and --tenant say which one is meant"
        )
    begin = [TopicPartition(name, p, since_ms) for p in found.partitions]
    if since_ms:
        begin = consumer.offsets_for_times(begin, timeout=SILENT_S)
    spans = []
    for partition in begin:
        low, high = consumer.get_watermark_offsets(partition, timeout=SILENT_S)
        if not since_ms:
            partition.offset = low
        if 0 <= partition.offset < high:  # negative: nothing has arrived since
            spans.append((partition, high))
    return spans


def _read(
    consumer: Consumer,
    spans: Sequence[tuple[TopicPartition, int]],
    tick: Callable[[int, int], None],
) -> Iterator[Message]:
    """Yield the records of spans of partitions."""
    ends = {partition.partition: end for partition, end in spans}
    total, done = sum(end - partition.offset for partition, end in spans), 0
    consumer.assign([partition for partition, _ in spans])
    heard = time.monotonic()
    while ends:
        messages = consumer.consume(AT_ONCE, timeout=POLL_S)
        heard = time.monotonic() if messages else heard
        if time.monotonic() - heard > SILENT_S:
            raise CommandError("Kafka has not sent the examples to their end; try again later")
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            number, offset = int(message.partition() or 0), int(message.offset() or 0)
            if offset < ends.get(number, 0):
                done += 1
                yield message
            if offset + 1 >= ends.get(number, 0):
                ends.pop(number, None)
        tick(min(done, total), total)
