"""Files of lines whose fields are separated by commas, tabs, semicolons, bars or ``::``.

Every line stands for itself and is checked for the number of its fields, so that one broken line
costs no other. Quotes are those of CSV: a quoted field may hold separators and line ends.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from evaluation.click_files.roles import FORMS, known, normal
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


def delimited_table(path: Path, text: str, named: Sequence[str]) -> Table:
    """Return a file of lines as a table.

    Parameters
    ----------
    path
        The file.
    text
        Its text.
    named
        Columns that somebody has named: where the first line has them, it is a header.

    Raises
    ------
    UnreadableFileError
        If the file has no line, or no separator that is known.
    """
    lines = pl.Series(LINE, [text], pl.String).str.split("\n").explode()
    frame = pl.DataFrame({LINE: pl.int_range(1, len(lines) + 1, eager=True), "text": lines})
    full = frame.filter(pl.col("text").str.strip_chars() != "")
    if full.is_empty():
        raise UnreadableFileError(path, "it is empty")
    first = full["text"][0]
    separator = _separator(path, full["text"][:SAMPLE_ROWS].to_list(), named)
    names = _fields(first, separator)
    form = SEPARATORS[separator]
    notes = []
    header = _is_header(names, full["text"][1:21].to_list(), separator, named)
    if header:
        full = full[1:]
        if not known(names):
            notes.append(f"the first line was taken for a header: {first[:60]}")
    else:
        names = [str(number) for number in range(1, len(names) + 1)]
        form += ", without a header"
    table = Table(path, form, names, lambda number: str(lines[number - 1]), notes=notes)
    table.rows = full.height
    again = (pl.col("text") == first) & header
    broken = pl.col("text").str.contains("\ufffd", literal=True)
    table.refuse("the header again", full.filter(again)[LINE])
    table.refuse("not UTF-8", full.filter(broken)[LINE])
    rows = _split(full.filter(~again & ~broken), lines, separator, table)
    table.sample = rows[FIELDS][:SAMPLE_ROWS].to_list()
    table.read = lambda indexes: rows.select(LINE, *(_cell(i, separator) for i in indexes))
    return table


def _separator(path: Path, lines: list[str], named: Sequence[str]) -> str:
    """Return the separator by which the first line makes most sense."""

    def sense(separator: str) -> tuple[int, bool, int]:
        names = _fields(lines[0], separator)
        form = any(form.fits([_fields(line, separator) for line in lines[:20]]) for form in FORMS)
        return known(names) + len(set(named).intersection(names)), form, len(names)

    best = max(SEPARATORS, key=sense)
    if len(_fields(lines[0], best)) < 2:
        raise UnreadableFileError(
            path,
            f"its first line is no row of a table: {lines[0][:60]!r}; expected fields that are "
            "separated by commas, tabs, semicolons, bars or '::', JSON Lines, or Parquet",
            line=1,
        )
    return best


def _is_header(first: list[str], rows: list[str], separator: str, named: Sequence[str]) -> bool:
    if known(first) or set(named).intersection(first):
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


def _split(full: pl.DataFrame, lines: pl.Series, separator: str, table: Table) -> pl.DataFrame:
    """Return `LINE` and `FIELDS` of all rows that have as many fields as the first line."""
    width = len(table.names)
    quotes = full["text"].str.contains('"', literal=True)
    quoted = pl.DataFrame(schema=_SPLIT)
    if separator in QUOTING and quotes.any():
        quoted, inside = _quoted_rows(full.filter(quotes)[LINE], lines, separator, table)
        full = full.filter(~quotes & ~pl.col(LINE).is_in(inside))
    plain = full.select(LINE, pl.col("text").str.split(separator).alias(FIELDS))
    rows = pl.concat([plain, quoted]).sort(LINE)
    fits = rows[FIELDS].list.len() == width
    table.refuse(f"not {width} fields, as the first line has", rows.filter(~fits)[LINE])
    return rows.filter(fits)


def _quoted_rows(
    numbers: pl.Series, lines: pl.Series, separator: str, table: Table
) -> tuple[pl.DataFrame, set[int]]:
    """Return the rows that begin at lines with quotes, and the lines that belong to such rows."""
    texts = lines.to_list()
    found: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    inside: set[int] = set()
    for number in numbers:
        if number in inside:
            continue
        following = (f"{text}\n" for text in texts[number - 1 : number - 1 + MAX_QUOTED_LINES])
        reader = csv.reader(following, delimiter=separator, strict=True, skipinitialspace=True)
        try:
            found.append((number, next(reader)))
        except csv.Error:
            broken.append(number)
            continue
        inside.update(range(number + 1, number + reader.line_num))
    table.refuse("a quote in the wrong place, or one that is not closed", broken)
    return pl.DataFrame(found, schema=_SPLIT, orient="row"), inside
