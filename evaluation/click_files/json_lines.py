"""JSON Lines: one object a line."""

from __future__ import annotations

from collections.abc import Sequence
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


def json_table(path: Path, text: str) -> Table:
    """Return a file of JSON objects as a table; its columns are the keys of the first rows.

    Raises
    ------
    UnreadableFileError
        If no line is an object.
    """
    lines = text.split("\n")
    full = [number for number, line in enumerate(lines, 1) if line.strip()]
    rows = (row for number in full if (row := _row(lines[number - 1])) is not None)
    sample = list(islice(rows, SAMPLE_ROWS))
    if not sample or lines[full[0] - 1].strip() == "{":
        first = lines[full[0] - 1][:60]
        raise UnreadableFileError(
            path, f"no JSON object: {first}; write each object in a line of its own", line=full[0]
        )
    table = Table(path, "JSON Lines", [], lambda number: lines[number - 1])
    table.names = list(dict.fromkeys(key for row in sample for key in row))
    table.sample = [[_text(row.get(name)) for name in table.names] for row in sample]
    table.rows = len(full)
    table.read = lambda indexes: _read(lines, full, {i: table.names[i] for i in indexes}, table)
    return table


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


def _read(
    lines: Sequence[str], numbers: Sequence[int], columns: dict[int, str], table: Table
) -> pl.DataFrame:
    """Return the columns of all rows; those that have no usable value are refused."""
    read: dict[int, list[Value]] = {i: [] for i in columns}
    kept: list[int] = []
    refused: dict[str, list[int]] = {}
    for number in numbers:
        row = _row(lines[number - 1])
        if row is None:
            refused.setdefault("not a JSON object in UTF-8", []).append(number)
            continue
        try:
            values = {i: _value(name, row.get(name)) for i, name in columns.items()}
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


def _series(name: str, values: list[Value]) -> pl.Series:
    if any(isinstance(value, list) for value in values):
        lists = [value if isinstance(value, list) else [value] for value in values]
        return pl.Series(name, lists, pl.List(pl.String))
    return pl.Series(name, values, pl.String)


def _value(name: str, value: Any) -> Value:
    if isinstance(value, list):
        return [_scalar(name, entry) for entry in value]
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        kind = {bool: "true or false", dict: "an object", list: "a list in a list"}[type(value)]
        raise _NoValueError(f"{name} is {kind}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
