"""``nextclick features export``: cases with their features, for models that learn offline."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import bars, print_json, print_result
from cli.errors import CommandError
from cli.exports.examples import Read, records
from cli.exports.parquet import write
from cli.figures import count, seconds
from cli.files import (
    ItemColumn,
    SessionColumn,
    TimeColumn,
    TypeColumn,
    UserColumn,
    check_writable,
    read_files,
)
from cli.options import Json, Kafka, Seed, Tenant
from evaluation.catalogues import load_items
from evaluation.click_files.columns import Columns
from evaluation.point_in_time import Case, cases_of
from evaluation.rankings import make_engine, put_items
from online_models.engine.warm_up import warm_up
from settings.base import Settings
from settings.load import load

AGO = re.compile(r"(\d{1,6})([smhd])")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def export_features(
    file: Annotated[Path, typer.Argument(help="Parquet file to write.", dir_okay=False)],
    since: Annotated[
        str,
        typer.Option(help="Only clicks from then on: 2026-11-28, 2026-11-28T12:00Z, or 36h, 7d."),
    ] = "",
    clicks: Annotated[
        list[Path] | None,
        typer.Option(
            help="Learn these clicks in process, instead of reading the topic; several files are "
            "one log.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            help="With --clicks: catalogue known from the start.", exists=True, dir_okay=False
        ),
    ] = None,
    seed: Seed = 0,
    session: SessionColumn = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_: TimeColumn = None,
    type_: TypeColumn = None,
    kafka: Kafka = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Write clicks with the features of their candidates as they stood when each click came.

    A row is a candidate: session, step, time, item, its place, whether it was clicked, and all
    features of the ranker. They come from the topic `examples` (a sample of the clicks), or from
    clicks that are learned here. Nothing in a row is newer than its click.

    nextclick features export cases.parquet --since 7d
    """
    started = time.monotonic()
    since_ms = milliseconds(since) if since else 0
    if items and not clicks:
        raise CommandError("--items goes with --clicks: the stack has a catalogue of its own")
    check_writable(file)
    read = Read()
    with bars() as progress:
        if clicks:
            sessions, _ = read_files(clicks, Columns(session, user, item, time_, type_))
            if since and not all(s.times_ms for s in sessions):
                raise CommandError("--since needs clicks with times; these have none")
            warm_up()
            engine = make_engine("ranker", seed)
            put_items(engine, load_items(items) if items else [])
            cases: Iterator[Case] = cases_of(
                engine, sessions, since_ms=since_ms, progress=progress, task="clicks"
            )
        else:
            settings = load(Settings, kafka=kafka, tenant=tenant)
            found = records(
                settings, since_ms, lambda done, total: progress("examples", done, total, "")
            )
            cases = read.cases(found)
        written = write(file, cases)
    result = {
        **written.as_json(),
        "refused": read.refused,
        "repeated": read.repeated,
        "other_schema": read.other_schema,
        "seconds": time.monotonic() - started,
    }
    if json:
        print_json(result)
    else:
        print_result(f"Exported to {file}", readable(result))


def milliseconds(since: str) -> int:
    """Return the time that an option says, milliseconds since 1970.

    Raises
    ------
    CommandError
        If it says none.

    Examples
    --------
    >>> milliseconds("2026-11-28T12:00Z")
    1795867200000
    """
    if ago := AGO.fullmatch(since):
        age = timedelta(**{UNITS[ago[2]]: int(ago[1])})
        now = datetime.now(UTC)
        at = max(now, EPOCH + age) - age
    else:
        try:
            at = datetime.fromisoformat(since)
        except ValueError:
            raise CommandError(
                f"--since: {since!r} is no time; write 2026-11-28, 2026-11-28T12:00Z, or 36h, 7d"
            ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(int(at.timestamp() * 1_000), 0)


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    return {
        "clicks": count(result["cases"]),
        "rows": count(result["rows"]),
        "clicks on no candidate, left out": count(result["without_target"]),
        "records repeated, left out": count(result["repeated"]),
        "records of other features, left out": count(result["other_schema"]),
        "records refused": count(result["refused"]),
        "time": seconds(result["seconds"]),
    }
