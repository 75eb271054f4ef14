"""Opens a file as a table of all its rows, or as one table after another of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evaluation.click_files.content import packing, read_text, text_blocks
from evaluation.click_files.delimited import DelimitedFile
from evaluation.click_files.json_lines import JsonFile
from evaluation.click_files.parquet import ParquetFile
from evaluation.click_files.roles import Vocabulary
from evaluation.click_files.table import Table
from evaluation.errors import UnreadableFileError

BLOCK_ROWS = 50_000
"""Rows of a block of Parquet."""


def whole_table(path: Path, named: Sequence[str], words: Vocabulary) -> Table:
    """Return all rows of a file as a table.

    Parameters
    ----------
    path
        The file.
    named
        Columns that somebody has named.
    words
        What columns of such files are called.

    Raises
    ------
    UnreadableFileError
        If it is no table.
    """
    packed = packing(path)
    if packed == "parquet":
        return ParquetFile(path).table()
    text = read_text(path, strict=False)
    file = _of_text(path, text, named, words)
    table, _ = file.table(text)
    table.notes += file.notes
    table.form += f", {packed}" if packed else ""
    return table


def tables(path: Path, named: Sequence[str], words: Vocabulary) -> Iterator[Table]:
    """Yield the rows of a file as tables, in its order, so that it is never held as a whole.

    All have the same columns: those that its beginning shows, or in JSON Lines all keys, for which
    the file is read once before. Values may be nested (`JsonFile`). The first one has the notes.

    Parameters
    ----------
    path, named, words
        See `whole_table`.

    Raises
    ------
    UnreadableFileError
        If it is no table, or broken: where that shows.
    """
    packed = packing(path)
    if packed == "parquet":
        parquet = ParquetFile(path)
        for first in range(1, max(parquet.rows, 1) + 1, BLOCK_ROWS):
            yield parquet.table(first, BLOCK_ROWS)
        return
    blocks = text_blocks(path)
    text = next(blocks, "")
    file = _of_text(path, text, named, words, nested=True)
    if isinstance(file, JsonFile):
        file.name_all(text_blocks(path))
    first, notes = 1, file.notes
    while text:
        following = next(blocks, "")
        table, left = file.table(text, first, last=not following)
        if first == 1 and not table.rows and following:
            text += following  # columns are guessed by the first rows
            continue
        table.notes += notes
        table.form += f", {packed}" if packed else ""
        yield table
        first, notes = first + text.count("\n") - left.count("\n"), []
        text = left + following


def _of_text(
    path: Path, text: str, named: Sequence[str], words: Vocabulary, *, nested: bool = False
) -> DelimitedFile | JsonFile:
    if text.lstrip().startswith("["):
        raise UnreadableFileError(path, "it is one JSON array; write one object a line", line=1)
    if text.lstrip().startswith("{"):
        return JsonFile(path, text, nested=nested)
    return DelimitedFile(path, text, named, words)
