"""Click data from files: sessions of item ids, with a clock where the file has one.

Formats and columns are those of `evaluation.click_files`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from evaluation.click_files.columns import Columns
from evaluation.click_files.grouping import group_clicks
from evaluation.click_files.reader import read_file
from evaluation.click_files.report import FileReport, Report
from evaluation.click_files.times import DAY_FIRST, EITHER, MONTH_FIRST
from evaluation.errors import UnreadableFileError
from nextclick.limits import MAX_ID_BYTES


@dataclass(frozen=True, slots=True)
class Session:
    """A session: items in click order; times in milliseconds since 1970, None without a clock.

    ``user_id`` is empty where the file has no users.
    """

    session_id: str
    items: tuple[str, ...]
    times_ms: tuple[int, ...] | None = None
    user_id: str = ""


def load_sessions(*paths: Path) -> list[Session]:
    """Return the sessions of files of which every row can be read.

    Raises
    ------
    UnreadableFileError
        For whatever cannot be read, with its reason and first lines.
    """
    sessions, report = read_sessions(paths)
    for file in report.files:
        if file.refused.total:
            told = "; ".join(line.strip() for line in file.refused.lines())
            raise UnreadableFileError(file.path, told, file.refused.first_line)
    return sessions


def read_sessions(
    paths: Sequence[Path], columns: Columns | None = None, *, name_bytes: int = MAX_ID_BYTES
) -> tuple[list[Session], Report]:
    """Return the sessions of files, and a report of what was read and what was not.

    Several files are read as one log: with a clock, rows of the same session id are one session,
    whichever files they are in. Clicks are ordered by time within a session, and sessions by their
    last click; without a clock, both are in the order of the files. Rows without a session id are
    cut into sessions where their user was idle for 30 minutes.

    Parameters
    ----------
    paths
        The files, at least one.
    columns
        Columns that somebody has named; the others are guessed.
    name_bytes
        Most bytes of a session's id, which may have been put together from a user and a number;
        less than the limit where a prefix is to come. Clicks of longer ones are refused.

    Raises
    ------
    UnreadableFileError
        If a file is given twice or is no table, if the meaning of its columns is unknown, if more
        than half of its rows cannot be read, if one file has a clock and another has none, or if
        the dates of one have the day first and those of another the month.
    """
    for number, path in enumerate(paths):
        if any(path.samefile(other) for other in paths[:number]):
            raise UnreadableFileError(path, "it is given twice, and would count every click twice")
    read = _read_alike(paths, columns or Columns())
    report = Report([file for _, file in read])
    with_clock = [clicks["time_ms"].null_count() == 0 for clicks, _ in read if clicks.height]
    if len(set(with_clock)) > 1:
        first = paths[with_clock.index(False)]
        raise UnreadableFileError(first, "it has no clock, and another of the files has one")
    clock = all(with_clock)
    clicks = pl.concat(
        frame.with_columns(pl.lit(number).alias("file")) for number, (frame, _) in enumerate(read)
    )
    sessions = [
        Session(name, tuple(items), tuple(times) if clock else None, user or "")
        for name, user, items, times in group_clicks(
            clicks, report, clock=clock, name_bytes=name_bytes
        ).iter_rows()
    ]
    for file in report.files:
        file.check()
    report.clicks = sum(file.clicks for file in report.files)
    report.sessions = len(sessions)
    if clock and sessions:
        report.first_ms = min((session.times_ms or (0,))[0] for session in sessions)
        report.last_ms = (sessions[-1].times_ms or (0,))[-1]
    return sessions, report


def _read_alike(paths: Sequence[Path], columns: Columns) -> list[tuple[pl.DataFrame, FileReport]]:
    """Return the clicks and reports of files whose dates all have the day first, or the month."""
    read = [read_file(path, columns) for path in paths]
    first = {file.order: file.path for _, file in read}
    if DAY_FIRST in first and MONTH_FIRST in first:
        raise UnreadableFileError(
            first[MONTH_FIRST],
            f"its dates have the month first, and those of {first[DAY_FIRST]} the day; make them "
            "alike, or read them one by one",
        )
    order = next((order for order in (DAY_FIRST, MONTH_FIRST) if order in first), "")
    return [
        read_file(file.path, columns, order) if order and file.order == EITHER else (clicks, file)
        for clicks, file in read
    ]


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
