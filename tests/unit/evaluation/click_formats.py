"""The same clicks in every format that people have: each is written by one function.

Sessions are of users, a click a minute, with hours between two sessions of one user; so files with
sessions, with users, and with both tell the same.
"""

import gzip
import json
from datetime import UTC, datetime

import polars as pl
import pytest
import zstandard

from evaluation.click_files.columns import Columns
from evaluation.datasets import read_sessions
from evaluation.errors import UnreadableFileError

DAY_S = 86_400
BEGIN_S = 1_396_861_869  # 2014-04-07 09:11:09 UTC


def clicks():
    """Return (session, user, item, second) of 60 sessions of 20 users, in the order of time."""
    rows = []
    for s in range(60):
        begin = BEGIN_S + s * 6 * 3600
        items = [1 + (s * 3 + step) % 30 for step in range(2 + s % 4)]
        rows += [(1001 + s, 1 + s % 20, item, begin + 60 * i) for i, item in enumerate(items)]
    return rows


ROWS = clicks()
SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0size"
"""A frame that pzstd writes before each other one."""


def iso(second, form="%Y-%m-%dT%H:%M:%S"):
    return datetime.fromtimestamp(second, UTC).strftime(form)


def table(header, row, separator=",", end="\n"):
    """Return a text with a line per click; ``row`` makes its fields."""
    lines = [header] if header else []
    lines += [separator.join(map(str, row(*click))) for click in ROWS]
    return "".join(line + end for line in lines)


def lists(header, row):
    """Return a text with a line per session; ``row`` gets the session, items and times."""
    sessions = {}
    for session, _, item, second in ROWS:
        sessions.setdefault(session, []).append((item, second))
    return header + "".join(
        row(s, [item for item, _ in steps], [t for _, t in steps]) + "\n"
        for s, steps in sessions.items()
    )


def frame(path, **columns):
    """Write a Parquet file."""
    pl.DataFrame(columns).write_parquet(path)


def ids(place):
    return [click[place] for click in ROWS]


TAB = "SessionId\tItemId\tTime"
CSV = table("session_id,item_id,timestamp", lambda s, u, i, t: (s, i, t))

TEXTS = {
    "tab-separated": table(TAB, lambda s, u, i, t: (s, i, t), "\t"),
    "with a category": table(TAB[:-4] + "CatId\tTime", lambda s, u, i, t: (s, i, 0, t), "\t"),
    "with users": table(
        "UserId\tSessionId\tItemId\tTime", lambda s, u, i, t: (u, s, i, float(t)), "\t"
    ),
    "CSV": CSV,
    "CSV with CRLF": CSV.replace("\n", "\r\n"),
    "CSV with a byte-order mark": "\ufeff" + CSV,
    "CSV with quotes": table(
        '"timestamp","session_id","title","item_id"',
        lambda s, u, i, t: (f'"{t}"', f'"{s}"', '"a ""b"",\nc"', f'"{i}"'),
    ),
    "reordered and further columns": table(
        ",price,Item ID,device,Event Time,Session ID",
        lambda s, u, i, t: (0, 9.99, i, "phone", iso(t), s),
    ),
    "milliseconds": table("session,product_id,ts", lambda s, u, i, t: (s, i, t * 1000)),
    "ISO with a zone": table(
        "session,sku,datetime", lambda s, u, i, t: (s, i, iso(t + 7200) + "+02:00")
    ),
    "day first": table(
        "session;item;date", lambda s, u, i, t: (s, i, iso(t, "%d.%m.%Y %H:%M:%S")), ";"
    ),
    "month first": table(
        "session,item,when", lambda s, u, i, t: (s, i, iso(t, "%m/%d/%Y %I:%M:%S %p"))
    ).replace("when", "time"),
    "digits of a date": table(
        "session,item,time", lambda s, u, i, t: (s, i, iso(t, "%Y%m%d%H%M%S"))
    ),
    "date and time of day": table(
        "date,time,session,item", lambda s, u, i, t: (iso(t, "%Y-%m-%d"), iso(t, "%H:%M:%S"), s, i)
    ),
    "date and time of day in digits": table(
        "date,time,session,item",
        lambda s, u, i, t: (iso(t, "%Y%m%d"), iso(t, "%H%M%S"), s, i),
    ),
    "digits of a date with a zone": table(
        "session,item,time", lambda s, u, i, t: (s, i, iso(t, "%Y%m%dT%H%M%SZ"))
    ),
    "as Postgres prints times": table(
        "session,item,time", lambda s, u, i, t: (s, i, iso(t + 7200, "%Y-%m-%d %H:%M:%S.250+02"))
    ),
    "seconds with a decimal comma": table(
        "session;item;time", lambda s, u, i, t: (s, i, f"{t},5"), ";"
    ),
    "blanks and quotes after separators": table(
        "session, item, time", lambda s, u, i, t: (s, f'"{i}"', f'"{t}"'), ", "
    ),
    "a time beside other times": table(
        "timestamp,session_id,item_id,created_at,date",
        lambda s, u, i, t: (i, s, i, iso(t), iso(t, "%Y-%m-%d")),
    ),
    "REES46": table(
        "event_time,event_type,product_id,category_code,user_id,user_session",
        lambda s, u, i, t: (iso(t, "%Y-%m-%d %H:%M:%S UTC"), "view", i, "", u, f"{s}"),
    ),
    "items in quotes": lists(
        "session_id,items,times\n",
        lambda s, items, times: f'{s},"{",".join(map(str, items))}","{",".join(map(str, times))}"',
    ),
    "items in brackets and quotes": lists(
        "session_id;item_id;timestamps\n",
        lambda s, items, times: f"{s};{json.dumps([str(item) for item in items])};{times}",
    ),
    "items in brackets": lists(
        "session_id;item_id;timestamps\n", lambda s, items, times: f"{s};{items};{times}"
    ),
    "RecBole with users": table(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        lambda s, u, i, t: (u, i, 3, float(t)),
        "\t",
    )
    + "\n",
    "RecBole with sessions": table(
        "session_id:token\titem_id:token\ttimestamp:float", lambda s, u, i, t: (s, i, t), "\t"
    ),
    "RecBole in milliseconds": table(
        "user_id:token\titem_id:token\ttimestamp:float", lambda s, u, i, t: (u, i, t * 1000), "\t"
    ),
    "Yoochoose clicks": table("", lambda s, u, i, t: (s, iso(t) + ".277Z", i, 0)),
    "RetailRocket events": table(
        "timestamp,visitorid,event,itemid,transactionid",
        lambda s, u, i, t: (t * 1000, u, "view", i, ""),
    )
    + f"{BEGIN_S * 1000},1,addtocart,99,\n{BEGIN_S * 1000},1,transaction,99,7\n",
    "Diginetica views": table(
        "session_id;user_id;item_id;timeframe;eventdate",
        lambda s, u, i, t: (s, "NA", i, t % DAY_S * 1000, iso(t, "%Y-%m-%d")),
        ";",
    ),
    "MovieLens u.data": table("", lambda s, u, i, t: (u, i, 3, t), "\t"),
    "MovieLens ratings.dat": table("", lambda s, u, i, t: (u, i, 5, t), "::"),
    "MovieLens ratings.csv": table(
        "userId,movieId,rating,timestamp", lambda s, u, i, t: (u, i, 4.5, t)
    ),
    "Last.fm-1K": table(
        "",
        lambda s, u, i, t: (f"user_{u:06}", iso(t) + "Z", "a1", '"Who"', i, 'Song "x"'),
        "\t",
    ),
    "JSON Lines of events": "".join(
        json.dumps(
            {
                "v": 1,
                "type": "view",
                "session_id": str(s),
                "item_id": str(i),
                "timestamp_ms": t * 1000,
            }
        )
        + "\n"
        for s, _, i, t in ROWS
    ),
    "JSON Lines with numbers": "".join(
        json.dumps({"visitor": u, "product": {"x": 1}, "item": float(i), "time": iso(t)}) + "\n"
        for _, u, i, t in ROWS
    ),
    "JSON Lines with lists": lists(
        "",
        lambda s, items, times: json.dumps({"session": s, "items": items, "times": times}),
    ),
}
"""A text per format."""


