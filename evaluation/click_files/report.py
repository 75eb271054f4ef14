"""What was read from files of clicks, and what was not: counts by reason, with the first lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from evaluation.errors import UnreadableFileError

FIRST_LINES = 3
"""Lines that are quoted of each reason."""

UNUSED = 8
"""Columns that are named of those without a use."""

QUOTED = 60
"""Characters of a quoted line."""

Quoted = tuple[int, str]
"""Number of a line, from 1, and its beginning."""


@dataclass
class Refusals:
    """Rows that cannot be read, counted by reason."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[Quoted]] = field(default_factory=dict)

    def add(self, reason: str, count: int, first: Sequence[Quoted]) -> None:
        """Count rows; ``first`` are the first ones of them."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            merged = sorted([*self.first.get(reason, []), *first])
            self.first[reason] = merged[:FIRST_LINES]

    def add_all(self, others: Refusals) -> None:
        """Count those of others, too."""
        for reason, count in others.counts.items():
            self.add(reason, count, others.first[reason])

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def first_line(self) -> int | None:
        """Number of the first of them; None if there is none."""
        return min((number for quoted in self.first.values() for number, _ in quoted), default=None)

    def lines(self) -> list[str]:
        """Return a line per reason, the most frequent first, each followed by its first rows."""
        told = []
        for reason, count in sorted(self.counts.items(), key=lambda entry: -entry[1]):
            told.append(f"{reason}: {count:,}")
            for number, text in self.first[reason]:
                short = text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."
                told.append(f"  line {number}: {short}")
        return told


@dataclass
class TableReport:
    """How a file was read.

    Attributes
    ----------
    path
        The file.
    form
        Its format in words.
    columns
        What each column was taken for, as (role, column).
    rows
        Rows that are not empty, without the header.
    unused
        Columns that were taken for nothing.
    refused
        Rows that cannot be read.
    notes
        What somebody should know who compares this with the file.
    """

    path: Path
    form: str
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: int = 0
    unused: list[str] = field(default_factory=list)
    refused: Refusals = field(default_factory=Refusals)
    notes: list[str] = field(default_factory=list)

    def told(self, read: str, more: Sequence[str] = (), use: str = "") -> list[str]:
        """Return the report as lines of text.

        Parameters
        ----------
        read
            What was read.
        more
            Lines before the refusals.
        use
            How columns without a use may get one.
        """
        told = [f"{self.path.name}: {self.form}, {self.rows:,} rows, {read}"]
        told += [f"  {role}: {column}" for role, column in self.columns]
        if self.unused:
            left = len(self.unused) - UNUSED
            named = ", ".join(self.unused[:UNUSED]) + (f", and {left:,} more" if left > 0 else "")
            told.append(f"  not used: {named}{use}")
        told += [f"  note: {note}" for note in self.notes]
        told += more
        if self.refused.total:
            told.append(f"  refused: {self.refused.total:,} of {self.rows:,} rows")
            told += [f"    {line}" for line in self.refused.lines()]
        return told

    def check_readable(self, found: int, options: str) -> None:
        """Raise `UnreadableFileError` if more than half of the rows cannot be read.

        Parameters
        ----------
        found
            What was read; none is an error too.
        options
            Those that name columns.
        """
        if self.refused.total * 2 <= self.rows and found:
            return
        if not self.rows:
            raise UnreadableFileError(self.path, "there is no row below the names of its columns")
        told = "; ".join(line.strip() for line in self.refused.lines()[:4])
        columns = ", ".join(f"{role} {column}" for role, column in self.columns)
        raise UnreadableFileError(
            self.path,
            f"{told}. In all, {self.refused.total:,} of {self.rows:,} rows cannot be read, taken "
            f"for {self.form} ({columns}): if its columns are others, name them with {options}",
            self.refused.first_line,
        )


@dataclass
class FileReport(TableReport):
    """What was read from one file of clicks.

    Attributes
    ----------
    clicks
        Clicks read.
    other_types
        Rows that are events, but no clicks, by their type.
    order
        What its dates have first, as `times.Times` has it.
    """

    clicks: int = 0
    other_types: dict[str, int] = field(default_factory=dict)
    order: str = ""

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        listed = ", ".join(f"{name} {n:,}" for name, n in self.other_types.items())
        others = [f"  left out, since they are no clicks: {listed}"] if listed else []
        return self.told(f"{self.clicks:,} clicks", others)

    def check(self) -> None:
        """Raise `UnreadableFileError` if more than half of the rows cannot be read."""
        options = "--session, --user, --item, --time and --type"
        self.check_readable(self.clicks or len(self.other_types), options)


@dataclass
class Report:
    """What was read from all files.

    Attributes
    ----------
    files
        A report per file.
    clicks, sessions
        How many were read.
    first_ms, last_ms
        Times of the first and last click, milliseconds since 1970; None without a clock.
    notes
        What concerns all files together.
    """

    files: list[FileReport]
    clicks: int = 0
    sessions: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Rows of all files that cannot be read."""
        return sum(file.refused.total for file in self.files)

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        told = [line for file in self.files for line in file.lines()]
        told += [f"note: {note}" for note in self.notes]
        when = "no clock, in the order of the file"
        if self.first_ms is not None and self.last_ms is not None:
            when = f"{_minute(self.first_ms)} to {_minute(self.last_ms)} UTC"
        return [*told, f"{self.clicks:,} clicks in {self.sessions:,} sessions, {when}"]


def _minute(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
