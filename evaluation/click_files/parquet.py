"""Parquet files: columns with types, which may be numbers, times and lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs
from polars.exceptions import PolarsError

from evaluation.click_files.table import LINE, SAMPLE_ROWS, Table
from evaluation.errors import UnreadableFileError


def parquet_table(path: Path) -> Table:
    """Return a Parquet file as a table; lines are its rows, from 1.

    Raises
    ------
    UnreadableFileError
        If the file is broken.
    """
    try:
        frame = pl.scan_parquet(path, row_index_name=LINE, row_index_offset=1)
        names = [name for name in frame.collect_schema() if name != LINE]
        head = frame.head(SAMPLE_ROWS).collect()
        rows = int(frame.select(pl.len()).collect().item())
    except (PolarsError, OSError) as e:
        raise UnreadableFileError(path, f"it is no whole Parquet file ({e})") from e

    def text(number: int) -> str:
        row = frame.slice(number - 1, 1).collect().row(0)
        return ", ".join("" if value is None else str(value) for value in row[1:])

    def read(indexes: Sequence[int]) -> pl.DataFrame:
        columns = [pl.col(names[i]).alias(str(i)) for i in indexes]
        try:
            whole = frame.select(pl.col(LINE).cast(pl.Int64), *columns).collect()
        except PolarsError as e:
            raise UnreadableFileError(path, f"it is no whole Parquet file ({e})") from e
        return _decoded(whole.with_columns((cs.categorical() | cs.enum()).cast(pl.String)), table)

    table = Table(path, "Parquet", names, text)
    table.rows = rows
    table.read = read
    table.sample = [["" if v is None else str(v) for v in row[1:]] for row in head.rows()]
    return table


def _decoded(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return bytes as strings; rows in which they are not UTF-8 are refused."""
    binary = frame.select(cs.binary()).columns
    texts = [
        pl.Series(name, [None if b is None else b.decode(errors="replace") for b in frame[name]])
        for name in binary
    ]
    frame = frame.with_columns(text.cast(pl.String) for text in texts)
    if not binary:
        return frame
    broken = pl.any_horizontal(pl.col(binary).str.contains("\ufffd", literal=True))
    broken = broken.fill_null(value=False)
    table.refuse("not UTF-8", frame.filter(broken)[LINE])
    return frame.filter(~broken)
