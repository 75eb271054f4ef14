"""Where the last so many records of a partition begin.

Offsets do not tell: of a compacted log most records are gone, and their offsets stay. So the
records are counted, from the end of the partition backwards.
"""

from __future__ import annotations

import threading
from array import array
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

WINDOW = 100_000
"""Offsets that are counted at once, at first; more where few records are left."""

MOST_AT_ONCE = 5_000


def start_of_last(
    consumer: Consumer, part: TopicPartition, low: int, high: int, most: int, stop: threading.Event
) -> int:
    """Return the offset from which at most ``most`` records follow, and no fewer if there are more.

    Reads these records, and no more than `WINDOW` offsets before them.

    Parameters
    ----------
    consumer
        Reads; its assignment is replaced.
    part
        Topic and partition.
    low, high
        The partition's first offset, and the one after its last record.
    most
        Records.
    stop
        Once it is set, any offset is returned.

    Raises
    ------
    KafkaException
        If the partition cannot be read.
    """
    end, width, found = high, WINDOW, 0
    while end > low and not stop.is_set():
        start = max(low, end - width)
        offsets = _offsets(consumer, TopicPartition(part.topic, part.partition, start), end, stop)
        wanted = most - found
        if len(offsets) > wanted:
            return offsets[-wanted] if wanted else end
        found += len(offsets)
        end = start
        if len(offsets) < width // 2:
            width *= 2
    return low


def _offsets(
    consumer: Consumer, start: TopicPartition, end: int, stop: threading.Event
) -> array[int]:
    """Return the offsets of the records from a start to an end that are still there."""
    found = array("q")
    consumer.assign([start])
    while not stop.is_set():
        for message in consumer.consume(MOST_AT_ONCE, timeout=1.0):
            error, offset = message.error(), cast("int", message.offset())
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if offset >= end:
                return found
            if error is None:
                found.append(offset)
                if offset == end - 1:
                    return found
    return found
