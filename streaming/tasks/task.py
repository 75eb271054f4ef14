"""What the tasks of the stream share: how they are fed, and where a learner stands.

Pure: a task gets records in order and says what has changed. Where that is stored, and when it
is published, is its host's business (``jobs/task_operator.py``; a test).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError

from nextclick.v1 import learning_pb2 as pb
from streaming.output import Output
from streaming.raw_record import RawRecord

MODULUS = 1 << 64
_SIZE = struct.Struct("<I")


def pack_meta(state: pb.LearnerState, model: bytes) -> bytes:
    """Return counters that hold where a learner stands and what its model dumped."""
    packed = state.SerializeToString()
    return _SIZE.pack(len(packed)) + packed + model


def unpack_meta(meta: bytes) -> tuple[pb.LearnerState, bytes]:
    """Return what `pack_meta` was given."""
    end = _SIZE.size + _SIZE.unpack_from(meta)[0]
    return pb.LearnerState.FromString(meta[_SIZE.size : end]), meta[end:]


class TaskOptions(NamedTuple):
    """What tasks are made with.

    Parameters
    ----------
    tenant
        Prefix of the topics.
    max_items
        Items that may have vectors.
    seed
        Seed of whatever is random.
    """

    tenant: str = ""
    max_items: int = 1 << 18
    seed: int = 0


class StreamTask(Protocol):
    """A learner, or a score, kept as counters (meta) and named rows.

    A task is made with `TaskOptions`.
    """

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """Take over what `changes` has ever returned, the latest of each name."""

    def apply(self, record: RawRecord, seen: MutableMapping[str, bytes]) -> None:
        """Apply a record; ``seen`` holds the task's notes on each session, which may expire."""

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """Return counters and rows that have changed since the last call."""

    def publish(self, now_ms: int) -> Iterator[Output]:
        """Yield what has changed since the last call, as absolute values."""


@dataclass(slots=True)
class Progress:
    """What a learner has applied, and what it was told to do."""

    model: str
    applied: int = 0
    checksum: int = 0
    version: int = 0
    paused: bool = False
    rolled_back_to: int = 0
    kept: list[int] = field(default_factory=list)

    def count(self, session_id: str, seq: int) -> None:
        """Count a click or example, named by its session and arrival number."""
        self.applied += 1
        name = f"{session_id}#{seq}".encode()
        self.checksum = (self.checksum + zlib.crc32(name)) % MODULUS

    def state(self, learned: int, now_ms: int) -> pb.LearnerState:
        """Return the record that says where the learner stands."""
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
        """Go on from a state."""
        self.version, self.applied, self.checksum = state.version, state.applied, state.checksum
        self.paused, self.rolled_back_to = state.paused, state.rolled_back_to
        self.kept = list(state.kept_versions)

    def command(self, record: RawRecord) -> pb.LearnerCommand | None:
        """Obey a command for this model, and return it; None if it is another's or unreadable."""
        if record.key != self.model.encode():
            return None
        try:
            command = pb.LearnerCommand.FromString(record.value)
        except DecodeError:
            return None
        kinds = pb.LearnerCommand
        if command.kind in (kinds.KIND_PAUSE, kinds.KIND_RESUME):
            self.paused = command.kind == kinds.KIND_PAUSE
        return command