def write(folder):
    """Return a file per format, by its name."""
    files = {}
    for number, (name, text) in enumerate(TEXTS.items()):
        files[name] = [folder / f"{number}.txt"]
        files[name][0].write_bytes(text.encode())
    for name, raw in (
        ("gzip", gzip.compress(CSV.encode())),
        ("zstd", zstandard.compress(CSV.encode())),
        (
            "zstd of two frames",
            b"".join(map(zstandard.compress, (CSV[:99].encode(), CSV[99:].encode()))),
        ),
        ("zstd with a frame to skip", SKIPPED + zstandard.compress(CSV.encode())),
        ("UTF-16", CSV.encode("utf-16")),
    ):
        files[name] = [folder / name]
        files[name][0].write_bytes(raw)
    half = CSV.splitlines(keepends=True)
    files["two files"] = [folder / "first.csv", folder / "second.csv"]
    files["two files"][0].write_text("".join(half[:71]))
    files["two files"][1].write_text("".join(half[:1] + half[71:]))
    seconds = pl.Series(ids(3))
    files["Parquet"] = [folder / "a.parquet"]
    frame(files["Parquet"][0], visit=ids(0), item_id=ids(2), ts=seconds * 1000)
    files["Parquet with times"] = [folder / "b.parquet"]
    frame(
        files["Parquet with times"][0],
        time=pl.from_epoch(seconds).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        user=pl.Series(ids(1)).cast(pl.Float64),
        item=pl.Series(ids(2)).cast(pl.String).cast(pl.Categorical),
    )
    files["Parquet with lists"] = [folder / "c.parquet"]
    sessions = pl.DataFrame({"session": ids(0), "items": ids(2), "times": seconds})
    sessions.group_by("session", maintain_order=True).agg("items", "times").write_parquet(
        files["Parquet with lists"][0]
    )
    return files


def read(tmp_path, text, **columns):
    """Return sessions as {id: items}, and the report, of a file with this text."""
    path = tmp_path / "clicks.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    sessions, report = read_sessions([path], Columns(**columns))
    return {s.session_id: " ".join(s.items) for s in sessions}, report


def refusal(tmp_path, text, **columns):
    """Return the sentence with which such a file is refused."""
    with pytest.raises(UnreadableFileError) as error:
        read(tmp_path, text, **columns)
    return str(error.value)
