"""The Flink operator that hosts a `StreamTask`: its model in keyed state, each record applied once.

Records are buffered in state until a mini-batch is full or a timer fires; then they are applied,
and the counters and changed rows are written in the same call. So every checkpoint is consistent,
and after a restart the task continues from it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, StateTtlConfig, ValueStateDescriptor

from records.refused import RefusedRecords
from streaming.jobs.flink import output_row, raw_record
from streaming.jobs.registry import REFUSED
from streaming.raw_record import RawRecord
from streaming.tasks.checked import apply_checked
from streaming.tasks.task import FORMER_NOTE, StreamTask

BATCH = 256
"""Records in a mini-batch; a row that several of them change is written once: with 64, a click
writes 17 of the vectors job's rows, with 256, 8."""

PUBLISH_MS = 500


class TaskOperator(KeyedProcessFunction):
    """Hosts one task; all records have one key.

    Parameters
    ----------
    make
        Constructs the task, on the TaskManager.
    tenant
        Prefix of the topics that it reads and publishes to.
    """

    def __init__(self, make: Callable[[], StreamTask], tenant: str) -> None:
        self._make = make
        self._tenant = tenant

    def open(self, runtime_context: RuntimeContext) -> None:
        """Declare the state; reading it needs a key, so that happens with the first record."""
        counter = runtime_context.get_metrics_group().counter(REFUSED)
        self._refused = RefusedRecords(lambda _: counter.inc())
        blob, text = Types.PICKLED_BYTE_ARRAY(), Types.STRING()
        self._meta = runtime_context.get_state(ValueStateDescriptor("meta", blob))
        self._rows = runtime_context.get_map_state(MapStateDescriptor("rows", text, blob))
        self._waiting = runtime_context.get_map_state(
            MapStateDescriptor("waiting", Types.INT(), blob)
        )
        notes = runtime_context.get_map_state(MapStateDescriptor("notes", text, blob))
        seen = MapStateDescriptor("seen", text, blob)
        seen.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(48)).build())
        self._former_notes = (notes, runtime_context.get_map_state(seen))
        """The notes on sessions of the versions before; their tasks' rows now."""
        self._task: StreamTask | None = None
        self._timer = 0
        """When the next timer fires; those that a checkpoint brings along are passed over."""
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
        if timestamp != self._timer:
            return
        assert self._task is not None
        self._apply_batch()
        self._refused.report()
        outputs = list(self._task.publish(ctx.timer_service().current_processing_time()))
        if outputs:
            self._save()
        for output in outputs:
            yield output_row(output, self._tenant)
        self._set_timer(ctx)

    def _start(self, ctx: Any) -> None:
        self._task = self._make()
        meta = self._meta.value()
        if meta is not None:
            self._count, counters = meta
            self._task.load(counters, chain(self._rows.items(), self._notes_before()))
            self._save()
            for former in self._former_notes:
                former.clear()
        waiting = [entry for entry in self._waiting.values() if entry[0] > self._count]
        for count, raw in sorted(waiting):
            self._batch.append(RawRecord(*raw))
            self._count = count
        self._set_timer(ctx)

    def _set_timer(self, ctx: Any) -> None:
        """Set the next timer, counted from now: what was missed is not caught up on."""
        timers = ctx.timer_service()
        self._timer = timers.current_processing_time() + PUBLISH_MS
        timers.register_processing_time_timer(self._timer)

    def _notes_before(self) -> Iterator[tuple[str, bytes]]:
        """Yield the notes of the versions before, as rows for `StreamTask.load`."""
        notes, seen = self._former_notes
        for name, entry in notes.items():
            if name[0] == "n":  # The others are the queue in which they expired.
                yield FORMER_NOTE + name[1:], bytes(entry[1])
        for name, note in seen.items():
            yield FORMER_NOTE + name, bytes(note)

    def _apply_batch(self) -> None:
        assert self._task is not None
        if not self._batch:
            return
        for raw in self._batch:
            apply_checked(self._task, raw, self._refused, self._tenant)
        self._batch.clear()
        self._save()

    def _save(self) -> None:
        assert self._task is not None
        meta, rows = self._task.changes()
        self._rows.put_all({name: row for name, row in rows.items() if row})
        for name, row in rows.items():
            if not row:
                self._rows.remove(name)
        self._meta.update((self._count, meta))
