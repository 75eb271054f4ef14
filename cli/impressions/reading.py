"""Reads what a topic has since a time, to where it ends now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from cli.errors import CommandError
from connections.kafka import client_config
from connections.kafka_admin import Admin, KafkaFaultError
from connections.kafka_faults import fault_of, is_refusal
from evaluation.progress import Progress, silent
from nextclick.topics import topic
from settings.kafka import KafkaSettings
from settings.kafka_rights import OFF_POLICY, READ, TOPIC, Right

ANSWER_S, POLL_S, SILENT_S = 10.0, 0.5, 60.0
"""Seconds for an answer of Kafka's, for a poll, and without a record."""

AT_ONCE = 2_000
"""Records of a poll."""

BUFFER_KB = 16_384
"""What the client may hold ahead of what is read."""


class Arrived(NamedTuple):
    """A record, and when it arrived; ``value`` is None if it erases what its key names."""

    key: str
    value: bytes | None
    arrived_ms: int


def read_since(
    kafka: KafkaSettings, tenant: str, name: str, since_ms: int, progress: Progress = silent
) -> Iterator[Arrived]:
    """Yield the records of a topic that have arrived since a time, partition by partition in order.

    Parameters
    ----------
    kafka
        Where it is, and as whom to read.
    tenant
        Whose topic.
    name
        The topic, without tenant.
    since_ms
        The time, in milliseconds since 1970.
    progress
        Told how far it is.

    Raises
    ------
    CommandError
        If there is no such topic, or it cannot be read to its end.
    KafkaFaultError
        If it may not be read.
    """
    full = topic(name, tenant)
    held = Admin(kafka, log_level=0).list_topics(full, timeout=ANSWER_S).topics[full]
    if held.error is not None and is_refusal(held.error):
        raise _refused(held.error, kafka, full)
    if held.error is not None or not held.partitions:
        raise CommandError(
            f"Kafka has no topic {full}: `nextclick topics create` creates it; --kafka and "
            "--tenant say which one is meant"
        )
    consumer = Consumer(
        {
            **client_config(kafka),
            "group.id": topic(OFF_POLICY, tenant),
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": BUFFER_KB,
        }
    )
    try:
        asked = [TopicPartition(full, part, since_ms) for part in held.partitions]
        begins = consumer.offsets_for_times(asked, timeout=ANSWER_S)
        ends = {
            at.partition: consumer.get_watermark_offsets(at, timeout=ANSWER_S)[1] for at in begins
        }
        # -1 says that no record is that new.
        at = {p.partition: p.offset if p.offset >= 0 else ends[p.partition] for p in begins}
        unread = {part for part, offset in at.items() if offset < ends[part]}
        consumer.assign([TopicPartition(full, part, at[part]) for part in unread])
        yield from _to_end(consumer, kafka, full, at, ends, unread, progress)
    finally:
        consumer.close()


def _to_end(
    consumer: Consumer,
    kafka: KafkaSettings,
    full: str,
    at: dict[int, int],
    ends: dict[int, int],
    unread: set[int],
    progress: Progress,
) -> Iterator[Arrived]:
    begun, total, heard = dict(at), sum(ends.values()) - sum(at.values()), time.monotonic()
    while unread:
        messages = consumer.consume(AT_ONCE, timeout=POLL_S)
        heard = time.monotonic() if messages else heard
        if time.monotonic() - heard > SILENT_S:
            raise CommandError(f"Kafka has not sent {full} to its end; try again later")
        for message in messages:
            error, part = message.error(), message.partition() or 0
            if error is None:
                at[part] = (message.offset() or 0) + 1
                if at[part] <= ends[part]:
                    yield _arrived(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                at[part] = ends[part]  # of a compacted topic, the last records may be gone
            else:
                raise _refused(error, kafka, full)
        unread -= {part for part in unread if at[part] >= ends[part]}
        done = sum(min(at[part], ends[part]) - begun[part] for part in at)
        progress(f"reading {full}", done, total, "")


def _arrived(message: Message) -> Arrived:
    key, value = message.key() or b"", message.value()
    name = key if isinstance(key, str) else key.decode(errors="replace")
    raw = value.encode() if isinstance(value, str) else value
    return Arrived(name, raw, int(message.timestamp()[1]))


def _refused(error: KafkaError, kafka: KafkaSettings, name: str) -> KafkaFaultError:
    return KafkaFaultError(error, fault_of(error, kafka, Right(TOPIC, name, READ).told))
