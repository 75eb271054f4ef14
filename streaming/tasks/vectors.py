"""Learning the item vectors from `sessions` and `items`, each step of a session once."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from nextclick.codec import decode_item
from nextclick.topics import COMMANDS, ITEMS, RANKER, VECTORS, VECTORS_MODEL, topic
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import Step
from online_models.learners.vector_items import SESSION_ITEMS
from online_models.learners.vectors import VectorLearner
from online_models.tables.content_tokens import item_tokens
from records.item_vectors import ItemVectors, encode
from records.limited import decode_session
from records.session_life import Applied
from streaming.output import Output
from streaming.raw_record import RawRecord
from streaming.tasks.session_notes import SessionNotes
from streaming.tasks.task import FORMER_NOTE, Progress, TaskOptions, pack_meta, unpack_meta

MOST_PUBLISHED = 2_000
"""The most items in one publication: some 50 ms of work."""

_FORMER = struct.Struct("<IiQQ")
"""A note of the version before: version, slot, incarnation, and time of arrival of the last event,
of a session; the version before that had the first two only."""


class VectorsTask:
    """Learns each step whose seq is above the version of the session that it has seen.

    So records may be repeated or missing, since the next one has all steps. A late step, sorted in
    before others, is counted but not learned: what came next is already known. A session that has
    returned (`records.session_life`) is learned as a new one. While the task is late, it passes
    over the sessions that are not in the sample (`records.session_sample`).
    """

    def __init__(self, options: TaskOptions) -> None:
        self._items = topic(ITEMS, options.tenant)
        self._commands = topic(COMMANDS, options.tenant)
        self._learner = VectorLearner(options.max_items, options.seed)
        self._notes = SessionNotes()
        self.progress = Progress(VECTORS_MODEL)
        self._dirty = True
        self._offsets: list[int] = []

    @property
    def learned(self) -> int:
        """Clicks learned."""
        return self._learner.clicks

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """See `StreamTask.load`."""
        state, model = unpack_meta(meta)
        self.progress.take_over(state)
        self._offsets = list(state.offsets)
        self._learner.load(model, self._take_over(self._notes.load(rows)))

    def _take_over(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Load the notes of the versions before; yield the other rows."""
        for name, row in rows:
            if name.startswith(FORMER_NOTE):
                note = _FORMER.unpack(row.ljust(_FORMER.size, b"\0"))
                version, slot, incarnation, appended_ms = note
                applied = Applied(incarnation, version, appended_ms)
                self._notes.put(name[len(FORMER_NOTE) :], applied, slot)
            else:
                yield name, row

    def apply(self, record: RawRecord) -> None:
        """See `StreamTask.apply`."""
        self._dirty = True
        if record.topic == self._commands:
            self.progress.command(record)
        elif record.topic == self._items:
            if record.value:  # a tombstone follows long after the deletion
                self._apply_item(record.value)
        else:
            missing = record.partition + 1 - len(self._offsets)
            self._offsets += [0] * missing
            self._offsets[record.partition] = record.offset + 1
            self.progress.note_arrival(record.append_time_ms)
            if record.value:
                self._apply_session(record.value, record.append_time_ms)

    def _apply_item(self, value: bytes) -> None:
        item = decode_item(value)
        if item.deleted:
            self._learner.withdraw(item.item_id)
            return
        tokens = item_tokens(item.categories, item.attributes, item.title)
        self._learner.put_item(item.item_id, tokens)

    def _apply_session(self, value: bytes, arrived_ms: int) -> None:
        record = decode_session(value, arrived_ms)
        applied, slot = self._notes.get(record.session_id)
        if not applied.precedes(record):
            return
        if applied.returns(record):
            slot = -1
        version = applied.version_in(record)
        taken = self.progress.sample.takes(record.session_id, record.incarnation)
        learns = taken and not self.progress.paused
        steps = record.steps
        if steps and steps[-1].seq == record.version == version + 1:
            # Nearly always: one more step, at the end.
            self.progress.count(record.session_id, record.version, passed_over=not taken)
            if learns:
                before = [step.item_id for step in steps[-1 - SESSION_ITEMS : -1]]
                slot = self._learner.learn(slot, before, steps[-1].item_id)
        else:
            for at, step in sorted(enumerate(steps), key=lambda entry: entry[1].seq):
                if step.seq > version:
                    self.progress.count(record.session_id, step.seq, passed_over=not taken)
                    if learns:
                        slot = self._learn_step(steps, at, step, slot)
        self._notes.put(record.session_id, Applied.after(record), slot)

    def _learn_step(self, steps: Iterable[Step], at: int, step: Step, slot: int) -> int:
        before: list[str] = []
        for place, other in enumerate(steps):
            if other.seq < step.seq:
                if place > at:
                    return slot
                before.append(other.item_id)
        return self._learner.learn(slot, before, step.item_id)

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """See `StreamTask.changes`."""
        meta, rows = self._learner.changes()
        return pack_meta(self._state(0), meta), rows | self._notes.changes()

    def publish(self, now_ms: int) -> Iterator[Output]:
        """See `StreamTask.publish`: tombstones, vectors, then the learner's progress.

        In this order, an item that has left and come back keeps its new vectors.
        """
        for item_id in self._learner.gone(MOST_PUBLISHED):
            yield Output(VECTORS, item_id.encode(), b"")
        for item_id, vectors in self._learner.to_publish(MOST_PUBLISHED):
            context, target = vectors
            record = ItemVectors(context, target, self.learned, self._offsets)
            yield Output(VECTORS, item_id.encode(), encode(record))
            self._dirty = True  # whoever sees the same version twice has seen all
        if self.progress.adapt(now_ms) or self._dirty:
            self._dirty = False
            self.progress.version += 1
            state = self._state(now_ms)
            yield Output(RANKER, VECTORS_MODEL.encode(), state.SerializeToString())

    def _state(self, now_ms: int) -> pb.LearnerState:
        state = self.progress.state(self.learned, now_ms)
        state.offsets.extend(self._offsets)
        return state
