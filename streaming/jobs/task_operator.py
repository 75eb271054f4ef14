"""The Flink operator that hosts a `StreamTask`: its model in keyed state, each record applied once.

It gets records in batches (`streaming.jobs.batches`). All of a batch are applied, and the counters
and changed rows written, in the same call. So every checkpoint is consistent, and after a restart
the task continues from it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from records.refused import RefusedRecords
from streaming.jobs.batches import unpack
from streaming.jobs.flink import output_row, time_to_live
from streaming.jobs.registry import REFUSED
from streaming.raw_record import RawRecord
from streaming.tasks.checked import apply_checked
from streaming.tasks.task import FORMER_NOTE, StreamTask

FORMER_TTL_MS = 48 * 3_600_000
"""How long the versions before kept a note, as their state says."""


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
        notes = runtime_context.get_map_state(MapStateDescriptor("notes", text, blob))
        seen = MapStateDescriptor("seen", text, blob)
        seen.enable_time_to_live(time_to_live(FORMER_TTL_MS))
        self._former_notes = (notes, runtime_context.get_map_state(seen))
        """The notes on sessions of the versions before; their tasks' rows now."""
        self._former_waiting = runtime_context.get_map_state(
            MapStateDescriptor("waiting", Types.INT(), blob)
        )
        """Records that the version before had read, but not applied, each with its number."""
        self._task: StreamTask | None = None

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Apply a batch; at a tick, publish what has changed."""
        task = self._task or self._start()
        records, tick = unpack(value)
        self._apply(task, records)
        if tick:
            self._refused.report()
            outputs = list(task.publish(ctx.timer_service().current_processing_time()))
            if outputs:
                self._save(task)
            for output in outputs:
                yield output_row(output, self._tenant)

    def _start(self) -> StreamTask:
        """Make the task and load its state; reading that needs a key, hence a record."""
        self._task = task = self._make()
        count, counters = self._meta.value() or (0, None)
        if counters is not None:
            task.load(counters, chain(self._rows.items(), self._notes_before()))
            self._save(task)
            for former in self._former_notes:
                former.clear()
        waiting = [entry for entry in self._former_waiting.values() if entry[0] > count]
        self._apply(task, [RawRecord(*raw) for _, raw in sorted(waiting)])
        self._former_waiting.clear()
        return task

    def _notes_before(self) -> Iterator[tuple[str, bytes]]:
        """Yield the notes of the versions before, as rows for `StreamTask.load`."""
        notes, seen = self._former_notes
        for name, entry in notes.items():
            if name[0] == "n":  # The others are the queue in which they expired.
                yield FORMER_NOTE + name[1:], bytes(entry[1])
        for name, note in seen.items():
            yield FORMER_NOTE + name, bytes(note)

    def _apply(self, task: StreamTask, records: list[RawRecord]) -> None:
        for raw in records:
            apply_checked(task, raw, self._refused, self._tenant)
        if records:
            self._save(task)

    def _save(self, task: StreamTask) -> None:
        meta, rows = task.changes()
        self._rows.put_all({name: row for name, row in rows.items() if row})
        for name, row in rows.items():
            if not row:
                self._rows.remove(name)
        self._meta.update((0, meta))  # none waits: the version before kept the last one's number
