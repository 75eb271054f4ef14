"""Click data from files: sessions of item ids, with a clock where the file has one.

Formats, told apart by the header: ``session_id,items[,times...]`` (a session a line),
tab-separated ``SessionId ItemId [CatId] Time`` (seconds), atomic ``.inter`` files
(``user_id:token item_id:token ... timestamp:float``, sessions end after 30 idle minutes),
``session_id,user_id,song_id,ts,playtime`` (a play a line), and JSON Lines of events. Plain or gzip.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import UnreadableFileError
from nextclick.codec import InvalidEventError, decode_event

IDLE_MS = 30 * 60_000


@dataclass(frozen=True, slots=True)
class Session:
    """A session: items in click order; times in milliseconds since 1970, None without a clock."""

    session_id: str
    items: tuple[str, ...]
    times_ms: tuple[int, ...] | None = None


def load_sessions(path: Path) -> list[Session]:
    """Return the sessions of a file.

    With a clock: clicks by time within a session, sessions by their last click. Without:
    in the order of the file.

    Raises
    ------
    UnreadableFileError
        With file and line for whatever cannot be read.
    """
    with text_of(path) as lines:
        header = lines.readline().strip()
        if header.startswith("{"):
            lines.seek(0)
            return _by_time(_json_clicks(path, lines))
        columns = header.split("\t")
        if columns[:2] == ["SessionId", "ItemId"] and columns[-1] == "Time":
            return _by_time(_tab_clicks(path, lines, len(columns)))
        if columns[0].endswith(":token"):
            return _by_time(_atomic_clicks(path, lines, [c.split(":")[0] for c in columns]))
        if header.startswith("session_id,user_id,song_id,ts"):
            return _by_time(_plays(path, lines))
        if header.split(",")[:2] == ["session_id", "items"]:
            return list(_session_lines(path, lines))
    raise UnreadableFileError(
        path,
        f"unknown header {header[:80]!r}; expected 'session_id,items', "
        "'SessionId<TAB>ItemId<TAB>Time', 'user_id:token<TAB>...' or JSON Lines of events",
        line=1,
    )


def clicks_in_order(sessions: Sequence[Session]) -> list[tuple[int, int]]:
    """Return all clicks as (session, position): by clock where there is one, else by line."""
    if sessions and all(session.times_ms is not None for session in sessions):
        timed = [
            (time_ms, s, position)
            for s, session in enumerate(sessions)
            for position, time_ms in enumerate(session.times_ms or ())
        ]
        return [(s, position) for _, s, position in sorted(timed)]
    return [(s, p) for s, session in enumerate(sessions) for p in range(len(session.items))]


def split_last(sessions: Sequence[Session], share: float) -> tuple[list[Session], list[Session]]:
    """Split off the last sessions, at least one: (the first ones, the last ``share``)."""
    n = max(1, min(len(sessions) - 1, round(len(sessions) * (1 - share))))
    return list(sessions[:n]), list(sessions[n:])


@contextmanager
def text_of(path: Path) -> Iterator[io.TextIOBase]:
    """Open a text file, plain or gzip; whatever cannot be read raises `UnreadableFileError`."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if packed
            else path.open(encoding="utf-8") as lines
        ):
            yield lines
    except (OSError, EOFError, UnicodeDecodeError) as e:
        raise UnreadableFileError(path, e) from e


Click = tuple[str, float, str]
"""Session, time in milliseconds, item."""


def _tab_clicks(path: Path, lines: io.TextIOBase, width: int) -> Iterator[Click]:
    for number, line in enumerate(lines, 2):
        fields = line.rstrip("\n").split("\t")
        if fields == [""]:
            continue
        try:
            if len(fields) != width:
                raise ValueError(f"{len(fields)} fields instead of {width}")
            yield fields[0], float(fields[-1]) * 1000, fields[1]
        except ValueError as e:
            raise UnreadableFileError(path, e, number) from e


def _plays(path: Path, lines: io.TextIOBase) -> Iterator[Click]:
    for number, line in enumerate(lines, 2):
        fields = line.rstrip("\n").split(",")
        if fields == [""]:
            continue
        try:
            yield fields[0], float(fields[3]) * 1000, fields[2]
        except (ValueError, IndexError) as e:
            reason = f"expected session,user,song,time ({e})"
            raise UnreadableFileError(path, reason, number) from e


def _atomic_clicks(path: Path, lines: io.TextIOBase, columns: list[str]) -> Iterator[Click]:
    try:
        user, item, clock = (columns.index(n) for n in ("user_id", "item_id", "timestamp"))
    except ValueError as e:
        reason = f"needs user_id, item_id and timestamp ({e})"
        raise UnreadableFileError(path, reason, line=1) from e
    clicks: list[Click] = []
    for number, line in enumerate(lines, 2):
        fields = line.rstrip("\n").split("\t")
        try:
            clicks.append((fields[user], float(fields[clock]) * 1000, fields[item]))
        except (ValueError, IndexError) as e:
            raise UnreadableFileError(path, e, number) from e
    clicks.sort(key=lambda click: click[1])
    last: dict[str, tuple[int, float]] = {}
    for name, time_ms, item_id in clicks:
        n, before_ms = last.get(name, (1, time_ms))
        n += time_ms - before_ms > IDLE_MS
        last[name] = (n, time_ms)
        yield f"{name}~{n}", time_ms, item_id


def _json_clicks(path: Path, lines: io.TextIOBase) -> Iterator[Click]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = decode_event(line.strip().encode())
        except InvalidEventError as e:
            raise UnreadableFileError(path, e, number) from e
        if event.type in ("view", "click", "play"):
            yield event.key, event.timestamp_ms, event.item_id


def _by_time(clicks: Iterator[Click]) -> list[Session]:
    by_session: dict[str, list[tuple[float, str]]] = {}
    for session_id, time_ms, item in clicks:
        by_session.setdefault(session_id, []).append((time_ms, item))
    sessions = []
    for session_id, steps in by_session.items():
        steps.sort(key=lambda step: step[0])  # stable: equal times as in the file
        items = tuple(item for _, item in steps)
        sessions.append(Session(session_id, items, tuple(round(t) for t, _ in steps)))
    sessions.sort(key=lambda session: (session.times_ms or (0,))[-1])
    return sessions


def _session_lines(path: Path, lines: io.TextIOBase) -> Iterator[Session]:
    for number, line in enumerate(lines, 2):
        fields = line.rstrip("\n").split(",")
        if fields == [""]:
            continue
        items = tuple(fields[1].split()) if len(fields) > 1 else ()
        if not items:
            raise UnreadableFileError(path, "expected 'session_id,item item ...'", number)
        yield Session(fields[0], items)
