"""Reads files of clicks into one frame of clicks, and reports what was read and what was not."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.datatypes import DataTypeClass

from evaluation.click_files.cells import MISSING, ids, is_click
from evaluation.click_files.columns import Chosen, Columns, choose_columns
from evaluation.click_files.grouping import NAMES_A_USER
from evaluation.click_files.lists import are_bracketed, split_lists
from evaluation.click_files.opening import whole_table
from evaluation.click_files.report import FileReport
from evaluation.click_files.roles import OF_CLICKS, PLURAL, ROLES, TIME_LISTS, TIMEFRAME, normal
from evaluation.click_files.table import LINE, Table
from evaluation.click_files.times import (
    TimesError,
    add_time_of_day,
    note_of_odd_times,
    parse_times,
)
from evaluation.errors import UnreadableFileError
from nextclick.limits import MAX_ID_BYTES

CLICKS = {
    LINE: pl.Int64,
    "session": pl.String,
    "user": pl.String,
    "item": pl.String,
    "time_ms": pl.Float64,
}
"""Columns of clicks as `read_file` returns them, in the order of the file; the time is null where
the file has no clock."""

TYPES_SHOWN = 8


def read_file(path: Path, columns: Columns, order: str = "") -> tuple[pl.DataFrame, FileReport]:
    """Return the clicks of a file, and a report.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that somebody has named; the others are guessed.
    order
        What dates have first where the file does not show it: `DAY_FIRST` or `MONTH_FIRST`.

    Returns
    -------
    tuple
        Clicks with the columns `CLICKS`, and what was read.

    Raises
    ------
    UnreadableFileError
        If it is no table, if the meaning of a column is unknown, or if more than half of its rows
        cannot be read.
    """
    table = whole_table(path, columns.named(), OF_CLICKS)
    chosen = choose_columns(table, columns)
    report = FileReport(path, table.form, rows=table.rows, refused=table.refused, notes=table.notes)
    clicks = _Rows(table, chosen, report, order).clicks()
    report.clicks = clicks.height
    report.check()
    return clicks, report


class _Rows:
    """The rows of a table on their way to clicks; each is refused at most once."""

    def __init__(self, table: Table, chosen: Chosen, report: FileReport, order: str) -> None:
        self._table = table
        self._order = order
        self._chosen = chosen
        self._report = report
        self._indexes = {
            role: index for role in (*ROLES, "date") if (index := getattr(chosen, role)) is not None
        }
        used = set(self._indexes.values())
        report.unused = [self._column(n) for n in range(len(table.names)) if n not in used]
        frame = table.read(sorted(used))
        self._frame = frame.select(
            LINE, *(pl.col(str(index)).alias(role) for role, index in self._indexes.items())
        )

    def clicks(self) -> pl.DataFrame:
        """Return the clicks."""
        for role in ("session", "user", "type"):
            if role in self._indexes:
                self._describe(role)
                self._as_ids(role)
        self._only_clicks()
        self._describe("item")
        lists = self._is_list()
        if lists:
            self._lists()
        else:
            self._as_ids("item")
            self._note_blanks()
        self._refuse(pl.col("item").is_null(), "no item")
        self._sessions()
        if self._chosen.time is not None:
            self._clock(lists=lists)
        for name, dtype in CLICKS.items():
            if name not in self._frame.columns:
                self._frame = self._frame.with_columns(pl.lit(None, dtype).alias(name))
        clockless = pl.col("session").is_null() & pl.col("time_ms").is_null()
        self._refuse(clockless, "no session, and no clock by which to end its user's")
        return self._frame.select(pl.col(name).cast(dtype) for name, dtype in CLICKS.items())

    def _name(self, role: str) -> str:
        return self._column(self._indexes[role])

    def _column(self, index: int) -> str:
        name = self._table.names[index]
        return f"column {name}" if name.isdigit() else name

    def _describe(self, role: str, how: str = "") -> None:
        self._report.columns.append((role, self._name(role) + (f" ({how})" if how else "")))

    def _refuse(self, which: pl.Expr, reason: str) -> None:
        """Refuse rows; of a list that was made rows, all with the one that cannot be read."""
        lines = self._frame.filter(which.fill_null(value=False))[LINE].unique().sort()
        if len(lines):
            self._table.refuse(reason, lines)
            self._frame = self._frame.filter(~pl.col(LINE).is_in(lines.implode()))

    def _refuse_faults(self) -> None:
        """Refuse the rows with a ``fault``, each by its own."""
        for reason in self._frame["fault"].drop_nulls().unique(maintain_order=True):
            self._refuse(pl.col("fault") == reason, reason)

    def _as_ids(self, role: str) -> None:
        cells = self._frame[role]
        self._check_scalar(role, cells.dtype)
        self._frame = self._frame.with_columns(ids(cells).alias(role))

    def _check_scalar(self, role: str, dtype: pl.DataType | DataTypeClass) -> None:
        if dtype.is_nested() or dtype == pl.Binary or (dtype == pl.Boolean and role != "type"):
            raise UnreadableFileError(
                self._table.path,
                f"{self._name(role)}, its column of {role}s, holds values of type {dtype}, and "
                f"these are no ids; name another column with --{role}",
            )

    def _only_clicks(self) -> None:
        """Leave out events of other types, and count them."""
        if "type" not in self._indexes:
            return
        self._refuse(pl.col("type").is_null(), "no type")
        counts = self._frame["type"].value_counts(sort=True)
        said = self._chosen.click_types
        clicks = [t for t in counts["type"] if (t in said if said else is_click(t))]
        if not clicks and len(counts):
            shown = ", ".join(counts["type"][:TYPES_SHOWN].to_list())
            raise UnreadableFileError(
                self._table.path,
                f"no row is a click by its type; {self._name('type')} holds: {shown}. Say which "
                f"are clicks with --type '{self._name('type')}=VALUE,VALUE', or that this is not "
                "the type with --type -",
            )
        for name in said:
            if name not in clicks:
                self._report.notes.append(f"no row has the type {name!r} that --type names")
        for name, n in counts.iter_rows():
            if name not in clicks:
                self._report.other_types[name] = n
        self._frame = self._frame.filter(pl.col("type").is_in(clicks))

    def _is_list(self) -> bool:
        cells = self._frame["item"]
        if isinstance(cells.dtype, pl.List | pl.Array):
            self._check_scalar("item", cells.dtype.inner)
            return True
        if cells.dtype != pl.String or not len(cells):
            return False
        name = self._table.names[self._indexes["item"]]
        plural = bool(PLURAL.search(normal(name))) or name.endswith(":token_seq")
        return plural or are_bracketed(cells)

    def _note_blanks(self) -> None:
        odd = self._frame["item"].str.contains(r"[\s,;|]")
        n = int(odd.sum())
        if n:
            example = self._frame.filter(odd.fill_null(value=False))["item"][0]
            self._report.notes.append(
                f"{n:,} items hold blanks or separators, as {example[:40]!r}; "
                "each was taken for one id"
            )

    def _lists(self) -> None:
        """Make a row per item of the lists in cells, and of the times beside them."""
        items = split_lists(self._frame["item"])
        self._report.columns[-1] = ("items", f"{self._name('item')} ({items.form})")
        self._frame = self._frame.with_columns(item=items.entries, fault=items.faults)
        self._refuse_faults()
        entries = pl.col("item")
        missing = entries.list.eval(pl.element().is_null() | pl.element().is_in(MISSING))
        no_item = entries.is_null() | (entries.list.len() == 0)
        self._refuse(no_item | ((entries.list.len() == 1) & missing.list.first()), "no item")
        self._refuse(missing.list.any(), "an empty item in a list")
        exploded = ["item"]
        if "time" in self._indexes and self._time_is_list():
            times = split_lists(self._frame["time"], blanks=False)
            self._frame = self._frame.with_columns(time=times.entries)
            unequal = pl.col("item").list.len() != pl.col("time").list.len().fill_null(0)
            self._refuse(unequal, "not as many times as items")
            exploded.append("time")
        self._frame = self._frame.explode(exploded)
        self._as_ids("item")

    def _time_is_list(self) -> bool:
        cells, name = self._frame["time"], self._table.names[self._indexes["time"]]
        if cells.dtype != pl.String:
            return isinstance(cells.dtype, pl.List | pl.Array)
        named = normal(name) in TIME_LISTS or name.endswith(":float_seq")
        return named or are_bracketed(cells)

    def _sessions(self) -> None:
        """Refuse rows without session or user, and ids that the system does not take."""
        there = [pl.col(role) for role in ("session", "user") if role in self._indexes]
        missing = "no session" if "session" in self._indexes else "no user"
        self._refuse(pl.all_horizontal(column.is_null() for column in there), missing)
        for role in ("session", "user", "item"):
            if role in self._frame.columns:
                too_long = pl.col(role).str.len_bytes() > MAX_ID_BYTES
                self._refuse(too_long, f"{role} of more than {MAX_ID_BYTES} bytes")
                nul = pl.col(role).str.contains("\0", literal=True)
                self._refuse(nul, f"{role} with the character NUL")
        if "session" in self._indexes:
            users = pl.col("session").str.starts_with("u:")
            self._refuse(users, NAMES_A_USER)

    def _clock(self, *, lists: bool) -> None:
        two = "date" in self._indexes
        name, form = self._name("date" if two else "time"), self._chosen.time_format
        named = f"{name}+{self._name('time')}" if two else name
        try:
            cells = self._present("date" if two else "time")
            times = parse_times(cells, name, "" if two else form, self._order)
            if two:
                times = add_time_of_day(times, self._present("time"), form)
        except TimesError as e:
            advice = (
                "if the time of day counts from midnight, give its unit (s, ms, us, ns) with "
                f"--time '{named}=ms'; or name one column with --time"
                if two
                else f"give a format with --time '{name}=%d/%m/%Y %H:%M:%S', or of numbers the "
                f"unit (s, ms, us, ns) with --time '{name}=ms'"
            )
            raise UnreadableFileError(self._table.path, f"times in {named}: {e}; {advice}") from e
        self._frame = self._frame.with_columns(times.ms.alias("time_ms"), fault=times.faults)
        self._refuse_faults()
        self._report.order = times.order
        how = times.form
        if times.small and "session" in self._indexes and (lists or self._begin_at_zero()):
            how = "within the session only: no clock"
            self._order_by_small_times(lists=lists)
        else:
            self._refuse(pl.col("time_ms").round() < 1, "the time is 0")
            note = "" if form else note_of_odd_times(self._frame["time_ms"], times.form)
            self._report.notes += [note] if note else []
        self._report.columns.append(("time", f"{named} ({how})" if how else named))

    def _present(self, role: str) -> pl.Series:
        """Return a column's cells, null where they hold nothing."""
        cells = self._frame[role]
        return cells.set(cells.is_in(MISSING), None) if cells.dtype == pl.String else cells

    def _order_by_small_times(self, *, lists: bool) -> None:
        """Put clicks in the order of times that count from the beginning of each session."""
        if not lists:
            place = pl.col(LINE).min().over("session")
            self._frame = self._frame.sort(place, "time_ms", maintain_order=True)
        self._frame = self._frame.with_columns(pl.lit(None, pl.Float64).alias("time_ms"))

    def _begin_at_zero(self) -> bool:
        """Return whether times count from the beginning of each session."""
        starts = self._frame.group_by("session").agg(pl.col("time_ms").min())["time_ms"]
        name = normal(self._table.names[self._indexes["time"]])
        return name == TIMEFRAME or 2 * int((starts == 0).sum()) > len(starts)
