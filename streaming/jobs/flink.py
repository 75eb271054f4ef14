"""The Flink part of a job: whole Kafka records in and out, through the Java helper.

Thread mode, at-least-once: outputs are absolute and versioned, so duplicates are harmless, and a
record is visible within milliseconds instead of at the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflink.common import Configuration, Row, Time, Types, WatermarkStrategy
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import OutputTag, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee, Sink, Source
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer
from pyflink.datastream.data_stream import DataStream, KeyedStream
from pyflink.datastream.state import StateTtlConfig
from pyflink.java_gateway import get_gateway

from connections.kafka import java_properties
from nextclick.topics import FETCH_WAIT_MS, topic
from settings.jobs import JobSettings, StateBackend
from settings.load import load
from streaming.jobs.arguments import NOTHING, Sent
from streaming.output import Handover, Output
from streaming.raw_record import RawRecord

_STATE_BACKENDS: dict[StateBackend, dict[str, str]] = {
    "heap": {"state.backend.type": "hashmap"},
    "rocksdb": {
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        # All of the slot's managed memory is RocksDB's, and all that it has: in thread mode, Python
        # takes none.
        "state.backend.rocksdb.memory.managed": "true",
        "python.fn-execution.memory.managed": "false",
        # Nearly every second look-up is for a session or a row that is not there.
        "state.backend.rocksdb.use-bloom-filter": "true",
    },
}


DISCOVERY_MS = 300_000
"""Pause between two looks for new partitions, which are read from their start. A look that fails
for a minute fails the job, which then resumes from its last checkpoint: so it is not often."""


CLEANED_AT_ONCE, CLEANED_BY_ONE_CLOCK = 5, 1_000
"""Entries of state that each access looks at, on the heap, and that RocksDB does between two looks
at the clock: Flink's own defaults."""


def output_type() -> TypeInformation:
    """Return the type of rows that `write_records` takes: topic, key, value, headers."""
    blob = Types.PRIMITIVE_ARRAY(Types.BYTE())
    return Types.ROW([Types.STRING(), blob, blob, Types.STRING()])


def output_row(output: Output, tenant: str) -> Row:
    """Return a row of `output_type`."""
    return Row(topic(output.topic, tenant), output.key, output.value, output.headers)


def handover_tag() -> OutputTag:
    """Return the tag of what an operator hands over to the next one, besides what it publishes."""
    return OutputTag("handed-over", Types.ROW([Types.STRING(), _record_type()]))


def handover_row(handed: Handover) -> Row:
    """Return a row of ``Records.keyedType``, as if it was read from a topic."""
    value, key, topic, partition, offset, append_time_ms, replayed = handed.record
    record = Row(value, key, topic, partition, offset, append_time_ms, int(replayed))
    return Row(handed.key, record)


def handed_over(stream: DataStream) -> DataStream:
    """Return what the operator before hands over: a stream like those of `read`.

    PyFlink's own method would send each row through Python once more, to change nothing.
    """
    return DataStream(stream._j_data_stream.getSideOutput(handover_tag().get_java_output_tag()))


def environment(parallelism: int = 1, sent: Sent = NOTHING) -> StreamExecutionEnvironment:
    """Return an environment in thread mode, with the state backend of `JobSettings`.

    The cluster or the client that submits the job configures when checkpoints are taken, where they
    go, restarts, and the interpreter.

    Parameters
    ----------
    parallelism
        Parallel instances of each operator.
    sent
        What the cluster lacks.
    """
    config = Configuration()
    config.set_string("python.execution-mode", "thread")
    config.set_string("pipeline.object-reuse", "true")
    # Waiting for full buffers costs milliseconds; without it, 5 ms were measured end to end.
    config.set_string("execution.buffer-timeout.interval", "0 ms")
    for name, value in _STATE_BACKENDS[load(JobSettings).state_backend].items():
        config.set_string(name, value)
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(parallelism)
    if sent.jars:
        env.add_jars(*sent.jars)
    if sent.packages:
        env.add_python_file(sent.packages)
    return env


