"""Operators that host a pure function: state of a key and record in, new state and outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    TimerService,
)
from pyflink.datastream.data_stream import DataStream
from pyflink.datastream.state import ValueStateDescriptor

from nextclick.topics import topic
from streaming.jobs.arguments import NOTHING, Sent
from streaming.jobs.flink import (
    environment,
    handover_row,
    handover_tag,
    keyed,
    output_row,
    output_type,
    raw_record,
    read,
    time_to_live,
    write_records,
)
from streaming.jobs.registry import Job, Part
from streaming.output import Handover, Output, Wake
from streaming.raw_record import RawRecord

Outputs = Sequence[Output | Handover] | Sequence[Output | Wake]

KeyedFunction = Callable[
    [bytes | None, RawRecord], tuple[bytes | None, Sequence[Output | Handover]]
]
"""Returns the key's state after a record (the same object where nothing changes), and outputs."""

Woken = tuple[bytes | None, Sequence[Output | Wake]]
"""The key's state, and outputs with the times at which the key is looked at again."""


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
        self._handed = handover_tag()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Process one record (see ``Records.recordType``)."""
        before = self._state.value()
        yield from self._results(before, self._process(before, raw_record(value)))

    def _results(self, before: bytes | None, done: tuple[bytes | None, Outputs]) -> Iterator[Any]:
        """Write the state, if it is another one, and yield rows for what is published."""
        after, outputs = done
        if after is None and before is not None:
            self._state.clear()
        elif after is not before:
            self._state.update(after)
        for output in outputs:
            if isinstance(output, Output):
                yield output_row(output, self._tenant)
            elif isinstance(output, Handover):
                yield self._handed, handover_row(output)


class TimedProcess(KeyedProcess):
    """Hosts a pure function that also says when it wants to look at a key again.

    Parameters
    ----------
    process
        The function of a record; it also gets the time on Flink's clock.
    wake
        The function of that time alone, once one comes that a `Wake` has named.
    tenant, state
        See `KeyedProcess`. The state does not expire: the functions end it.
    """

    def __init__(
        self,
        process: Callable[[bytes | None, RawRecord, int], Woken],
        wake: Callable[[bytes | None, int], Woken],
        tenant: str,
        state: str,
    ) -> None:
        super().__init__(lambda *_: (None, ()), tenant, state)
        self._timed = process
        self._wake = wake

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Process one record (see ``Records.recordType``)."""
        timers = ctx.timer_service()
        before = self._state.value()
        done = self._timed(before, raw_record(value), timers.current_processing_time())
        self._set(timers, done[1])
        yield from self._results(before, done)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        """Look at a key."""
        timers = ctx.timer_service()
        before = self._state.value()
        done = self._wake(before, max(timestamp, timers.current_processing_time()))
        self._set(timers, done[1])
        yield from self._results(before, done)

    def _set(self, timers: TimerService, outputs: Sequence[Output | Wake]) -> None:
        """Set the timers that were asked for, in the place of those before."""
        for output in outputs:
            if isinstance(output, Wake):
                if output.instead_of_ms:
                    timers.delete_processing_time_timer(output.instead_of_ms)
                timers.register_processing_time_timer(output.at_ms)


def run(
    job: Job,
    process: KeyedFunction,
    *,
    kafka: str,
    tenant: str,
    uid: str,
    state: str,
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
    kafka, tenant, uid
        See `add`.
    state
        See `KeyedProcess`.
    out_tenant
        Prefix of the topics that are written, if it differs.
    sent
        What the cluster lacks.
    """
    (part,) = job.parts
    env = environment(sent=sent)
    operator = KeyedProcess(process, tenant if out_tenant is None else out_tenant, state)
    add(env, part, operator, kafka=kafka, tenant=tenant, uid=uid)
    env.execute(topic(job.name, tenant))


def add(
    env: StreamExecutionEnvironment,
    part: Part,
    operator: KeyedProcess,
    *,
    kafka: str,
    tenant: str,
    uid: str,
    beside: DataStream | None = None,
) -> DataStream:
    """Add a part to a job: what it reads, its operator, and what it publishes.

    Parameters
    ----------
    env
        The job's environment.
    part, operator
        The part's declaration, and what hosts its function.
    kafka, tenant
        Bootstrap servers, and the prefix of the topics.
    uid
        Name of the operator; a job resumes from the state stored under it.
    beside
        What another part hands over to it (`handed_over`).

    Returns
    -------
    What the operator publishes.
    """
    names = [topic(name, tenant) for name in part.topics]
    records = read(env, kafka, names, topic(part.group, tenant), uid=part.topics[0])
    if beside is not None:
        records = records.union(beside)
    out = keyed(records).process(operator, output_type()).name(uid).uid(uid)
    write_records(out, kafka, uid=part.name)
    return out
