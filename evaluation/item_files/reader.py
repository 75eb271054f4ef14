"""Reads files of items block by block, and reports what was read and what was not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from evaluation.click_files.cells import MISSING, ids
from evaluation.click_files.json_lines import JsonFile
from evaluation.click_files.lists import are_bracketed, separator_of, split_lists
from evaluation.click_files.opening import tables
from evaluation.click_files.roles import PLURAL, normal
from evaluation.click_files.table import LINE, Table
from evaluation.errors import UnreadableFileError
from evaluation.item_files.cells import (
    CellError,
    attributes,
    availability,
    deletion,
    embedding,
    number,
    numbers,
    text,
    time_ms,
)
from evaluation.item_files.columns import ONE, Chosen, ItemColumns, choose_columns
from evaluation.item_files.report import ItemReport
from evaluation.item_files.roles import OF_ITEMS
from nextclick.codec import Item

SEPARATORS, OF_LISTS = ("|", ";", ">"), ("|", ";", ">", ",")
"""What separates categories; a comma does in a column whose name is a plural."""

ITEM = "item"
"""The column of ids, beside those that are named by their numbers."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Block:
    """Some rows of a file.

    Attributes
    ----------
    rows
        Items with the numbers of their lines; a deletion is an item that says so.
    refused
        Items whose rows could not be read, although they name them.
    text
        Returns the text of a line by its number.
    """

    rows: list[tuple[int, Item]]
    refused: list[str]
    text: Callable[[int], str] = field(repr=False)


class ItemFile:
    """A file of items.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that somebody has named; the others are guessed.
    """

    def __init__(self, path: Path, columns: ItemColumns | None = None) -> None:
        self._path = path
        self._columns = columns or ItemColumns()
        self.report = ItemReport(path, "")
        """What was read so far."""

    def blocks(self) -> Iterator[Block]:
        """Yield the rows of the file, in its order.

        Raises
        ------
        UnreadableFileError
            If the file is no table, or is broken, if the meaning of a column is unknown, or if more
            than half of the rows of the first block, or of all, cannot be read.
        """
        chosen: Chosen | None = None
        for table in tables(self._path, self._columns.named(), OF_ITEMS):
            first = chosen is None
            chosen = chosen or choose_columns(table, self._columns)
            rows = _Rows(table, chosen)
            self.report.nameless += table.refused.total
            block = rows.block()
            self._count(table, block)
            if first:
                self.report.form, self.report.notes = table.form, table.notes
                self.report.columns, self.report.unused = rows.described(), rows.unused()
                self.report.check()
            yield block
        self.report.check()

    def _count(self, table: Table, block: Block) -> None:
        deletions = sum(item.deleted for _, item in block.rows)
        self.report.rows += table.rows
        self.report.deletions += deletions
        self.report.items += len(block.rows) - deletions
        self.report.refused.add_all(table.refused)