def read(
    env: StreamExecutionEnvironment,
    kafka: str,
    topics: Sequence[str],
    group: str,
    *,
    uid: str,
    fetch_bytes: int = 1,
) -> DataStream:
    """Return the records of topics from their beginning.

    Parameters
    ----------
    env, kafka, topics, group
        The job's environment, bootstrap servers, topics and consumer group. After a restart, the
        positions are those of the checkpoint.
    uid
        Name of the source; a job resumes from the positions stored under it.
    fetch_bytes
        The broker answers a fetch with so many bytes, or after `FETCH_WAIT_MS`.

    Returns
    -------
    A stream of rows of ``Records.keyedType``.
    """
    jvm: Any = get_gateway().jvm
    names = jvm.java.util.ArrayList()
    for name in topics:
        names.add(name)
    builder = (
        _connected(jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder(), kafka)
        .setTopics(names)
        .setGroupId(group)
        .setStartingOffsets(KafkaOffsetsInitializer.earliest()._j_initializer)
        .setDeserializer(jvm.nextclick.Records.Reader())
        .setProperty("partition.discovery.interval.ms", str(DISCOVERY_MS))
        .setProperty("fetch.max.wait.ms", str(FETCH_WAIT_MS))
        .setProperty("fetch.min.bytes", str(fetch_bytes))
    )
    rows = Types.ROW([Types.STRING(), _record_type()])
    return env.from_source(
        Source(builder.build()), WatermarkStrategy.no_watermarks(), uid, rows
    ).uid(uid)


def keyed(stream: DataStream) -> KeyedStream:
    """Key a stream of rows by their first field, a text; its function sees the second one."""
    jvm: Any = get_gateway().jvm
    key_type = Types.ROW([Types.STRING()]).get_java_type_info()
    by_key = stream._j_data_stream.keyBy(jvm.nextclick.Records.Key(), key_type)
    return KeyedStream(by_key, Types.STRING(), stream)


def raw_record(row: Row) -> RawRecord:
    """Return a row of ``Records.recordType`` as a record."""
    value, key, topic, partition, offset, append_time_ms, replayed = row
    return RawRecord(
        bytes(value), bytes(key), topic, partition, offset, append_time_ms, replayed == 1
    )


def time_to_live(ttl_ms: int) -> StateTtlConfig:
    """Return the configuration of state that expires when it is unchanged for some milliseconds.

    It is cleaned up in the background as it would be by default. PyFlink's default for RocksDB
    starts a Java of its own in the TaskManager, for a duration that nothing reads; and it fails
    where ``JAVA_HOME`` is not set.
    """
    return (
        StateTtlConfig.new_builder(Time.milliseconds(ttl_ms))
        .disable_cleanup_in_background()  # it is told here instead
        .cleanup_incrementally(CLEANED_AT_ONCE, False)
        .cleanup_in_rocksdb_compact_filter(CLEANED_BY_ONE_CLOCK, Time.days(30))
        .build()
    )


def write_records(stream: DataStream, kafka: str, *, uid: str) -> None:
    """Write rows of `output_type` to their topics; ``uid`` is the name of the sink."""
    jvm: Any = get_gateway().jvm
    builder = (
        _connected(jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder(), kafka)
        .setRecordSerializer(jvm.nextclick.Records.Writer())
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE._to_j_delivery_guarantee())
        .setProperty("acks", "all")
        .setProperty("compression.type", "lz4")
    )
    stream.sink_to(Sink(builder.build())).name(uid).uid(uid)


def _connected(builder: Any, kafka: str) -> Any:
    """Return the builder of a source or a sink, told how to reach Kafka by `JobSettings`."""
    builder.setBootstrapServers(kafka)
    for name, value in java_properties(load(JobSettings)).items():
        builder.setProperty(name, value)
    return builder


def _record_type() -> TypeInformation:
    blob = Types.PRIMITIVE_ARRAY(Types.BYTE())
    integer, long = Types.INT(), Types.LONG()
    return Types.ROW([blob, blob, Types.STRING(), integer, long, long, integer])
