"""JSON Lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from evaluation.click_files.table import LINE, SAMPLE_ROWS, Table
from evaluation.errors import UnreadableFileError

Value = str | list[str | None] | None


class _NoValueError(Exception):
    """A value that can be neither an id, nor a time, nor a list of such."""


class JsonFile:
    """A file of JSON objects; its columns are the keys of the first rows, or those of all.

    Parameters
    ----------
    path
        The file.
    text
        Its text, or the first block of it.
    nested
        Whether values may be true or false, or objects: these are read as JSON.

    Raises
    ------
    UnreadableFileError
        If no line is an object.
    """

    form = "JSON Lines"

    def __init__(self, path: Path, text: str, *, nested: bool = False) -> None:
        self._path, self._nested = path, nested
        self.notes: list[str] = []
        lines = text.split("\n")
        full = [number for number, line in enumerate(lines, 1) if line.strip()]
        rows = (row for number in full if (row := _row(lines[number - 1])) is not None)
        self._sample = list(islice(rows, SAMPLE_ROWS))
        if not self._sample or lines[full[0] - 1].strip() == "{":
            first = lines[full[0] - 1][:60]
            raise UnreadableFileError(
                path,
                f"no JSON object: {first}; write each object in a line of its own",
                line=full[0],
            )
        self.names = list(dict.fromkeys(key for row in self._sample for key in row))

    def name_all(self, texts: Iterable[str]) -> None:
        """Take the keys of all rows for columns: a row may leave out what it has no value for."""
        names = dict.fromkeys(self.names)
        for text in texts:
            for row in map(_row, text.split("\n")):
                names.update(dict.fromkeys(row or ()))
        self.names = list(names)

    def table(self, text: str, first: int = 1, *, last: bool = True) -> tuple[Table, str]:
        """Return lines of the file as a table, and the text after its last whole row: none.

        Parameters
        ----------
        text
            Whole lines.
        first
            The number of the first one, from 1.
        last
            Whether they go to the end of the file.
        """
        del last
        lines = text.split("\n")
        full = [number for number, line in enumerate(lines, first) if line.strip()]
        table = Table(self._path, self.form, self.names, lambda number: lines[number - first])
        table.sample = [[_text(row.get(name)) for name in self.names] for row in self._sample]
        table.rows = len(full)
        table.read = lambda indexes: self._read(
            [(number, lines[number - first]) for number in full], indexes, table
        )
        return table, ""

    def _read(
        self, lines: Sequence[tuple[int, str]], indexes: Sequence[int], table: Table
    ) -> pl.DataFrame:
        """Return the columns of all rows; those that have no usable value are refused."""
        columns = {i: self.names[i] for i in indexes}
        read: dict[int, list[Value]] = {i: [] for i in columns}
        kept: list[int] = []
        refused: dict[str, list[int]] = {}
        for number, line in lines:
            row = _row(line)
            if row is None:
                refused.setdefault("not a JSON object in UTF-8", []).append(number)
                continue
            try:
                values = {i: self._value(name, row.get(name)) for i, name in columns.items()}
            except _NoValueError as e:
                refused.setdefault(str(e), []).append(number)
                continue
            kept.append(number)
            for i, value in values.items():
                read[i].append(value)
        for reason, broken in refused.items():
            table.refuse(reason, broken)
        series = [_series(str(i), values) for i, values in read.items()]
        return pl.DataFrame([pl.Series(LINE, kept, pl.Int64), *series])

    def _value(self, name: str, value: Any) -> Value:
        if self._nested and isinstance(value, bool | dict):
            return orjson.dumps(value).decode()
        if isinstance(value, list):
            return [_scalar(name, entry) for entry in value]
        return _scalar(name, value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _row(line: str) -> dict[str, Any] | None:
    if "\ufffd" in line:  # stands where the bytes were not UTF-8
        return None
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _series(name: str, values: list[Value]) -> pl.Series:
    if any(isinstance(value, list) for value in values):
        lists = [value if isinstance(value, list) else [value] for value in values]
        return pl.Series(name, lists, pl.List(pl.String))
    return pl.Series(name, values, pl.String)


def _scalar(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        kind = {bool: "true or false", dict: "an object", list: "a list in a list"}[type(value)]
        raise _NoValueError(f"{name} is {kind}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
