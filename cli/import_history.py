"""``nextclick import``: a history through the stream, from where an earlier run was ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import print_json, print_result, progress
from cli.figures import count, seconds
from cli.files import (
    ClickFiles,
    ItemColumn,
    SessionColumn,
    TimeColumn,
    TypeColumn,
    UserColumn,
    read_files,
)
from cli.live.history import send_history
from cli.live.import_record import ImportRecord
from cli.options import DEFAULT_HOME, HomeFolder, Json, StackTenant
from cli.stack.layout import Home
from cli.stack.stack import Stack
from evaluation.click_files.columns import Columns
from settings.base import Settings
from settings.kafka import KafkaSettings
from settings.load import load


def import_history(
    files: ClickFiles,
    session: SessionColumn = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_: TimeColumn = None,
    type_: TypeColumn = None,
    prefix: Annotated[str, typer.Option(help="Put before the files' session ids.")] = "",
    kafka: Annotated[
        str | None,
        typer.Option(help="Bootstrap servers of a Kafka of your own; default: the stack's."),
    ] = None,
    tenant: StackTenant = None,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Send the clicks of files to the stack that `nextclick up` started, each once.

    Started again after it was ended, it goes on with the first click that may not have arrived:
    its folder says which that is. Clicks that are sent twice are dropped by their event ids.

    nextclick import clicks.csv.gz
    """
    started = time.monotonic()
    cluster, tenant = _cluster(home, kafka, tenant)
    columns = Columns(session, user, item, time_, type_)
    sessions, report = read_files(files, columns, prefix)
    record = ImportRecord.of(Home(home), files, columns, prefix, tenant, kafka)
    before = record.acknowledged
    with progress() as bar:
        task = bar.add_task("clicks to Kafka", total=report.clicks, completed=before, note="")
        sent = send_history(
            cluster,
            sessions,
            prefix=prefix,
            tenant=tenant,
            first=before,
            tick=lambda n: bar.advance(task, n),
            acknowledged=record.write,
        )
    result = {
        "clicks": report.clicks,
        "sessions": report.sessions,
        "refused": report.refused,
        "sent": sent,
        "sent_before": before,
        "seconds": time.monotonic() - started,
    }
    if json:
        print_json(result)
    else:
        print_result("Import", readable(result))


def _cluster(home: Path, kafka: str | None, tenant: str | None) -> tuple[KafkaSettings, str]:
    """Return how Kafka is reached, and whose topics these are."""
    if kafka is None:
        stack = Stack.in_folder(home)
        return stack.kafka_settings, stack.tenant_or(tenant)
    settings = load(Settings, kafka=kafka, tenant=tenant)
    return settings, settings.tenant


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    return {
        "clicks": count(result["clicks"]),
        "sessions": count(result["sessions"]),
        "rows refused": count(result["refused"]),
        "clicks sent": count(result["sent"]),
        "clicks sent by earlier runs": count(result["sent_before"]),
        "time": seconds(result["seconds"]),
    }
