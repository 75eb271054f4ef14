"""A job that hosts a pure function: state of a key and record in, new state and outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor

from nextclick.topics import topic
from streaming.jobs.arguments import NOTHING, Sent
from streaming.jobs.flink import (
    environment,
    output_row,
    output_type,
    raw_record,
    read_keyed,
    time_to_live,
    write_records,
)
from streaming.jobs.registry import Job
from streaming.output import Output
from streaming.raw_record import RawRecord

KeyedFunction = Callable[[bytes | None, RawRecord], tuple[bytes | None, Sequence[Output]]]
"""Returns the key's state after a record (the same object where nothing changes), and outputs."""


class KeyedProcess(KeyedProcessFunction):
    """Hosts a pure function.

    Parameters
    ----------
    process
        The function.
    tenant
        Prefix of the topics that it publishes to.
    state
        Name of the state; a job resumes from the state stored under it.
    ttl_ms
        Milliseconds until an unchanged key's state expires, in processing time; None: never.
    """

    def __init__(
        self, process: KeyedFunction, tenant: str, state: str, ttl_ms: int | None = None
    ) -> None:
        self._process = process
        self._tenant = tenant
        self._name = state
        self._ttl_ms = ttl_ms

    def open(self, runtime_context: RuntimeContext) -> None:
        """Declare the state."""
        descriptor = ValueStateDescriptor(self._name, Types.PICKLED_BYTE_ARRAY())
        if self._ttl_ms is not None:
            descriptor.enable_time_to_live(time_to_live(self._ttl_ms))
        self._state = runtime_context.get_state(descriptor)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Process one record (see ``Records.recordType``)."""
        before = self._state.value()
        after, outputs = self._process(before, raw_record(value))
        if after is None and before is not None:
            self._state.clear()
        elif after is not before:
            self._state.update(after)
        for output in outputs:
            yield output_row(output, self._tenant)


def run(
    job: Job,
    process: KeyedFunction,
    *,
    kafka: str,
    tenant: str,
    uid: str,
    state: str,
    ttl_ms: int | None = None,
    parallelism: int = 1,
    out_tenant: str | None = None,
    sent: Sent = NOTHING,
) -> None:
    """Build the graph of a job with one part and submit it to the cluster.

    Parameters
    ----------
    job
        The job's declaration.
    process
        The function that it hosts.
    kafka, tenant
        Bootstrap servers, and the prefix of the topics.
    uid
        Name of the operator; a job resumes from the state stored under it.
    state, ttl_ms
        See `KeyedProcess`.
    parallelism
        Parallel instances, a slot each.
    out_tenant
        Prefix of the topics that are written, if it differs.
    sent
        What the cluster lacks.
    """
    (part,) = job.parts
    env = environment(parallelism, sent)
    names = [topic(name, tenant) for name in part.topics]
    records = read_keyed(env, kafka, names, topic(part.group, tenant), uid=part.topics[0])
    operator = KeyedProcess(process, tenant if out_tenant is None else out_tenant, state, ttl_ms)
    out = records.process(operator, output_type()).name(uid).uid(uid)
    write_records(out, kafka, uid=part.name)
    env.execute(topic(job.name, tenant))
