"""Ids in cells: one, or a list of them; and the types of events that are clicks."""

from __future__ import annotations

import re

import polars as pl

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "\\N", "<NA>")
"""Cells that hold nothing."""

CLICKS = frozenset(
    (
        "view", "views", "click", "clicks", "play", "plays", "pageview", "pv", "productview",
        "viewproduct", "itemview", "viewitem", "viewed", "detail", "detailview", "listen", "watch",
        "read",
    )
)  # fmt: skip
"""Types of events that are clicks, without case and punctuation."""

LIST_SEPARATORS = ("|", ";", ",")
"""Of the items in a cell; without any of them, blanks separate."""


def ids(cells: pl.Series) -> pl.Series:
    """Return ids as strings; null where there is none. Numbers lose a fraction of zero."""
    if cells.dtype.is_float():
        whole = cells.cast(pl.Int64, strict=False)
        if bool((whole.cast(pl.Float64) == cells).drop_nulls().all()):
            cells = whole
    texts = cells.cast(pl.String)
    present = texts.filter(~texts.is_in(MISSING))
    if len(present) and bool(present.str.contains(r"^\d+\.0$").all()):
        texts = texts.str.strip_suffix(".0")  # as pandas writes numbers beside gaps
    return texts.set(texts.is_in(MISSING), None)


def is_click(type_: str) -> bool:
    """Return whether an event of this type is a click.

    >>> is_click("View"), is_click("page_view"), is_click("addtocart")
    (True, True, False)
    """
    return re.sub(r"[\W_]", "", type_.lower()) in CLICKS


def split_lists(cells: pl.Series) -> tuple[pl.Series, str]:
    """Return the entries of cells that hold lists, and how they are separated, in words.

    Cells may have brackets and quotes around their entries, as Python and JSON print them. The
    separator is the same in the whole column; null where a cell holds nothing.
    """
    if isinstance(cells.dtype, pl.List | pl.Array):
        return cells.cast(pl.List(pl.String)), "lists"
    inner = cells.str.strip_chars().str.strip_chars("[](){}").str.strip_chars()
    inner = inner.set(inner == "", None)
    found = [sign for sign in LIST_SEPARATORS if inner.str.contains(sign, literal=True).any()]
    if found:
        split, words = inner.str.split(found[0]), f"separated by {found[0]!r}"
    else:
        split = inner.str.replace_all(r"\s+", " ").str.split(" ")
        words = "separated by blanks"
    entries = pl.element().str.strip_chars().str.strip_chars("'\"")
    return split.list.eval(entries), words
