"""The lives of a session, and how far a reader of `sessions` has applied one.

A session that comes back after its state has expired begins a new life: empty, at version 1, with a
higher incarnation (`SessionRecord`). Within a life, the version decides. A sessions job that had to
start from nothing may divide the same events into other lives: part of them is gone, or the life of
state was changed. So between lives, the times of arrival decide.
"""

from __future__ import annotations

from typing import NamedTuple

from nextclick.limits import MAX_CLOCK_SKEW_MS
from nextclick.v1.session_pb2 import SessionRecord


class Applied(NamedTuple):
    """How far a reader has applied a session: fields of the last record that it applied.

    ``incarnation`` and ``appended_ms`` are 0 for records of before these fields.
    """

    incarnation: int = 0
    version: int = 0
    appended_ms: int = 0

    @classmethod
    def after(cls, record: SessionRecord) -> Applied:
        """Return the place after a record."""
        return cls(record.incarnation, record.version, record.appended_ms)

    def precedes(self, record: SessionRecord | Applied) -> bool:
        """Whether a record, or a place in the session, has something new."""
        if record.incarnation == self.incarnation:
            return record.version > self.version
        return record.appended_ms > self.appended_ms

    def returns(self, record: SessionRecord) -> bool:
        """Whether a record is of a new life, none of whose events has been applied."""
        incarnation = record.incarnation
        return incarnation > self.incarnation and incarnation > self.appended_ms

    def version_in(self, record: SessionRecord) -> int:
        """Return the version, in the life of a record that `precedes`, of what has been applied.

        Steps with a higher seq are new. After a return it is 0. In a life that was made anew of
        events that have been applied, it is the seq of the last step that has been.
        """
        if record.incarnation == self.incarnation:
            return self.version
        if self.returns(record):
            return 0
        applied = (step.seq for step in record.steps if step.appended_ms <= self.appended_ms)
        return max(applied, default=0)


UNKNOWN = Applied()
"""The place of a reader that has applied nothing of a session."""


def last_arrival(known_ms: int, arrived_ms: int) -> int:
    """Return when the last event of a session or a user arrived, after one that arrives now.

    Times of arrival only grow, unless a broker's clock was so far ahead that readers would refuse
    the record (`records.limited.check_times`).
    """
    return arrived_ms if known_ms > arrived_ms + MAX_CLOCK_SKEW_MS else max(known_ms, arrived_ms)
