"""Which column of a table is what: by its name, by the form of the file, or as somebody says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluation.click_files.roles import (
    DATES,
    FORMS,
    KNOWN_NAMES,
    PLURAL,
    ROLES,
    TIMES_OF_DAY,
    normal,
)
from evaluation.click_files.table import Table
from evaluation.errors import UnreadableFileError

NONE = "-"
"""Says that a file has no column of a role."""

TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?")


@dataclass(frozen=True)
class Columns:
    """Columns as somebody names them: by name, or by number from 1; ``-``: there is none.

    Attributes
    ----------
    session, user, item
        The columns of ids; None: guess.
    time
        ``COLUMN``, ``COLUMN=FORMAT`` with a format of strptime or one of s, ms, us, ns, or
        ``DATE+TIME`` for a clock in two columns.
    type
        ``COLUMN``, or ``COLUMN=VALUE,VALUE`` with the values that are clicks.
    """

    session: str | None = None
    user: str | None = None
    item: str | None = None
    time: str | None = None
    type: str | None = None

    def named(self) -> list[str]:
        """Return all names of columns that these options may hold."""
        texts = [text for role in ROLES if (text := getattr(self, role)) and text != NONE]
        parts = [part for text in texts for part in re.split(r"[=+]", text)]
        return list(dict.fromkeys([*texts, *parts]))


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
        As `Columns` has them; empty: guess.
    """

    session: int | None = None
    user: int | None = None
    item: int = 0
    time: int | None = None
    date: int | None = None
    type: int | None = None
    time_format: str = ""
    click_types: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def choose_columns(table: Table, columns: Columns) -> Chosen:
    """Return which column is what.

    Raises
    ------
    UnreadableFileError
        If a column that is named is not there, if there are two for one role, or none where there
        must be one: of items, and of sessions, or of users and times.
    """
    search = _Search(table)
    form = next((f for f in FORMS if f.fits(table.sample[:20])), None) if search.numbered else None
    if form is not None:
        table.form += f", as {form.name}"
    found: dict[str, int | None] = {}
    rest: dict[str, str] = {}
    for role in ROLES:
        said = getattr(columns, role)
        if said == NONE:
            found[role] = None
        elif said is not None:
            found[role], rest[role] = search.said(role, said)
        elif form is not None:
            found[role] = form.roles.get(role)
        else:
            found[role] = search.guess(role)
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
    _set_clock(chosen, search, columns.time, rest.get("time", ""))
    return chosen


def _set_clock(chosen: Chosen, search: _Search, said: str | None, rest: str) -> None:
    """Set the clock's format, and its second column where it has two."""
    if rest.startswith("+"):
        chosen.date = chosen.time
        chosen.time, _ = search.said("time", rest[1:])
    elif said is not None:
        chosen.time_format = rest
    elif not search.numbered:
        date, time = search.first_of(DATES), search.first_of(TIMES_OF_DAY)
        if date is not None and time is not None and search.is_time_of_day(time):
            chosen.date, chosen.time = date, time


class _Search:
    """Looks for columns of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._normals = [normal(name) for name in table.names]
        self.numbered = table.names == [str(n) for n in range(1, len(table.names) + 1)]

    def error(self, what: str, option: str) -> UnreadableFileError:
        """Return an error that lists the columns and names the option."""
        names = ", ".join(self._table.names[:20])
        if self.numbered and self._table.sample:
            example = ", ".join(self._table.sample[0])[:60]
            names = f"numbers 1 to {len(self._table.names)}, as there is no header ({example})"
        return UnreadableFileError(
            self._table.path, f"{what}; its columns are: {names}. Say which with {option}"
        )

    def said(self, role: str, text: str) -> tuple[int, str]:
        """Return the column that an option names, and what follows it: a format, or ``+TIME``."""
        for cut, sign in ((len(text), ""), (text.find("="), "="), (text.find("+"), "+")):
            name = text[:cut] if cut > 0 else ""
            index = self._index(name)
            if index is not None and (not sign or role == "time" or (role, sign) == ("type", "=")):
                return index, text[cut:] if sign == "+" else text[cut + 1 :]
        raise self.error(f"there is no column {text!r}", f"--{role}")

    def guess(self, role: str) -> int | None:
        """Return the column that is known best by its name."""
        for name in KNOWN_NAMES[role]:
            found = [i for i, other in enumerate(self._normals) if other == name]
            if len(found) > 1:
                both = " and ".join(repr(self._table.names[i]) for i in found)
                raise self.error(f"{both} may both be the column of {role}s", f"--{role}")
            if found:
                return found[0]
        return None

    def first_of(self, names: Sequence[str]) -> int | None:
        """Return the first column of one of these normal names."""
        return next((self._normals.index(n) for n in names if n in self._normals), None)

    def is_time_of_day(self, index: int) -> bool:
        """Return whether a column's first values are times of day, or milliseconds by its name."""
        values = [row[index].strip() for row in self._table.sample if row[index].strip()]
        of_day = all(TIME_OF_DAY.fullmatch(value) for value in values)
        return of_day or self._normals[index] == "timeframe"

    def check_prefixes(self, item: int) -> None:
        """Refuse files of cases: a list of items beside the item that follows it."""
        lists = [n for n in self._normals if n.startswith("item") and PLURAL.search(n)]
        if lists and "itemid" in self._normals and self._normals[item] == "itemid":
            raise self.error(
                "its rows are prefixes of sessions, each with the item that follows, "
                "and would count every click many times",
                "--item, if that is wrong",
            )

    def _index(self, name: str) -> int | None:
        if name in self._table.names:
            return self._table.names.index(name)
        bare = [other.split(":")[0] for other in self._table.names]
        if name in bare:
            return bare.index(name)
        if name.isdigit() and 0 < int(name) <= len(bare):
            return int(name) - 1
        return None