class _Rows:
    """The rows of a table on their way to items; each is refused at most once."""

    def __init__(self, table: Table, chosen: Chosen) -> None:
        self._table = table
        self._chosen = chosen
        frame = table.read(chosen.used)
        cells = frame[str(chosen.item)]
        if cells.dtype == pl.List(pl.String) and table.form.startswith(JsonFile.form):
            # One row with a list makes all of them lists, of one entry each.
            alone = cells.list.len() == 1
            cells = pl.select(pl.when(alone).then(cells.list.first())).to_series()
            frame = frame.with_columns(cells.alias(str(chosen.item)))
        if cells.dtype.is_nested() or cells.dtype in (pl.Binary, pl.Boolean):
            raise self._mistyped(chosen.item, "item", cells.dtype)
        frame = frame.with_columns(ids(cells).alias(ITEM))
        table.refuse("no item", frame.filter(pl.col(ITEM).is_null())[LINE])
        self._frame = frame.filter(pl.col(ITEM).is_not_null())
        self._faults: list[str | None] = [None] * self._frame.height

    def block(self) -> Block:
        """Return the items."""
        lines: list[int] = self._frame[LINE].to_list()
        names: list[str] = self._frame[ITEM].to_list()
        titles = self._texts(self._chosen.title)
        available = self._read(self._texts(self._chosen.available), availability, default=True)
        deleted = self._read(self._texts(self._chosen.deleted), deletion, default=False)
        chosen = self._chosen
        none: tuple[float, ...] = ()
        categories, described, measured = self._categories(), self._attributes(), self._numbers()
        starts = self._read(self._texts(chosen.starts), time_ms, default=0)
        ends = self._read(self._texts(chosen.ends), time_ms, default=0)
        vectors = self._read(self._cells(chosen.embedding), embedding, default=none)
        kinds, descriptions = self._texts(chosen.kind), self._texts(chosen.description)
        images, pages = self._texts(chosen.image), self._texts(chosen.page)
        rows: list[tuple[int, Item]] = []
        refused: dict[str, list[int]] = {}
        for i, fault in enumerate(self._faults):
            if deleted[i]:
                rows.append((lines[i], Item(names[i], deleted=True)))
            elif fault is None:
                item = Item(
                    names[i],
                    available[i],
                    categories[i],
                    described[i],
                    titles[i],
                    kind=kinds[i],
                    description=descriptions[i],
                    numbers=measured[i],
                    image_url=images[i],
                    page_url=pages[i],
                    available_from_ms=starts[i],
                    available_until_ms=ends[i],
                    embedding=vectors[i],
                )
                rows.append((lines[i], item))
            else:
                refused.setdefault(fault, []).append(i)
        for fault, places in refused.items():
            self._table.refuse(fault, [lines[i] for i in places])
        unread = [names[i] for places in refused.values() for i in places]
        return Block(rows, unread, self._table.text)

    def described(self) -> list[tuple[str, str]]:
        """Return what each column was taken for."""
        chosen = self._chosen
        one = {"item": chosen.item} | {
            role: getattr(chosen, name) for name, (role, _) in ONE.items()
        }
        told = [(role, self._name(index)) for role, index in one.items() if index is not None]
        for index, sign in chosen.categories.items():
            how = f" (separated by {sign!r})" if sign else ""
            told.append(("category", f"{self._name(index)}{how}"))
        if chosen.attributes:
            told.append(("attributes", ", ".join(map(self._name, chosen.attributes))))
        if chosen.numbers:
            told.append(("numbers", ", ".join(map(self._name, chosen.numbers))))
        return told

    def unused(self) -> list[str]:
        """Return the columns that were taken for nothing."""
        used = set(self._chosen.used)
        return [self._name(index) for index in range(len(self._table.names)) if index not in used]

    def _name(self, index: int) -> str:
        name = self._table.names[index]
        return f"column {name}" if name.isdigit() else name

    def _mistyped(self, index: int, role: str, found: pl.DataType) -> UnreadableFileError:
        return UnreadableFileError(
            self._table.path,
            f"{self._name(index)}, its column for --{role}, holds values of type {found}; name "
            f"another column with --{role}",
        )

    def _values(self, index: int) -> list[Any]:
        return self._frame[str(index)].to_list()

    def _cells(self, index: int | None) -> list[Any]:
        return [None] * self._frame.height if index is None else self._values(index)

    def _texts(self, index: int | None) -> list[str]:
        if index is None:
            return [""] * self._frame.height
        return [text(value) for value in self._values(index)]

    def _read(self, cells: Sequence[T], read: Callable[[T], R], *, default: R) -> list[R]:
        """Return what cells say; the default, and a fault, where that is not understood."""
        out: list[R] = []
        for i, cell in enumerate(cells):
            try:
                out.append(read(cell))
            except CellError as e:
                self._faults[i] = self._faults[i] or str(e)
                out.append(default)
        return out

    def _categories(self) -> list[tuple[str, ...]]:
        columns = [self._lists(index) for index in self._chosen.categories]
        out = []
        for row in zip(*columns, strict=True) if columns else [()] * self._frame.height:
            entries = (entry.strip() for entries in row for entry in entries or () if entry)
            out.append(tuple(dict.fromkeys(entry for entry in entries if entry not in MISSING)))
        return out

    def _lists(self, index: int) -> list[list[str | None] | None]:
        """Return the entries of each cell of a column of categories."""
        cells = self._frame[str(index)]
        if isinstance(cells.dtype, pl.List | pl.Array):
            if cells.dtype.inner.is_nested():
                raise self._mistyped(index, "category", cells.dtype)
            return split_lists(cells).entries.to_list()
        cells = ids(cells)
        sign = self._chosen.categories[index] or self._separator(index, cells)
        self._chosen.categories[index] = sign
        lists = split_lists(cells, separator=sign)
        for i, fault in enumerate(lists.faults):
            self._faults[i] = self._faults[i] or fault
        return lists.entries.to_list()

    def _separator(self, index: int, cells: pl.Series) -> str:
        """Return what separates categories; the first sign where none is seen yet."""
        name = self._table.names[index]
        if name.endswith(":token_seq"):
            return " "
        signs = OF_LISTS if PLURAL.search(normal(name)) or are_bracketed(cells) else SEPARATORS
        return separator_of(cells, signs) or signs[0]

    def _numbers(self) -> list[dict[str, float]]:
        out: list[dict[str, float]] = [{} for _ in range(self._frame.height)]
        none: dict[str, float] = {}
        for index in self._chosen.numbers:
            name = self._table.names[index]
            if normal(name) in OF_ITEMS.names["numbers"]:
                for held, more in zip(
                    out, self._read(self._values(index), numbers, default=none), strict=True
                ):
                    held.update(more)
                continue
            bare = name.split(":")[0]
            for held, value in zip(
                out, self._read(self._texts(index), number, default=None), strict=True
            ):
                if value is not None:
                    held[bare] = value
        return out

    def _attributes(self) -> list[dict[str, str]]:
        out: list[dict[str, str]] = [{} for _ in range(self._frame.height)]
        none: dict[str, str] = {}
        for index in self._chosen.attributes:
            name = self._table.names[index]
            if normal(name) in OF_ITEMS.names["attributes"]:
                objects = self._read(self._values(index), attributes, default=none)
            else:
                bare = name.split(":")[0]
                objects = [{bare: cell} if cell else {} for cell in self._texts(index)]
            for held, more in zip(out, objects, strict=True):
                held.update(more)
        return out
