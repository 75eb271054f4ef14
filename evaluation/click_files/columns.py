"""Which column of a table is what: by its name, by the form of the file, or as somebody says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.click_files.lists import are_bracketed
from evaluation.click_files.roles import (
    DATES,
    OF_CLICKS,
    PLURAL,
    ROLES,
    TIME_LISTS,
    TIMEFRAME,
    TIMES_OF_DAY,
)
from evaluation.click_files.search import NONE, Search
from evaluation.click_files.table import Table
from evaluation.click_files.times import (
    NO_TIME,
    Times,
    TimesError,
    add_time_of_day,
    parse_times,
)

SIGNS = {"time": "=+", "type": "="}
"""What ends the name of a column where an option says more of it."""


@dataclass(frozen=True)
class Columns:
    """Columns as somebody names them: by name, or by number from 1; ``-``: there is none.

    Attributes
    ----------
    session, user, item
        The columns of ids; None: guess.
    time
        ``COLUMN``, ``COLUMN=FORMAT`` with a format of strptime or one of s, ms, us, ns, or
        ``DATE+TIME`` for a clock in two columns, ``DATE+TIME=ms`` where the time of day counts from
        midnight.
    type
        ``COLUMN``, or ``COLUMN=VALUE,VALUE`` with the values that are clicks.
    """

    session: str | None = None
    user: str | None = None
    item: str | None = None
    time: str | None = None
    type: str | None = None

    def named(self) -> list[str]:
        """Return all names of columns that these options may hold; numbers are none."""
        names = [text for role in ROLES if (text := getattr(self, role)) and text != NONE]
        for text in (self.time, self.type):
            names += re.split(r"[=+]", text or "")[:1]
        if self.time is not None:
            names += self.time.split("=")[0].split("+")
        return [name for name in dict.fromkeys(names) if name and not name.isdigit()]


@dataclass
class Chosen:
    """Indexes of the columns of a table by role; None where there is none.

    Attributes
    ----------
    session, user, item, time, type
        The columns.
    date
        With a clock in two columns, that of the date; ``time`` is then the time of day.
    time_format, click_types
        As `Columns` has them; empty: guess. Of two columns, the unit of the time of day.
    """

    session: int | None = None
    user: int | None = None
    item: int = 0
    time: int | None = None
    date: int | None = None
    type: int | None = None
    time_format: str = ""
    click_types: tuple[str, ...] = ()


def choose_columns(table: Table, columns: Columns) -> Chosen:
    """Return which column is what.

    Raises
    ------
    UnreadableFileError
        If a column that is named is not there, if there are two for one role, none where there
        must be one (of items, and of sessions, or of users and times), or a date beside something
        that may be its time of day.
    """
    search = _Search(table)
    form = OF_CLICKS.form_of(table.sample[:20]) if search.numbered else None
    if form is not None:
        table.form += f", as {form.name}"
    found: dict[str, int | None] = {}
    rest: dict[str, str] = {}
    guessed: dict[str, list[int]] = {}
    for role in ROLES:
        said = getattr(columns, role)
        if said == NONE:
            found[role] = None
        elif said is not None:
            found[role], rest[role] = search.said(role, said, SIGNS.get(role, ""))
        elif form is not None:
            found[role] = form.roles.get(role)
        else:
            guessed[role] = search.candidates(role)
            found[role] = next(iter(guessed[role]), None)
    chosen = Chosen(found["session"], found["user"], -1, found["time"], type=found["type"])
    if found["item"] is None:
        raise search.error("no column of items is known", "--item")
    chosen.item = found["item"]
    search.check_prefixes(chosen.item)
    if chosen.session is None and chosen.user is None:
        raise search.error("no column of sessions or users is known", "--session or --user")
    if chosen.session is None and chosen.time is None:
        raise search.error(
            "it has users, but no times by which to end their sessions",
            "--time; or, to take all rows of a user for one session, the users with --session",
        )
    chosen.click_types = tuple(v.strip() for v in rest.get("type", "").split(",") if v.strip())
    _set_clock(chosen, search, rest.get("time"), guessed.get("time", []))
    used = {getattr(chosen, role) for role in (*ROLES, "date")}
    for role, candidates in guessed.items():
        search.note_unused(role, [i for i in candidates if i not in used])
    return chosen


def _set_clock(
    chosen: Chosen, search: _Search, said: str | None, candidates: Sequence[int]
) -> None:
    """Set the clock's columns and format, as somebody has said (what follows the name), or guess.

    A guess is the first column, or date beside a time of day, whose values are times; if there is
    none, the first column.
    """
    if said is not None and said.startswith("+"):
        chosen.date = chosen.time
        chosen.time, unit = search.said("time", said[1:], SIGNS["time"])
        chosen.time_format = unit or search.unit_of_day(chosen.time)
        return
    if said is not None:
        chosen.time_format = said
        return
    date, of_day = search.first_of(DATES), search.first_of(TIMES_OF_DAY)
    for index in candidates:
        if search.is_clock(index):
            chosen.time = index
            return
        if index != of_day or date is None or not search.is_clock(date):
            continue
        if not search.is_of_day(date, index):
            both = search.name(date), search.name(index)
            raise search.error(
                f"{both[1]!r} beside {both[0]!r} holds neither times nor times of day",
                f"--time {both[0]}; or, if it counts from midnight, its unit with "
                f"--time '{both[0]}+{both[1]}=ms'",
            )
        chosen.date, chosen.time, chosen.time_format = date, index, search.unit_of_day(index)
        return


class _Search(Search):
    """Looks for columns of clicks."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, OF_CLICKS)

    def first_of(self, names: Sequence[str]) -> int | None:
        """Return the first column of one of these normal names."""
        return next((self.normals.index(n) for n in names if n in self.normals), None)

    def is_clock(self, index: int) -> bool:
        """Return whether most of a column's first values are times, or lists that may hold some."""
        values = self.values(index)
        if self.normals[index] in TIME_LISTS or are_bracketed(values):
            return True
        try:
            return _are_dates(parse_times(values, self.name(index)))
        except TimesError:  # dates in two orders
            return True

    def unit_of_day(self, index: int) -> str:
        """Return the unit of a time of day that its name says; empty: guess."""
        return "ms" if self.normals[index] == TIMEFRAME else ""

    def is_of_day(self, date: int, index: int) -> bool:
        """Return whether most of a column's first values are times of day beside a date.

        Hours alone are none: small numbers may be anything.
        """
        values, unit = self.values(index), self.unit_of_day(index)
        if not unit and values.str.contains(r"^\d\d?$").any():
            return False
        try:
            times = parse_times(self.values(date), self.name(date))
            times = add_time_of_day(times, values, unit)
        except TimesError:
            return False
        return _are_dates(times)

    def check_prefixes(self, item: int) -> None:
        """Refuse files of cases: a list of items beside the item that follows it."""
        lists = [n for n in self.normals if n.startswith("item") and PLURAL.search(n)]
        if lists and "itemid" in self.normals and self.normals[item] == "itemid":
            raise self.error(
                "its rows are prefixes of sessions, each with the item that follows, "
                "and would count every click many times",
                "--item, if that is wrong",
            )


def _are_dates(times: Times) -> bool:
    read = len(times.ms.drop_nulls())
    return not times.small and 2 * read > len(times.faults) - int((times.faults == NO_TIME).sum())
