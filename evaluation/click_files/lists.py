"""Lists in cells: entries between separators, in brackets, in quotes, or a column of lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import polars as pl

SIGNS = ("|", ";", ",")
"""What separates entries, besides blanks; of equally frequent signs, the first one counts."""

MIXED = "items separated in two ways"
BROKEN = "a list with brackets or quotes that are not understood"

_BRACKETS = r"(?s)^(?:\[.*\]|\(.*\)|\{.*\})$"
_QUOTE = r"""(?:^|[|;,])\s*['"]"""
_QUOTE_AFTER_BLANK = r"""\s['"]"""
_ENTRY = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'\[\](){}|;,]+)\s*""", re.DOTALL
)

_JOINT = "\0"
"""No id has this character."""


@dataclass(frozen=True)
class Lists:
    """The lists of a column.

    Attributes
    ----------
    entries
        Lists of strings; null where a cell holds nothing, or nothing that is understood.
    faults
        Why a cell cannot be read: `MIXED` or `BROKEN`; null where it can.
    form
        How the entries are separated, in words.
    """

    entries: pl.Series
    faults: pl.Series
    form: str


def are_bracketed(cells: pl.Series) -> bool:
    """Return whether all strings are lists in brackets."""
    texts = cells.drop_nulls()
    return len(texts) > 0 and bool(texts.str.contains(r"^\s*[\[(].*[\])]\s*$").all())


def separator_of(cells: pl.Series, signs: Sequence[str]) -> str | None:
    """Return the sign that most strings hold, of equally frequent ones the first; None: no sign."""
    counts = [int(cells.str.contains(sign, literal=True).sum()) for sign in signs]
    return signs[counts.index(max(counts))] if any(counts) else None


def split_lists(cells: pl.Series, *, blanks: bool = True, separator: str | None = None) -> Lists:
    """Return the entries of cells that hold lists.

    Cells may have brackets, and quotes around their entries, as Python and JSON print them. Without
    quotes, the separator is that of most cells; a cell with another one is a fault.

    Parameters
    ----------
    cells
        Strings or lists.
    blanks
        Whether blanks separate in a column that has other separators too: in times they do not.
    separator
        What separates entries without quotes, where that is known: all other signs are theirs, and
        the blanks around them.
    """
    if isinstance(cells.dtype, pl.List | pl.Array):
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(cells))
        return Lists(cells.cast(pl.List(pl.String)), nothing, "lists")
    frame = _without_brackets(cells, tight=separator is None)
    inner = pl.col("inner")
    plain = frame.filter(inner.is_not_null() & ~pl.col("quoted"))["inner"]
    signs = (*SIGNS, " ") if blanks else SIGNS
    best = separator or separator_of(plain, signs) or " "
    parsed = pl.Series(
        [
            _joined(_parsed(cell)) if quoted else None
            for cell, quoted in frame.select("inner", "quoted").iter_rows()
        ],
        dtype=pl.String,
    )
    nested = pl.col("bracketed") & inner.str.contains(r"[\[\](){}]")
    others = [inner.str.contains(sign, literal=True) for sign in signs if sign != best]
    mixed = pl.lit(value=False) if separator else pl.any_horizontal(others)
    read = frame.with_columns(parsed=parsed.str.split(_JOINT)).select(
        entries=pl.when("quoted").then("parsed").when(~nested).then(inner.str.split(best)),
        mixed=~pl.col("quoted") & ~nested & mixed,
    )
    faults = pl.concat([frame, read], how="horizontal").select(
        pl.when("mixed")
        .then(pl.lit(MIXED))
        .when(inner.is_not_null() & pl.col("entries").is_null())
        .then(pl.lit(BROKEN))
    )
    separated = "separated by blanks" if best == " " else f"separated by {best!r}"
    quotes_only = frame["quoted"].any() and not len(plain)
    return Lists(read["entries"], faults.to_series(), "in quotes" if quotes_only else separated)


def _without_brackets(cells: pl.Series, *, tight: bool) -> pl.DataFrame:
    """Return ``inner``, the cells without brackets, and whether they are ``bracketed``, ``quoted``.

    If ``tight``, blanks beside separators are left out of cells without quotes, others made one.
    """
    cell = pl.col("cell")
    frame = (
        cells.str.strip_chars()
        .to_frame("cell")
        .with_columns(bracketed=cell.str.contains(_BRACKETS).fill_null(value=False))
    )
    inside = cell.str.replace(r"(?s)^.(.*).$", "${1}")
    frame = frame.with_columns(
        inner=pl.when("bracketed").then(inside).otherwise(cell).str.strip_chars()
    ).with_columns(pl.col("inner").replace("", None))
    inner = pl.col("inner")
    quoted = inner.str.contains(_QUOTE) | (
        pl.col("bracketed") & inner.str.contains(_QUOTE_AFTER_BLANK)
    )
    frame = frame.with_columns(quoted=quoted.fill_null(value=False))
    if not tight:
        return frame
    tightened = inner.str.replace_all(r"\s*([|;,])\s*", "${1}").str.replace_all(r"\s+", " ")
    return frame.with_columns(inner=pl.when("quoted").then("inner").otherwise(tightened))


def _parsed(text: str) -> list[str] | None:
    """Return the entries of a list with quotes; None if it has two separators, or is no list.

    >>> _parsed('"a,b", "c"'), _parsed("'a' 'b'"), _parsed("'a', 'b'; 'c'")
    (['a,b', 'c'], ['a', 'b'], None)
    """
    try:
        whole = orjson.loads(f"[{text}]")
    except orjson.JSONDecodeError:
        whole = [None]
    if all(isinstance(entry, str) for entry in whole):
        return list(whole)
    entries: list[str] = []
    signs: set[str] = set()
    end = 0
    while (found := _ENTRY.match(text, end)) and (entry := _unquoted(found[1])) is not None:
        entries.append(entry)
        end = found.end()
        if end == len(text):
            return entries if len(signs) <= 1 else None
        if text[end] in SIGNS:
            signs.add(text[end])
            end += 1
        elif text[end - 1].isspace():
            signs.add(" ")
        else:
            return None
    return None


def _joined(entries: list[str] | None) -> str | None:
    """Return entries as one string, of which polars makes lists faster than of lists."""
    if entries is None or any(_JOINT in entry for entry in entries):
        return None
    return _JOINT.join(entries)


def _unquoted(entry: str) -> str | None:
    """Return an entry without its quotes, as Python reads it; None if it does not."""
    if entry[0] not in "'\"":
        return entry
    try:
        return str(ast.literal_eval(entry))
    except (ValueError, SyntaxError):
        return None
