"""Files of users: CSV or JSON Lines, also packed with gzip or zstd.

Of a CSV file, `user_id`, `consent` and `segments` (with ``|`` between them) are known by their
names; all other columns are attributes. An object of JSON Lines is a user as `PutUsers` has it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from evaluation.click_files.cells import MISSING
from evaluation.click_files.content import text_of
from evaluation.errors import UnreadableFileError
from nextclick.users import User, user_faults

USER_ID, CONSENT, SEGMENTS, SEPARATOR = "user_id", "consent", "segments", "|"

YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


class Row(NamedTuple):
    """A row of a file: the number of its line, and its user, or else what is wrong with it."""

    line: int
    user: User | None
    fault: str = ""


def read_users(path: Path) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises
    ------
    UnreadableFileError
        If it is no such file, or has no column `user_id`.
    """
    with text_of(path) as lines:
        first = lines.readline()
        lines.seek(0)
        if first.lstrip().startswith("{"):
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _checked(number, *_of_json(line))
            return
        rows = csv.DictReader(lines)
        if USER_ID not in (rows.fieldnames or ()):
            wrong = f"no column is called {USER_ID}; name that of the users so"
            raise UnreadableFileError(path, wrong, 1)
        for row in rows:
            yield _checked(rows.line_num, *_of_cells(row))


def consent(cell: str) -> bool | None:
    """Return whether a cell says yes; an empty one does not say no; None: it is not understood.

    >>> consent("No"), consent("1"), consent(""), consent("perhaps")
    (False, True, True, None)
    """
    said = cell.strip().lower()
    if said in MISSING or said in YES:
        return True
    return False if said in NO else None


def _of_cells(row: dict[str, Any]) -> tuple[User | None, str]:
    if None in row or None in row.values():
        return None, "not as many cells as the header has columns"
    said = consent(row.pop(CONSENT, ""))
    if said is None:
        return None, "the consent is not understood; write true or false"
    segments = [name.strip() for name in row.pop(SEGMENTS, "").split(SEPARATOR)]
    user_id = row.pop(USER_ID).strip()
    attributes = {name: cell for name, cell in row.items() if cell.strip() not in MISSING}
    return User(user_id, attributes, tuple(filter(None, segments)), said), ""


def _of_json(line: str) -> tuple[User | None, str]:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as e:
        return None, f"no JSON: {e}"
    if not isinstance(told, dict):
        return None, "no JSON object"
    told = {name: value for name, value in told.items() if value is not None}
    if unknown := sorted(told.keys() - {USER_ID, CONSENT, SEGMENTS, "attributes"}):
        return None, f"a user has no field {unknown[0]}; attributes are in an object `attributes`"
    segments = told.get(SEGMENTS, [])
    return User(
        told.get(USER_ID, ""),
        told.get("attributes", {}),
        tuple(segments) if isinstance(segments, list) else segments,
        told.get(CONSENT, True),
    ), ""


def _checked(line: int, user: User | None, fault: str) -> Row:
    """Return a row whose user can be put, or what is wrong with it."""
    if user is not None and (faults := user_faults(user)):
        return Row(line, None, f"{faults[0].field} {faults[0].description}")
    return Row(line, user, fault)
