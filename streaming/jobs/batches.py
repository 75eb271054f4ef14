"""Records in batches, for a model that learns from all of them in one place.

A call from Java into Python costs as much as the work on a record; so the Java helper packs the
records of some moments, and passes them on before each checkpoint.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from pyflink.common import Row
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.data_stream import DataStream, KeyedStream
from pyflink.java_gateway import get_gateway

from nextclick.topics import PATIENT_FETCH_BYTES
from streaming.jobs.flink import keyed, read
from streaming.raw_record import RawRecord

BATCH = 256
"""Records in a batch; a row of state that several of them change is written once: with 64, a click
writes 17 of the vectors job's rows, with 256, 8."""

BATCH_BYTES = 1 << 20
"""Size that ends a batch early; one record more may be in it."""

TICK_MS = 500
"""Milliseconds between two ticks: when a batch is passed on that is not full, or has no records."""

_HEADER = struct.Struct("<iiiiiqq")
"""What precedes a record: sizes of value, key and topic, partition, 1 if replayed, offset, time."""


def read_batches(
    env: StreamExecutionEnvironment, kafka: str, topics: Sequence[str], group: str, *, uid: str
) -> KeyedStream:
    """Return the records of topics in batches, all with the same key.

    Parameters are those of `streaming.jobs.flink.read`. Records are fetched in batches, and arrive
    up to `FETCH_WAIT_MS` and `TICK_MS` late.

    Returns
    -------
    A stream whose function sees rows for `unpack`.
    """
    jvm: Any = get_gateway().jvm
    records = read(env, kafka, topics, group, uid=uid, fetch_bytes=PATIENT_FETCH_BYTES)
    batches = records._j_data_stream.transform(
        f"{uid}-batches",
        jvm.nextclick.Batches.batchType(),
        jvm.nextclick.Batches(BATCH, BATCH_BYTES, TICK_MS),
    )
    return keyed(DataStream(batches))


def unpack(row: Row) -> tuple[list[RawRecord], bool]:
    """Return the records of a batch (see ``Batches.java``), and whether it was passed on by a tick.

    Parameters
    ----------
    row
        The records packed, and 1 at a tick.
    """
    packed, tick = row
    return list(_records(bytes(packed))), tick == 1


def _records(packed: bytes) -> Iterator[RawRecord]:
    at = 0
    while at < len(packed):
        n_value, n_key, n_topic, partition, replayed, offset, time_ms = _HEADER.unpack_from(
            packed, at
        )
        value = at + _HEADER.size
        key = value + n_value
        topic = key + n_key
        at = topic + n_topic
        yield RawRecord(
            packed[value:key],
            packed[key:topic],
            packed[topic:at].decode(),
            partition,
            offset,
            time_ms,
            replayed == 1,
        )
