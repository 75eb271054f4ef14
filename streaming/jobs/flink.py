"""Flink's side of a job: whole Kafka records in and out through the Java helper.

Thread mode, at-least-once: outputs are absolute and versioned, so a repetition is harmless
and a record is visible in milliseconds instead of at the next checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from pyflink.common import Configuration, Row, Types, WatermarkStrategy
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee, Sink, Source
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer
from pyflink.datastream.data_stream import DataStream, KeyedStream
from pyflink.java_gateway import get_gateway

from nextclick.topics import FETCH_WAIT_MS, PATIENT_FETCH_BYTES
from streaming.raw_record import RawRecord


def output_type() -> TypeInformation:
    """Type of rows that `write_records` takes: topic, key, value, headers."""
    blob = Types.PRIMITIVE_ARRAY(Types.BYTE())
    return Types.ROW([Types.STRING(), blob, blob, Types.STRING()])


def environment() -> StreamExecutionEnvironment:
    """Return an environment in thread mode; checkpoints and restarts are the cluster's."""
    config = Configuration()
    config.set_string("python.execution-mode", "thread")
    config.set_string("python.executable", sys.executable)
    config.set_string("pipeline.object-reuse", "true")
    # A buffer that waits to be full costs milliseconds; measured 5 ms end to end without.
    config.set_string("execution.buffer-timeout.interval", "0 ms")
    return StreamExecutionEnvironment.get_execution_environment(config)


def read_keyed(
    env: StreamExecutionEnvironment,
    kafka: str,
    topics: Sequence[str],
    group: str,
    name: str,
    *,
    apart: bool = True,
) -> KeyedStream:
    """Return the records of topics from their beginning, keyed by their Kafka key.

    The function behind sees rows of ``Records.recordType``. Positions are the checkpoint's.
    Not ``apart``: all records have one key, for a model that learns from all of them, and come in
    company, up to `FETCH_WAIT_MS` late.
    """
    jvm: Any = get_gateway().jvm
    names = jvm.java.util.ArrayList()
    for topic in topics:
        names.add(topic)
    builder = (
        jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder()
        .setBootstrapServers(kafka)
        .setTopics(names)
        .setGroupId(group)
        .setStartingOffsets(KafkaOffsetsInitializer.earliest()._j_initializer)
        .setDeserializer(jvm.nextclick.Records.Reader())
        .setProperty("partition.discovery.interval.ms", "-1")
        .setProperty("fetch.max.wait.ms", str(FETCH_WAIT_MS))
        .setProperty("fetch.min.bytes", "1" if apart else str(PATIENT_FETCH_BYTES))
    )
    rows = Types.ROW([Types.STRING(), _record_type()])
    stream = env.from_source(
        Source(builder.build()), WatermarkStrategy.no_watermarks(), name, rows
    ).uid(name)
    key_type = Types.ROW([Types.STRING()])
    key = jvm.nextclick.Records.Key() if apart else jvm.nextclick.Records.One()
    keyed = stream._j_data_stream.keyBy(key, key_type.get_java_type_info())
    return KeyedStream(keyed, Types.STRING(), stream)


def raw_record(row: Row) -> RawRecord:
    """Return a row of ``Records.recordType`` as a record."""
    value, key, topic, partition, offset, append_time_ms, replayed = row
    return RawRecord(
        bytes(value), bytes(key), topic, partition, offset, append_time_ms, replayed == 1
    )


def write_records(stream: DataStream, kafka: str, name: str) -> None:
    """Write rows of `output_type` to their topics."""
    jvm: Any = get_gateway().jvm
    builder = (
        jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder()
        .setBootstrapServers(kafka)
        .setRecordSerializer(jvm.nextclick.Records.Writer())
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE._to_j_delivery_guarantee())
        .setProperty("acks", "all")
        .setProperty("compression.type", "lz4")
    )
    stream.sink_to(Sink(builder.build())).name(name).uid(name)


def _record_type() -> TypeInformation:
    blob = Types.PRIMITIVE_ARRAY(Types.BYTE())
    integer, long = Types.INT(), Types.LONG()
    return Types.ROW([blob, blob, Types.STRING(), integer, long, long, integer])
