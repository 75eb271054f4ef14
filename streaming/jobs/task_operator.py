"""The Flink operator that hosts a `StreamTask`: its model in keyed state, each record applied once.

Records are buffered in state until a mini-batch is full or a timer fires; then they are applied,
and the counters and changed rows are written in the same call. So every checkpoint is consistent,
and after a restart the task continues from it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, StateTtlConfig, ValueStateDescriptor

from streaming.jobs.flink import output_row, raw_record
from streaming.raw_record import RawRecord
from streaming.tasks.task import StreamTask

BATCH = 64
"""Records in a mini-batch; a row that several of them change is written once."""

PUBLISH_MS = 500
SEEN_HOURS = 48
"""Hours until a task's notes on an idle session expire."""


class TaskOperator(KeyedProcessFunction):
    """Hosts one task; all records have one key.

    Parameters
    ----------
    make
        Constructs the task, on the TaskManager.
    tenant
        Prefix of the topics that it publishes to.
    """

    def __init__(self, make: Callable[[], StreamTask], tenant: str) -> None:
        self._make = make
        self._tenant = tenant

    def open(self, runtime_context: RuntimeContext) -> None:
        """Declare the state; reading it needs a key, so that happens with the first record."""
        blob, text = Types.PICKLED_BYTE_ARRAY(), Types.STRING()
        self._meta = runtime_context.get_state(ValueStateDescriptor("meta", blob))
        self._rows = runtime_context.get_map_state(MapStateDescriptor("rows", text, blob))
        self._waiting = runtime_context.get_map_state(
            MapStateDescriptor("waiting", Types.INT(), blob)
        )
        seen = MapStateDescriptor("seen", text, blob)
        seen.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(SEEN_HOURS)).build())
        self._seen = BufferedMap(runtime_context.get_map_state(seen))
        self._task: StreamTask | None = None
        self._batch: list[RawRecord] = []
        self._count = 0
        """Records so far; the last ``len(self._batch)`` of them are buffered."""

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Buffer one record (see ``Records.recordType``)."""
        if self._task is None:
            self._start(ctx)
        raw = raw_record(value)
        self._count += 1
        self._batch.append(raw)
        if len(self._batch) == BATCH:
            self._apply_batch()
        else:
            self._waiting.put(len(self._batch), (self._count, tuple(raw)))
        return iter(())

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Apply the buffered records and publish what has changed."""
        if self._task is None:
            self._start(ctx)
        assert self._task is not None
        self._apply_batch()
        outputs = list(self._task.publish(timestamp))
        if outputs:
            self._save()
        for output in outputs:
            yield output_row(output, self._tenant)
        ctx.timer_service().register_processing_time_timer(timestamp + PUBLISH_MS)

    def _start(self, ctx: Any) -> None:
        self._task = self._make()
        meta = self._meta.value()
        if meta is not None:
            self._count, counters = meta
            self._task.load(counters, self._rows.items())
        waiting = [entry for entry in self._waiting.values() if entry[0] > self._count]
        for count, raw in sorted(waiting):
            self._batch.append(RawRecord(*raw))
            self._count = count
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + PUBLISH_MS)

    def _apply_batch(self) -> None:
        assert self._task is not None
        if not self._batch:
            return
        for raw in self._batch:
            self._task.apply(raw, self._seen)
        self._batch.clear()
        self._save()

    def _save(self) -> None:
        assert self._task is not None
        self._seen.write()
        meta, rows = self._task.changes()
        self._rows.put_all({name: row for name, row in rows.items() if row})
        for name, row in rows.items():
            if not row:
                self._rows.remove(name)
        self._meta.update((self._count, meta))


class BufferedMap(MutableMapping[str, bytes]):
    """A map state whose changes are written at the end of a batch."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._changed: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> bytes:
        if key in self._changed:
            return self._changed[key]
        value = self._state.get(key)
        if value is None:
            raise KeyError(key)
        return bytes(value)

    def __setitem__(self, key: str, value: bytes) -> None:
        self._changed[key] = value

    def __delitem__(self, key: str) -> None:
        self._changed.pop(key, None)
        self._state.remove(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def write(self) -> None:
        """Write what was set."""
        if self._changed:
            self._state.put_all(self._changed)
            self._changed = {}
