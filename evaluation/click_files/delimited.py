"""Files of lines whose fields are separated by commas, tabs, semicolons, bars or ``::``.

Every line stands for itself and is checked for the number of its fields, so that one broken line
costs no other. Quotes are those of CSV: a quoted field may hold separators and line ends.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from evaluation.click_files.roles import Vocabulary, normal
from evaluation.click_files.table import LINE, SAMPLE_ROWS, Table
from evaluation.errors import UnreadableFileError

SEPARATORS = {
    "::": "separated by '::'",
    "\t": "tab-separated",
    ",": "comma-separated",
    ";": "separated by semicolons",
    "|": "separated by bars",
}
QUOTING = (",", ";", "|")
"""Separators of files that quote as CSV does; elsewhere a quote is a character as others are."""

MAX_QUOTED_LINES = 100
"""Lines that one quoted field may go over; a quote that is not closed by then is a broken line."""

FIELDS = "fields"
_SPLIT = pl.Schema({LINE: pl.Int64(), FIELDS: pl.List(pl.String())})


class DelimitedFile:
    """A file of lines; its separator, columns and header show at its beginning.

    Parameters
    ----------
    path
        The file.
    text
        Its text, or the first block of it.
    named
        Columns that somebody has named: where the first line has them, it is a header.
    words
        What columns of such files are called.

    Raises
    ------
    UnreadableFileError
        If the file has no line, or no separator that is known.
    """

    def __init__(self, path: Path, text: str, named: Sequence[str], words: Vocabulary) -> None:
        self._path = path
        lines = list(islice(filter(str.strip, _lines_of(text)), SAMPLE_ROWS))
        if not lines:
            raise UnreadableFileError(path, "it is empty")
        self._separator = _separator(path, lines, named, words)
        self.names = _fields(lines[0], self._separator)
        self.form = SEPARATORS[self._separator]
        self.notes: list[str] = []
        self._header = ""
        if _is_header(self.names, lines[1:21], self._separator, named, words):
            self._header = lines[0]
            if not words.known(self.names):
                self.notes.append(f"the first line was taken for a header: {lines[0][:60]}")
        else:
            self.names = [str(number) for number in range(1, len(self.names) + 1)]
            self.form += ", without a header"

    def table(self, text: str, first: int = 1, *, last: bool = True) -> tuple[Table, str]:
        """Return lines of the file as a table, and the text after its last whole row.

        Parameters
        ----------
        text
            Whole lines.
        first
            The number of the first one, from 1.
        last
            Whether they go to the end of the file. Otherwise, a row whose quotes are not closed may
            go on in the lines that follow: it begins the text that is returned.
        """
        lines = pl.Series(LINE, [text], pl.String).str.split("\n").explode()
        numbers = pl.int_range(first, first + len(lines), eager=True)
        frame = pl.DataFrame({LINE: numbers, "text": lines})
        full = frame.filter(pl.col("text").str.strip_chars() != "")
        if self._header and first == 1:
            full = full[1:]
        table = Table(self._path, self.form, self.names, lambda number: str(lines[number - first]))
        again = pl.col("text") == self._header
        broken = pl.col("text").str.contains("\ufffd", literal=True)
        whole = full.filter(~again & ~broken)
        rows, end = _split(whole, _Lines(lines, first, last), self._separator, table)
        full = full.filter(pl.col(LINE) < end)
        table.refuse("the header again", full.filter(again)[LINE])
        table.refuse("not UTF-8", full.filter(broken)[LINE])
        table.rows = rows.height + table.refused.total
        table.sample = rows[FIELDS][:SAMPLE_ROWS].to_list()
        table.read = lambda indexes: rows.select(
            LINE, *(_cell(i, self._separator) for i in indexes)
        )
        return table, "\n".join(lines[end - first :])


class _Lines(NamedTuple):
    """Lines of a file, the number of the first one, and whether they go to its end."""

    texts: pl.Series
    first: int
    last: bool


def _lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a text, cut one by one: it may have millions of them."""
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _separator(path: Path, lines: list[str], named: Sequence[str], words: Vocabulary) -> str:
    """Return the separator by which the first line makes most sense."""

    def sense(separator: str) -> tuple[int, bool, int]:
        names = _fields(lines[0], separator)
        form = words.form_of([_fields(line, separator) for line in lines[:20]])
        meant = words.known(names) + len(set(named).intersection(names))
        return meant, form is not None, len(names)

    best = max(SEPARATORS, key=sense)
    if len(_fields(lines[0], best)) < 2:
        raise UnreadableFileError(
            path,
            f"its first line is no row of a table: {lines[0][:60]!r}; expected fields that are "
            "separated by commas, tabs, semicolons, bars or '::', JSON Lines, or Parquet",
            line=1,
        )
    return best


