"""What the tasks of the stream have in common: their protocol, and the progress of a learner.

Pure: a task gets records in order and returns what has changed. Storing that, and deciding when to
publish, is up to its host (``jobs/task_operator.py``; a test).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError

from nextclick.topics import COMMANDS
from nextclick.v1 import learning_pb2 as pb
from records.errors import RecordError
from records.limited import check_size
from streaming.output import Output
from streaming.raw_record import RawRecord

MODULUS = 1 << 64
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
        """Apply a record."""

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """Return counters and rows that have changed since the last call."""

    def publish(self, now_ms: int) -> Iterator[Output]:
        """Yield what has changed since the last call, as absolute values."""


@dataclass(slots=True)
class Progress:
    """What a learner has applied, and its last commands."""

    model: str
    applied: int = 0
    checksum: int = 0
    version: int = 0
    paused: bool = False
    rolled_back_to: int = 0
    kept: list[int] = field(default_factory=list)

    def count(self, session_id: str, seq: int) -> None:
        """Count a click or example, identified by session and ``seq``."""
        self.applied += 1
        name = f"{session_id}#{seq}".encode()
        self.checksum = (self.checksum + zlib.crc32(name)) % MODULUS

    def state(self, learned: int, now_ms: int) -> pb.LearnerState:
        """Return the record with the learner's progress."""
        return pb.LearnerState(
            version=self.version,
            applied=self.applied,
            checksum=self.checksum,
            learned=learned,
            paused=self.paused,
            rolled_back_to=self.rolled_back_to,
            kept_versions=self.kept,
            timestamp_ms=now_ms,
        )

    def take_over(self, state: pb.LearnerState) -> None:
        """Continue from a state."""
        self.version, self.applied, self.checksum = state.version, state.applied, state.checksum
        self.paused, self.rolled_back_to = state.paused, state.rolled_back_to
        self.kept = list(state.kept_versions)

    def command(self, record: RawRecord) -> pb.LearnerCommand | None:
        """Execute and return a command for this model; None for other models or unreadable ones."""
        if record.key != self.model.encode():
            return None
        try:
            check_size(COMMANDS, record.key, record.value)
            command = pb.LearnerCommand.FromString(record.value)
        except (RecordError, DecodeError):
            return None
        kinds = pb.LearnerCommand
        if command.kind in (kinds.KIND_PAUSE, kinds.KIND_RESUME):
            self.paused = command.kind == kinds.KIND_PAUSE
        return command
