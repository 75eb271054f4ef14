"""What the tasks of the stream have in common: their protocol, and the progress of a learner.

Pure: a task gets records in order and returns what has changed. Storing that, and deciding when to
publish, is up to its host (``jobs/task_operator.py``; a test).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError

from nextclick.v1 import learning_pb2 as pb
from records.checksum import add_click
from records.errors import RecordError
from records.session_sample import SessionSample
from streaming.output import Output
from streaming.raw_record import RawRecord

_SIZE = struct.Struct("<I")

FORMER_NOTE = "N"
"""Prefix of rows for `StreamTask.load` that are no rows: notes on a session (by its id), which
versions before this one kept in a state of their own."""


def pack_meta(state: pb.LearnerState, model: bytes) -> bytes:
    """Return the progress of a learner and what its model dumped, as bytes."""
    packed = state.SerializeToString()
    return _SIZE.pack(len(packed)) + packed + model


def unpack_meta(meta: bytes) -> tuple[pb.LearnerState, bytes]:
    """Return what `pack_meta` was given."""
    end = _SIZE.size + _SIZE.unpack_from(meta)[0]
    return pb.LearnerState.FromString(meta[_SIZE.size : end]), meta[end:]


class TaskOptions(NamedTuple):
    """Arguments that every task is constructed with.

    Parameters
    ----------
    tenant
        Prefix of the topics.
    max_items
        Items that may have vectors.
    seed
        Seed of everything random.
    """

    tenant: str = ""
    max_items: int = 1 << 18
    seed: int = 0


class StreamTask(Protocol):
    """A learner or a score, whose state is counters (meta) and named rows.

    Tasks are constructed with `TaskOptions`.
    """

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """Load all that `changes` has ever returned, the latest row of each name."""

    def apply(self, record: RawRecord) -> None:
        """Apply a record, which is no larger than its topic's may be (`checked`).

        Raises
        ------
        RecordError, InvalidEventError
            If it is not what its topic holds, or beyond a limit; it is passed over then.
        """

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """Return counters and rows that have changed since the last call."""

    def publish(self, now_ms: int) -> Iterator[Output]:
        """Yield what has changed since the last call, as absolute values."""


@dataclass(slots=True)
class Progress:
    """What a learner has applied, what of it it has passed over, and its last commands."""

    model: str
    applied: int = 0
    repetitions: int = 0
    checksum: int = 0
    passed_over: int = 0
    passed_over_checksum: int = 0
    sample: SessionSample = field(default_factory=SessionSample)
    version: int = 0
    paused: bool = False
    rolled_back_to: int = 0
    kept: list[int] = field(default_factory=list)
    _oldest_ms: int | None = None
    """When the oldest of the records arrived that were applied since `adapt` was called."""
    _unread: bool = True
    """Whether no record has arrived since the start."""

    def note_arrival(self, arrived_ms: int) -> None:
        """Note when a record arrived that is applied now."""
        self._unread = False
        if self._oldest_ms is None or arrived_ms < self._oldest_ms:
            self._oldest_ms = arrived_ms

    def adapt(self, now_ms: int) -> bool:
        """Sample sessions while the learner is late; return whether that has begun or ended."""
        if self._unread:  # how late it is, is not known
            return False
        late_ms = 0 if self._oldest_ms is None else now_ms - self._oldest_ms
        self._oldest_ms = None
        return self.sample.adapt(late_ms, now_ms)

    def count(self, session_id: str, seq: int, *, passed_over: bool = False) -> None:
        """Count a click or example, identified by session and ``seq``."""
        self.applied += 1
        self.checksum = add_click(self.checksum, session_id, seq)
        if passed_over:
            self.passed_over += 1
            self.passed_over_checksum = add_click(self.passed_over_checksum, session_id, seq)

    def state(self, learned: int, now_ms: int) -> pb.LearnerState:
        """Return the record with the learner's progress."""
        state = pb.LearnerState(
            version=self.version,
            applied=self.applied,
            repetitions=self.repetitions,
            checksum=self.checksum,
            passed_over=self.passed_over,
            passed_over_checksum=self.passed_over_checksum,
            learned=learned,
            paused=self.paused,
            rolled_back_to=self.rolled_back_to,
            kept_versions=self.kept,
            timestamp_ms=now_ms,
        )
        self.sample.dump(state)
        return state

    def take_over(self, state: pb.LearnerState) -> None:
        """Continue from a state."""
        self.version, self.applied, self.checksum = state.version, state.applied, state.checksum
        self.repetitions = state.repetitions
        self.passed_over = state.passed_over
        self.passed_over_checksum = state.passed_over_checksum
        self.sample.load(state)
        self.paused, self.rolled_back_to = state.paused, state.rolled_back_to
        self.kept = list(state.kept_versions)

    def command(self, record: RawRecord) -> pb.LearnerCommand | None:
        """Execute and return a command for this model; None for one for another model.

        Raises
        ------
        RecordError
            If it is no command.
        """
        if record.key != self.model.encode():
            return None
        try:
            command = pb.LearnerCommand.FromString(record.value)
        except DecodeError as e:
            raise RecordError("record", f"is no LearnerCommand: {e}") from None
        kinds = pb.LearnerCommand
        if command.kind in (kinds.KIND_PAUSE, kinds.KIND_RESUME):
            self.paused = command.kind == kinds.KIND_PAUSE
        return command
