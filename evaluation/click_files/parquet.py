"""Parquet files: columns with types, which may be numbers, times and lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs
from polars.exceptions import PolarsError

from evaluation.click_files.table import LINE, SAMPLE_ROWS, Table
from evaluation.errors import UnreadableFileError


class ParquetFile:
    """A Parquet file; lines are its rows, from 1.

    Raises
    ------
    UnreadableFileError
        If the file is broken.
    """

    form = "Parquet"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._frame = pl.scan_parquet(path, row_index_name=LINE, row_index_offset=1)
            self.names = [name for name in self._frame.collect_schema() if name != LINE]
            head = self._frame.head(SAMPLE_ROWS).collect()
            self.rows = int(self._frame.select(pl.len()).collect().item())
        except (PolarsError, OSError) as e:
            raise UnreadableFileError(path, f"it is no whole Parquet file ({e})") from e
        self._sample = [["" if v is None else str(v) for v in row[1:]] for row in head.rows()]

    def table(self, first: int = 1, rows: int | None = None) -> Table:
        """Return rows of the file as a table: so many from the given one on, or all."""
        part = self._frame.slice(first - 1, rows)
        table = Table(self._path, self.form, self.names, self._text, self._sample)
        table.rows = min(rows or self.rows, self.rows - first + 1)
        table.read = lambda indexes: self._read(part, indexes, table)
        return table

    def _text(self, number: int) -> str:
        row = self._frame.slice(number - 1, 1).collect().row(0)
        return ", ".join("" if value is None else str(value) for value in row[1:])

    def _read(self, part: pl.LazyFrame, indexes: Sequence[int], table: Table) -> pl.DataFrame:
        columns = [pl.col(self.names[i]).alias(str(i)) for i in indexes]
        try:
            whole = part.select(pl.col(LINE).cast(pl.Int64), *columns).collect()
        except PolarsError as e:
            raise UnreadableFileError(self._path, f"it is no whole Parquet file ({e})") from e
        return _decoded(whole.with_columns((cs.categorical() | cs.enum()).cast(pl.String)), table)


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
