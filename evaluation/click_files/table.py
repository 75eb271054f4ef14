"""A file as a table: named or numbered columns whose meaning is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from evaluation.click_files.report import FIRST_LINES, Refusals

SAMPLE_ROWS = 100
"""First rows from which the meaning of columns is guessed."""

LINE = "(line)"
"""The column of line numbers, from 1; in Parquet, of row numbers. No file has one of this name."""


@dataclass
class Table:
    """A file's rows.

    Attributes
    ----------
    path
        The file.
    form
        Its format in words.
    names
        Of the columns; of a file without a header their numbers, from 1.
    text
        Returns the text of a line by its number.
    sample
        The first rows as text, a value per column.
    rows
        How many there are, those that are refused among them.
    read
        Returns the columns of these indexes, named by their indexes, beside `LINE`. Values are
        strings, lists, or in Parquet also numbers and times; null where there is none.
    refused
        Rows that cannot be read; `read` may add some.
    notes
        What somebody should know.
    """

    path: Path
    form: str
    names: list[str]
    text: Callable[[int], str]
    sample: list[list[str]] = field(default_factory=list)
    rows: int = 0
    read: Callable[[Sequence[int]], pl.DataFrame] = lambda _: pl.DataFrame()
    refused: Refusals = field(default_factory=Refusals)
    notes: list[str] = field(default_factory=list)

    def refuse(self, reason: str, lines: pl.Series | Sequence[int]) -> None:
        """Count the rows of these line numbers as refused."""
        first = [(int(n), self.text(int(n))) for n in lines[:FIRST_LINES]]
        self.refused.add(reason, len(lines), first)
