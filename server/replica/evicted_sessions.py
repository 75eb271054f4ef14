"""When the last events of evicted sessions arrived: a table of fixed size.

A session that was evicted and returns within its life has been learned up to then. A place of the
table holds the latest time of arrival of all evicted sessions with the same hash. One time for all
would not do: partitions of the log are not read in step, so the first event of a new session may
have arrived before the last one of a session that was just evicted.
"""

from __future__ import annotations

import zlib

import numpy as np

from records.session_life import Applied

PLACES = 1 << 16


class EvictedSessions:
    """How far evicted sessions have been applied.

    Examples
    --------
    >>> evicted = EvictedSessions()
    >>> evicted.note("s1", Applied(100, 2, 130))
    >>> evicted.applied("s1")
    Applied(incarnation=0, version=0, appended_ms=130)
    """

    def __init__(self) -> None:
        self._appended_ms = np.zeros(PLACES, np.int64)

    def note(self, session_id: str, applied: Applied) -> None:
        """Note how far a session that is evicted has been applied."""
        place = _place(session_id)
        self._appended_ms[place] = max(int(self._appended_ms[place]), applied.appended_ms)

    def applied(self, session_id: str) -> Applied:
        """Return how far a session that is not in memory has been applied, if it ever was."""
        return Applied(appended_ms=int(self._appended_ms[_place(session_id)]))

    def dump(self) -> bytes:
        """Return the table for a snapshot."""
        return self._appended_ms.astype("<i8").tobytes()

    def load(self, dumped: bytes) -> None:
        """Load what `dump` has returned."""
        self._appended_ms[:] = np.frombuffer(dumped, "<i8")


def _place(session_id: str) -> int:
    return zlib.crc32(session_id.encode()) % PLACES
