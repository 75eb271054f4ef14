r"""Writes the products of a PostgreSQL that have changed since the last run to the catalogue.

Run it once a minute, by cron or a timer. The first run writes all products. When the last run
began, by the database's clock, is in the state file; that is written once the server has taken
everything, so a run that fails is made up for by the next one.

A row is visible when its transaction ends, but ``updated_at`` is the time when that began. So each
run looks back by an overlap, which must be longer than the longest transaction that writes
products; what is written twice by that changes nothing.

    PGHOST=db PGDATABASE=shop PGUSER=reader PGPASSFILE=/run/secrets/pgpass \
        python from_postgres.py --server localhost:50051 --state products.json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from products import CALL_ITEMS, client_of, item_of, write
from psycopg.rows import dict_row

from nextclick import Client

log = logging.getLogger("catalogue")

CHANGED = "SELECT * FROM products WHERE updated_at >= %s ORDER BY updated_at"


def run(database: psycopg.Connection, client: Client, since: datetime) -> tuple[int, datetime]:
    """Write the products that have changed since a time; return how many, and when this began."""
    database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    database.read_only = True
    with database.transaction():
        began = database.execute("SELECT now()").fetchone()[0]
        # A cursor of the server's: millions of products do not fit into memory.
        with database.cursor("changed", row_factory=dict_row) as changed:
            changed.execute(CHANGED, [since])
            written = 0
            while rows := changed.fetchmany(CALL_ITEMS):
                written += write(client, map(item_of, rows))
    return written, began


def last_run(state: Path) -> datetime:
    """Return when the last run began; long ago if there was none."""
    try:
        return datetime.fromisoformat(json.loads(state.read_text())["began"])
    except FileNotFoundError:
        return datetime(1970, 1, 2, tzinfo=UTC)


def note_run(state: Path, began: datetime) -> None:
    """Note when a run began that has written everything; a kill leaves this or the one before."""
    new = state.with_suffix(".new")
    with new.open("w") as file:
        json.dump({"began": began.isoformat()}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(state)


def main() -> None:
    """Run once."""
    options = argparse.ArgumentParser(description="Changed products of PostgreSQL to the catalogue")
    options.add_argument("--server", default="localhost:50051", help="host:port")
    options.add_argument("--state", type=Path, required=True, help="file of the last run")
    options.add_argument("--overlap", type=float, default=600, help="seconds to look back")
    given = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    since = last_run(given.state) - timedelta(seconds=given.overlap)
    with psycopg.connect() as database, client_of(given.server) as client:
        written, began = run(database, client, since)
    note_run(given.state, began)
    log.info("%d products written, changed since %s", written, since.isoformat())


if __name__ == "__main__":
    main()
