"""Which column of a file of items is what: by its name and its first cells, or as somebody says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evaluation.click_files.search import NONE, Search
from evaluation.click_files.table import Table
from evaluation.item_files.cells import (
    CellError,
    availability,
    deletion,
    embedding,
    number,
    time_ms,
    url,
)
from evaluation.item_files.roles import LEVEL, OF_ITEMS


@dataclass(frozen=True)
class ItemColumns:
    """Columns as somebody names them: by name, or by number from 1; ``-``: there is none.

    Attributes
    ----------
    item, title, available, deleted, kind, description, image, page, starts, ends, embedding
        The column; None: guess. ``starts`` and ``ends`` are those of the time from and until which
        an item is available.
    categories
        The columns, each ``COLUMN`` or ``COLUMN=SEPARATOR``; none given: guess.
    attributes, numbers
        The columns; an object in one of them is several attributes or numbers. None given: guess.
    """

    item: str | None = None
    title: str | None = None
    available: str | None = None
    deleted: str | None = None
    categories: Sequence[str] = ()
    attributes: Sequence[str] = ()
    kind: str | None = None
    description: str | None = None
    image: str | None = None
    page: str | None = None
    starts: str | None = None
    ends: str | None = None
    embedding: str | None = None
    numbers: Sequence[str] = ()

    def named(self) -> list[str]:
        """Return all names of columns that these options may hold; numbers are none."""
        texts = [getattr(self, field) for field in ("item", *ONE)]
        texts += [*self.attributes, *self.numbers]
        for category in self.categories:
            texts += [category, category.split("=")[0]]
        return [text for text in texts if text and text != NONE and not text.isdigit()]


@dataclass
class Chosen:
    """Indexes of the columns of a table by role; None where there is none.

    Attributes
    ----------
    item, title, available, deleted, kind, description, image, page, starts, ends, embedding
        The columns.
    categories
        The columns, each with what separates categories in its cells; empty: guess.
    attributes, numbers
        The columns.
    """

    item: int
    title: int | None = None
    available: int | None = None
    deleted: int | None = None
    categories: dict[int, str] = field(default_factory=dict)
    attributes: list[int] = field(default_factory=list)
    kind: int | None = None
    description: int | None = None
    image: int | None = None
    page: int | None = None
    starts: int | None = None
    ends: int | None = None
    embedding: int | None = None
    numbers: list[int] = field(default_factory=list)

    @property
    def used(self) -> list[int]:
        """All of them, in the order of the file."""
        one = (self.item, *(getattr(self, field) for field in ONE))
        several = (*self.categories, *self.attributes, *self.numbers)
        return sorted({i for i in one if i is not None} | {*several})


ONE: dict[str, tuple[str, Callable[[str], object] | None]] = {
    "title": ("title", None),
    "available": ("available", availability),
    "deleted": ("deleted", deletion),
    "kind": ("kind", None),
    "description": ("description", None),
    "image": ("image", url),
    "page": ("page", url),
    "starts": ("from", time_ms),
    "ends": ("until", time_ms),
    "embedding": ("embedding", embedding),
}
"""Fields of one column at most: the name of its option, and what reads the cells of a column that
is guessed."""


def choose_columns(table: Table, columns: ItemColumns) -> Chosen:
    """Return which column is what.

    Raises
    ------
    UnreadableFileError
        If a column that is named is not there, if there are two for one role, or none of items.
    """
    search = Search(table, OF_ITEMS)
    item = _one(search, "item", columns.item)
    if item is None:
        raise search.error("no column of items is known", "--item")
    chosen = Chosen(item)
    for name, (role, read) in ONE.items():
        setattr(chosen, name, _one(search, role, getattr(columns, name), read))
    chosen.categories = _categories(search, columns.categories)
    chosen.numbers = _numbers(search, columns.numbers, chosen.used)
    chosen.attributes = _attributes(search, columns.attributes, chosen.used)
    return chosen


def _one(
    search: Search, role: str, said: str | None, read: Callable[[str], object] | None = None
) -> int | None:
    """Return the column of a role: as somebody says, or the first one whose cells can be ``read``.

    None where there is no such column.
    """
    if said == NONE:
        return None
    if said is not None:
        return search.said(role, said)[0]
    known = search.candidates(role)
    return next((index for index in known if read is None or _is_read(search, index, read)), None)


def _is_read(search: Search, index: int, read: Callable[[str], object]) -> bool:
    try:
        for cell in search.values(index).drop_nulls():
            read(cell)
    except CellError:
        return False
    return True


def _categories(search: Search, said: Sequence[str]) -> dict[int, str]:
    if said:
        return dict(search.said("category", text, "=") for text in said if text != NONE)
    levels = [i for i, name in enumerate(search.normals) if LEVEL.match(name)]
    if len(levels) > 1:
        return dict.fromkeys(levels, "")
    known = search.candidates("category")
    return dict.fromkeys(known[:1], "")


def _numbers(search: Search, said: Sequence[str], used: Sequence[int]) -> list[int]:
    if said:
        return [search.said("number", text)[0] for text in said if text != NONE]
    named = [index for index in search.candidates("number") if _is_read(search, index, number)]
    # RecBole's files name types: a token is a text.
    named = [index for index in named if not search.table.names[index].endswith(":token")]
    known = [*search.candidates("numbers"), *named]
    return [index for index in dict.fromkeys(known) if index not in used]


def _attributes(search: Search, said: Sequence[str], used: Sequence[int]) -> list[int]:
    if said:
        return [search.said("attribute", text)[0] for text in said if text != NONE]
    known = [*search.candidates("attributes"), *search.candidates("attribute")]
    # RecBole's files name types, and hold nothing but what describes an item.
    known += [i for i, name in enumerate(search.table.names) if re.search(r":(token|float)$", name)]
    return [index for index in dict.fromkeys(known) if index not in used]
