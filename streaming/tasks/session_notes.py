"""How far the latest sessions have been applied: a table of fixed size, stored page by page.

Its size bounds what a click, a checkpoint and a restart cost, however many sessions there have
been: Flink's heap holds all rows of an operator in one map, which it copies during each checkpoint.
(A map of 1,000,000 rows of 70 bytes, in the heap backend alone, on a busy machine: 0.1 to 1.6 s.)

A page that is full forgets its longest unchanged note, and remembers when the forgotten sessions'
last event arrived. A session without a note counts as applied up to then: if it returns, its old
steps are not applied again, and new ones, which arrived later, are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from records.session_life import Applied

PAGES = 1 << 15
NOTES_A_PAGE = 32

_FORGOTTEN = struct.Struct("<Q")
"""Head of a page: the latest time of arrival that is known of the sessions it has forgotten."""

_NOTE = struct.Struct("<8sQQIi")
"""Hash of the session's id, incarnation, time of arrival of the last event, version, number."""

_FULL = _FORGOTTEN.size + NOTES_A_PAGE * _NOTE.size
_ROW = "n"
"""Prefix of a row's name; the number of its page follows."""


class Note(NamedTuple):
    """What is noted of a session.

    Parameters
    ----------
    applied
        How far it has been applied.
    number
        A number of the learner's: that of vectors notes the session's slot, -1 if it has none;
        that of the ranker, which earlier clicks are applied.
    """

    applied: Applied
    number: int


class SessionNotes:
    """Notes by session id; a page is ``_FORGOTTEN`` and notes, the longest unchanged one first.

    Parameters
    ----------
    pages
        Pages of `NOTES_A_PAGE` notes each.

    Examples
    --------
    >>> notes = SessionNotes()
    >>> notes.put("s1", Applied(100, 2, 130), number=7)
    >>> notes.get("s1")
    Note(applied=Applied(incarnation=100, version=2, appended_ms=130), number=7)
    """

    def __init__(self, pages: int = PAGES) -> None:
        self._n_pages = pages
        self._pages: dict[int, bytearray] = {}
        self._changed: set[int] = set()

    def get(self, session_id: str) -> Note:
        """Return the note on a session; without one, what can be said of all forgotten ones."""
        name = _hash(session_id)
        page = self._pages.get(self._page_number(name))
        if page is None:
            return Note(Applied(), -1)
        at = _place(page, name)
        if at < 0:
            return Note(Applied(appended_ms=_FORGOTTEN.unpack_from(page)[0]), -1)
        _, incarnation, appended_ms, version, number = _NOTE.unpack_from(page, at)
        return Note(Applied(incarnation, version, appended_ms), number)

    def put(self, session_id: str, applied: Applied, number: int) -> None:
        """Set the note on a session."""
        name = _hash(session_id)
        page_number = self._page_number(name)
        page = self._pages.get(page_number)
        if page is None:
            page = self._pages[page_number] = bytearray(_FORGOTTEN.size)
        at = _place(page, name)
        if at >= 0:
            del page[at : at + _NOTE.size]
        elif len(page) == _FULL:
            _forget_first(page)
        page += _NOTE.pack(name, applied.incarnation, applied.appended_ms, applied.version, number)
        self._changed.add(page_number)

    def changes(self) -> dict[str, bytes]:
        """Return the rows that have changed since the last call."""
        rows = {f"{_ROW}{number}": bytes(self._pages[number]) for number in self._changed}
        self._changed.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Load those of the rows that `changes` has returned; yield the others."""
        for name, value in rows:
            if name.startswith(_ROW):
                self._pages[int(name[len(_ROW) :])] = bytearray(value)
            else:
                yield name, value

    def _page_number(self, name: bytes) -> int:
        return int.from_bytes(name, "little") % self._n_pages


def _hash(session_id: str) -> bytes:
    """Return 8 bytes: that two of a page are the same has a chance of 1 in 10^13 a session."""
    return hashlib.blake2b(session_id.encode(), digest_size=8).digest()


def _place(page: bytearray, name: bytes) -> int:
    """Return where the note of a session begins in its page, -1 if there is none."""
    at = page.find(name, _FORGOTTEN.size)
    while at >= 0 and (at - _FORGOTTEN.size) % _NOTE.size:
        at = page.find(name, at + 1)
    return at


def _forget_first(page: bytearray) -> None:
    first = _FORGOTTEN.size
    appended_ms = _NOTE.unpack_from(page, first)[2]
    latest = max(_FORGOTTEN.unpack_from(page)[0], appended_ms)
    del page[first : first + _NOTE.size]
    _FORGOTTEN.pack_into(page, 0, latest)
