"""A task's notes by session, in a map state; they expire in bounded steps, at a flat cost.

Flink's own expiry of a map state copies the whole map at each access: 3 ms with 200,000 notes.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

ROW = 64
"""The most names in a row of the queue."""

ROWS_A_WRITE = 4
"""The most rows of the queue that a write looks at; a batch adds fewer."""

SLACK = 8
"""Names are looked at once the time to live and this part of it have passed, so that the notes of
a visit, which change for a while, have mostly expired by then."""

NOTE, QUEUE, BOUNDS = "n", "q", "b"
"""Prefixes of keys: notes (time of the last change, value), rows of the queue (time, names), and
its bounds (first row, row after the last, time)."""


class ExpiringNotes:
    """Notes whose changes are written at the end of a batch.

    Names queue in rows of the same state, in the order of their notes' creation. A write looks at
    rows that are due: it removes the notes that have not changed for ``ttl_ms``, and queues the
    other names again. Time is that of the records, so that a restart changes nothing.

    Parameters
    ----------
    state
        A map state of picklable values.
    ttl_ms
        How long a note stays after its last change, at least.
    """

    def __init__(self, state: Any, ttl_ms: int) -> None:
        self._state = state
        self._ttl_ms = ttl_ms
        self._changed: dict[str, bytes] = {}
        self._exists: dict[str, bool] = {}
        """Whether there is a note of a name, of those that were asked for since the last write."""
        self._created: list[str] = []
        self._bounds: tuple[int, int, int] | None = None
        self._due: int | None = None
        """When the first row is due, None if that is not known."""

    def get(self, name: str, /) -> bytes | None:
        """Return a note, None if there is none."""
        if name in self._changed:
            return self._changed[name]
        note = self._state.get(NOTE + name)
        self._exists[name] = note is not None
        return None if note is None else bytes(note[1])

    def __setitem__(self, name: str, note: bytes, /) -> None:
        if name not in self._changed:
            if name not in self._exists:
                self.get(name)
            if not self._exists[name]:
                self._created.append(name)
        self._changed[name] = note

    def write(self, now_ms: int) -> None:
        """Write what was set, and remove notes that have expired.

        Parameters
        ----------
        now_ms
            The latest time of arrival in the batch; earlier than that of a write before, it counts
            as that.
        """
        first, end, time_ms = self._bounds or self._state.get(BOUNDS) or (0, 0, 0)
        now_ms = max(now_ms, time_ms)
        rows: dict[str, Any] = {NOTE + key: (now_ms, v) for key, v in self._changed.items()}
        names, self._created = self._created, []
        self._changed, self._exists = {}, {}
        before = first
        while first < end and first - before < ROWS_A_WRITE:
            if self._due is None:
                self._due = self._state.get(QUEUE + str(first))[0] + self._ttl_ms
                self._due += self._ttl_ms // SLACK
            if self._due > now_ms:
                break
            row = QUEUE + str(first)
            names += self._live(self._state.get(row)[1], rows, now_ms - self._ttl_ms)
            self._state.remove(row)
            first += 1
            self._due = None
        for at in range(0, len(names), ROW):
            rows[QUEUE + str(end)] = (now_ms, tuple(names[at : at + ROW]))
            end += 1
        if names or first != before:
            self._bounds = rows[BOUNDS] = (first, end, now_ms)
        if rows:
            self._state.put_all(rows)

    def _live(self, names: tuple[str, ...], written: Container[str], since_ms: int) -> list[str]:
        """Return the names whose notes have changed since; remove the notes of the others."""
        live = []
        for name in names:
            if NOTE + name in written:
                live.append(name)
                continue
            note = self._state.get(NOTE + name)
            if note is not None and note[0] > since_ms:
                live.append(name)
            elif note is not None:
                self._state.remove(NOTE + name)
        return live
