"""Clicks to sessions: by session id, or where their user was idle."""

from __future__ import annotations

import polars as pl

from evaluation.click_files.report import FIRST_LINES, Report
from evaluation.click_files.table import LINE
from nextclick.limits import MAX_ID_BYTES, MAX_SESSION_STEPS, SESSION_IDLE_MS

TOO_LONG = f"session id of more than {MAX_ID_BYTES} bytes with the user, number or prefix put to it"
"""Why clicks are refused whose own ids are not too long."""

NAMES_A_USER = 'session that begins with "u:", which names users'


def group_clicks(
    clicks: pl.DataFrame, report: Report, *, clock: bool, name_bytes: int = MAX_ID_BYTES
) -> pl.DataFrame:
    """Return a row per session, in the order of their last clicks; without a clock, of the files.

    Parameters
    ----------
    clicks
        With the columns of `reader.CLICKS`, and ``file``, the number of each click's file.
    report
        Gets a note of session ids that several users have, and of sessions that are longer than
        the stream takes; refusals are counted in its files.
    clock
        Whether the clicks have times.
    name_bytes
        Clicks of sessions with longer names are refused.

    Returns
    -------
    pl.DataFrame
        Columns ``name`` (of the session), ``user`` (null if it has none; the first one if it has
        several), ``items`` and ``times_ms`` (lists; of nulls without a clock).

    Notes
    -----
    Clicks of equal times keep the order of the file; of sessions that end at the same time, the
    one that begins first in the file comes first; of those of users, the one that begins first.
    """
    clicks = clicks.with_row_index("order")
    user = pl.col("session").is_null()
    named = _by_id(clicks.filter(~user), report, clock=clock)
    parts = [named]
    if clock:
        parts.append(_by_idle_time(clicks.filter(user)))
    rows = pl.concat(parts)
    name = pl.col("name")
    rows = _refuse(rows, name.str.len_bytes() > name_bytes, TOO_LONG, report)
    rows = _refuse(rows, name.str.starts_with("u:"), NAMES_A_USER, report)
    if clock:
        rows = rows.sort("time_ms", maintain_order=True)
    sessions = rows.group_by("key", maintain_order=True).agg(
        pl.col("name").first(),
        pl.col("user").drop_nulls().first(),
        pl.col("item").alias("items"),
        pl.col("time_ms").round().cast(pl.Int64).alias("times_ms"),
        pl.col("order").min(),
    )
    long = int((sessions["items"].list.len() > MAX_SESSION_STEPS).sum())
    if long:
        report.notes.append(
            f"{long:,} sessions have more than {MAX_SESSION_STEPS:,} clicks, which is all that the "
            "stream takes of a session: it makes dead letters of the rest"
        )
    by = [pl.col("times_ms").list.last(), pl.col("order")] if clock else [pl.col("order")]
    return sessions.sort(by).select("name", "user", "items", "times_ms")


_COLUMNS = ("key", "name", "user", "item", "time_ms", "order", "file", LINE)


def _refuse(rows: pl.DataFrame, which: pl.Expr, reason: str, report: Report) -> pl.DataFrame:
    """Leave out clicks for the names of their sessions; their rows are counted as refused."""
    refused = rows.filter(which)
    for number, file in enumerate(report.files):
        clicks = refused.filter(pl.col("file") == number)
        lines = clicks.unique(LINE).sort(LINE)
        first = lines.head(FIRST_LINES).select(LINE, "name").iter_rows()
        file.refused.add(reason, lines.height, list(first))
        file.clicks -= clicks.height
    return rows.filter(~which)


def _by_id(clicks: pl.DataFrame, report: Report, *, clock: bool) -> pl.DataFrame:
    shared = _shared_ids(clicks)
    if len(shared):
        of_user = pl.col("session").is_in(shared.implode())
        if 2 * int(clicks.select(of_user.sum()).item()) > clicks.height:
            of_user = pl.lit(True)
            report.notes.append("session ids are those of a user: sessions are called USER/SESSION")
        else:
            report.notes.append(
                f"{len(shared):,} session ids are of several users: these sessions are called "
                "USER/SESSION"
            )
        name = pl.concat_str(pl.col("user").fill_null(""), pl.lit("/"), "session")
        clicks = clicks.with_columns(name=pl.when(of_user).then(name).otherwise("session"))
    else:
        clicks = clicks.with_columns(name="session")
    if not clock:
        # Files do not tell whether a session goes on in the next one; ids of splits begin anew.
        again = pl.col("file") > pl.col("file").min().over("name")
        if clicks.select(again.any()).item():
            report.notes.append("session ids of an earlier file are called FILE_NUMBER/SESSION")
        other = pl.concat_str(pl.col("file") + 1, pl.lit("/"), "name")
        clicks = clicks.with_columns(name=pl.when(again).then(other).otherwise("name"))
    return clicks.with_columns(key=_key("id", pl.lit(0), "name")).select(_COLUMNS)


def _shared_ids(clicks: pl.DataFrame) -> pl.Series:
    """Return the session ids that several users have."""
    both = clicks.select("session", "user").drop_nulls().unique()
    return both.group_by("session").len().filter(pl.col("len") > 1)["session"]


def _by_idle_time(clicks: pl.DataFrame) -> pl.DataFrame:
    clicks = clicks.drop("order").sort("time_ms", maintain_order=True).with_row_index("order")
    idle = (pl.col("time_ms").diff() > SESSION_IDLE_MS).fill_null(value=False)
    clicks = clicks.with_columns(n=(idle.cast(pl.Int32).cum_sum() + 1).over("user"))
    name = pl.concat_str("user", pl.lit("~"), "n")
    return clicks.with_columns(name=name, key=_key("user", pl.col("n"), "user")).select(_COLUMNS)


def _key(kind: str, number: pl.Expr, name: str) -> pl.Expr:
    """Return what a session is recognised by: names of users and of sessions may be the same."""
    return pl.struct(
        pl.lit(kind).alias("kind"), number.cast(pl.Int32).alias("n"), pl.col(name).alias("of")
    )
