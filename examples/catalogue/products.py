"""Rows of the table ``products`` as catalogue items, and their way to the server.

Change `item_of` for a table of your own: both examples beside this file use it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nextclick import Client, InvalidEventError, InvalidRequestError, Item, Tls, encode_item

log = logging.getLogger("catalogue")

CALL_ITEMS = 500


def client_of(server: str) -> Client:
    """Return a client of a server, with the files that variables name, as for our commands."""
    token_file, ca_file = (
        os.environ.get(f"NEXTCLICK_{name}_FILE", "") for name in ("TOKEN", "SERVER_CA")
    )
    token = Path(token_file).read_text().strip() if token_file else ""
    return Client(server, timeout_s=30, token=token, tls=Tls(ca_file) if ca_file else None)


def item_of(row: Mapping[str, Any]) -> Item:
    """Return the item of a row; one that is sold no more is a deletion."""
    return Item(
        str(row["id"]),
        available=row["stock"] > 0,
        categories=tuple(row["categories"]),
        attributes={"brand": row["brand"]} if row["brand"] else {},
        title=row["title"],
        deleted=row["deleted_at"] is not None,
        kind=row["kind"],
        description=row["summary"],
        numbers={name: float(row[name]) for name in ("price", "year") if row[name] is not None},
        image_url=row["image_url"],
        page_url=row["page_url"],
        available_from_ms=_milliseconds(row["sold_from"]),
        available_until_ms=_milliseconds(row["sold_until"]),
        embedding=tuple(row["embedding"]),
    )


def _milliseconds(time: datetime | str | None) -> int:
    """Return a time in milliseconds since 1970, 0 for none; Debezium has times as text."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return round(time.timestamp() * 1_000) if time else 0


def write(client: Client, items: Iterable[Item]) -> int:
    """Put and delete items, of each the last one; return how many.

    Writing the same again changes nothing. An item that the server would refuse, and the whole call
    with it, is left out and logged.
    """
    latest = {item.item_id: item for item in items}
    fit = [item for item in latest.values() if _fits(item)]
    puts = [item for item in fit if not item.deleted]
    deletions = [item.item_id for item in fit if item.deleted]
    written = sum(
        _put(client, puts[start : start + CALL_ITEMS]) for start in range(0, len(puts), CALL_ITEMS)
    )
    for start in range(0, len(deletions), CALL_ITEMS):
        written += client.delete_items(deletions[start : start + CALL_ITEMS])
    return written


def _put(client: Client, items: list[Item]) -> int:
    """Put items in one call; one by one, if any is refused."""
    try:
        return client.put_items(items)
    except InvalidRequestError as e:
        if len(items) > 1:
            return sum(_put(client, [item]) for item in items)
        log.warning("product %s is left out: %s", items[0].item_id, e)
        return 0


def _fits(item: Item) -> bool:
    try:
        encode_item(item)
    except InvalidEventError as e:
        log.warning("product %s is left out: %s", item.item_id, e)
        return False
    return True
