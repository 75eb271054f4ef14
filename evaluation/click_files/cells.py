"""Ids in cells, and the types of events that are clicks."""

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
