"""Logs of single slots from files: CSV or Parquet in the format of the Open Bandit data.

A row is an item that was shown: `item_id`, `propensity_score`, `click` (0 or 1), and where the file
has them `timestamp`, `position` (from 1) and `visitor`. The pool of every row is all items of the
file, without scores. Files are read in blocks; of one with very many rows, a sample is kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from evaluation.click_files.content import packing, text_blocks
from evaluation.errors import UnreadableFileError
from evaluation.off_policy.pages import Ints, Pages
from evaluation.progress import Progress, silent

MOST_PAGES = 200_000
"""Rows that are kept; of more, a sample of so many, each as likely as the others."""

MOST_ITEMS = 100_000
"""Items of a log; every row's pool has all of them."""

MOST_POSITION = 1_000

NEEDED = {"item_id": pl.String, "propensity_score": pl.Float64, "click": pl.Float64}
OPTIONAL = {
    "position": pl.Int64,
    "timestamp": pl.String,
    "visitor": pl.String,
}
ROW, KEY = "row", "key"

SLICE = 1 << 18
"""Rows of a Parquet file that are read at once."""


def load_log(
    path: Path, most: int = MOST_PAGES, seed: int = 0, progress: Progress = silent
) -> Pages:
    """Return the log of a file.

    Parameters
    ----------
    path
        The file: CSV (plain, gzip or zstd), or Parquet.
    most
        The most rows that are kept.
    seed
        Of the sample.
    progress
        Told how many rows were read.

    Raises
    ------
    UnreadableFileError
        With file and line for whatever cannot be read.
    """
    random = np.random.default_rng(seed)
    kept: pl.DataFrame | None = None
    items: set[str] = set()
    rows = 0
    for block in _blocks(path):
        frame = _checked(path, block, rows)
        items.update(frame["item_id"])
        if len(items) > MOST_ITEMS:
            raise UnreadableFileError(path, f"it has more than {MOST_ITEMS:,} items")
        rows += len(frame)
        frame = frame.with_columns(pl.Series(KEY, random.random(len(frame))))
        kept = frame if kept is None else pl.concat([kept, frame])
        if len(kept) > most:
            kept = kept.bottom_k(most, by=KEY)
        progress(f"reading {path.name}", rows, rows, "")
    if kept is None or not len(kept):
        raise UnreadableFileError(path, "it has no rows")
    return _pages(kept.sort(ROW), sorted(items), rows)


def _blocks(path: Path) -> Iterator[pl.DataFrame]:
    """Yield the needed columns of a file, as texts or as what Parquet has."""
    names = [*NEEDED, *OPTIONAL]
    try:
        if packing(path) == "parquet":
            whole = pl.scan_parquet(path)
            columns = [name for name in names if name in whole.collect_schema()]
            total = int(whole.select(pl.len()).collect().item())
            for first in range(0, total, SLICE):
                yield whole.slice(first, SLICE).select(columns).collect()
            return
        head = ""
        for text in text_blocks(path, strict=True):
            whole_text = text if not head else head + text
            head = head or text.partition("\n")[0] + "\n"
            frame = pl.read_csv(io.BytesIO(whole_text.encode()), infer_schema=False)
            yield frame.select([name for name in names if name in frame.columns])
    except (PolarsError, OSError) as e:
        raise UnreadableFileError(path, e) from e


def _checked(path: Path, block: pl.DataFrame, before: int) -> pl.DataFrame:
    """Return a block with types; refuse the first row that is no showing."""
    for name in NEEDED:
        if name not in block.columns:
            raise UnreadableFileError(path, f"it has no column {name}")
    typed = block.with_columns(
        pl.col(name).cast(kind, strict=False)
        for name, kind in (NEEDED | OPTIONAL).items()
        if name in block.columns and name != "timestamp"
    )
    if "timestamp" in block.columns:
        typed = typed.with_columns(_seconds(block["timestamp"]).alias("timestamp"))
    absent = [
        pl.lit(value, dtype=kind).alias(name)
        for name, kind, value in (
            ("position", pl.Int64, 1),
            ("timestamp", pl.Float64, 0.0),
            ("visitor", pl.String, ""),
        )
        if name not in block.columns
    ]
    typed = typed.with_columns(*absent, pl.int_range(before, before + len(block)).alias(ROW))
    said = {
        "item_id": pl.col("item_id").is_not_null() & (pl.col("item_id") != ""),
        "propensity_score": pl.col("propensity_score").is_between(0, 1, closed="right"),
        "click": pl.col("click").is_in([0.0, 1.0]),
        "position": pl.col("position").is_between(1, MOST_POSITION),
        "timestamp": pl.col("timestamp").is_finite(),
    }
    for name, right in said.items():
        wrong = typed.filter(~right.fill_null(value=False))
        if len(wrong):
            row = int(wrong[ROW][0])
            value = block[name][row - before] if name in block.columns else None
            is_text = packing(path) != "parquet"
            raise UnreadableFileError(path, f"{name}: {value!r} cannot be", row + 1 + is_text)
    return typed.select(ROW, *NEEDED, *OPTIONAL)


def _seconds(column: pl.Series) -> pl.Series:
    """Return times in seconds since 1970; null where there is none."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    seconds = column.cast(pl.Float64, strict=False)
    if seconds.null_count() == column.null_count():
        return seconds
    try:
        times = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    except PolarsError:  # it has no time to tell the format by
        return pl.Series(column.name, [None] * len(column), pl.Float64)
    return times.dt.epoch("us") / 1e6


def _pages(frame: pl.DataFrame, names: list[str], rows: int) -> Pages:
    """Return rows as pages of one place, which share one pool."""
    n = len(frame)
    numbers = {name: number for number, name in enumerate(names)}
    item = np.array([numbers[name] for name in frame["item_id"]], np.int64)
    visitors = frame["visitor"].fill_null("").to_numpy()
    alone = visitors == ""
    visitor: Ints = np.unique(visitors, return_inverse=True)[1].astype(np.int64)
    visitor = np.where(alone, visitor.max() + 1 + np.arange(n), visitor)
    return Pages(
        item=np.arange(len(names)),
        score=np.zeros(len(names)),
        first=np.zeros(n, np.int64),
        size=np.full(n, len(names)),
        shown=item[:, None],
        propensity=frame["propensity_score"].to_numpy()[:, None],
        click=frame["click"].to_numpy()[:, None],
        place=frame["position"].to_numpy()[:, None] - 1,
        visitor=visitor,
        inclusion=np.full(n, min(1.0, n / rows)),
        time_s=frame["timestamp"].to_numpy(),
        names=names,
    )