def _is_header(
    first: list[str], rows: list[str], separator: str, named: Sequence[str], words: Vocabulary
) -> bool:
    if words.known(first) or set(named).intersection(first):
        return True
    if any(re.search(r"\d", name) for name in first) or not all(normal(name) for name in first):
        return False
    return any(re.search(r"\d", field) for row in rows for field in _fields(row, separator))


def _fields(line: str, separator: str) -> list[str]:
    if separator in QUOTING and '"' in line:
        fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])
    else:
        fields = line.split(separator)
    return [_bare(field.strip()) for field in fields]


def _bare(field: str) -> str:
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if quoted else field


def _cell(index: int, separator: str) -> pl.Expr:
    cell = pl.col(FIELDS).list.get(index, null_on_oob=True).str.strip_chars()
    if separator not in QUOTING:
        quoted = cell.str.contains(r'^".*"$')
        bare = cell.str.replace(r'^"(.*)"$', "${1}").str.replace_all('""', '"', literal=True)
        cell = pl.when(quoted).then(bare).otherwise(cell)
    return cell.alias(str(index))


def _split(
    whole: pl.DataFrame, lines: _Lines, separator: str, table: Table
) -> tuple[pl.DataFrame, int]:
    """Return `LINE` and `FIELDS` of all rows that have as many fields as the first line.

    And the number of the line that they end before.
    """
    width = len(table.names)
    end = lines.first + len(lines.texts)
    quotes = whole["text"].str.contains('"', literal=True)
    quoted = pl.DataFrame(schema=_SPLIT)
    if separator in QUOTING and quotes.any():
        quoted, inside, end = _quoted_rows(whole.filter(quotes)[LINE], lines, separator, table)
        whole = whole.filter(~quotes & ~pl.col(LINE).is_in(inside) & (pl.col(LINE) < end))
    plain = whole.select(LINE, pl.col("text").str.split(separator).alias(FIELDS))
    rows = pl.concat([plain, quoted]).sort(LINE)
    fits = rows[FIELDS].list.len() == width
    table.refuse(f"not {width} fields, as the first line has", rows.filter(~fits)[LINE])
    return rows.filter(fits), end


def _quoted_rows(
    numbers: pl.Series, lines: _Lines, separator: str, table: Table
) -> tuple[pl.DataFrame, set[int], int]:
    """Return the rows that begin at lines with quotes, and the lines that belong to such rows.

    And the number of the line that they end before.
    """
    texts = lines.texts.to_list()
    end = lines.first + len(texts)
    found: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    inside: set[int] = set()
    for number in numbers:
        if number in inside:
            continue
        at = number - lines.first
        following = (f"{text}\n" for text in texts[at : at + MAX_QUOTED_LINES])
        reader = csv.reader(following, delimiter=separator, strict=True, skipinitialspace=True)
        try:
            found.append((number, next(reader)))
        except csv.Error:
            read_all = number + reader.line_num == end
            if read_all and not lines.last and reader.line_num < MAX_QUOTED_LINES:
                end = number
                break
            broken.append(number)
            continue
        inside.update(range(number + 1, number + reader.line_num))
    table.refuse("a quote in the wrong place, or one that is not closed", broken)
    return pl.DataFrame(found, schema=_SPLIT, orient="row"), inside, end
