"""Writes the change events that Debezium makes of the table ``products`` to the catalogue.

Runs until it is ended; whoever starts it should start it again if it fails. Positions in the topic
are committed once the server has taken what was read, so what is read again after a failure is
written again, which changes nothing. Events are JSON, with Debezium's schemas or without.

    python from_debezium.py --kafka localhost:9092 --topic shop.public.products
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message
from products import CALL_ITEMS, client_of, item_of, write

from connections.kafka import client_config
from nextclick import Client, DeadlineExceededError, Item, OverloadedError, UnavailableError
from settings.base import Settings
from settings.load import load

log = logging.getLogger("catalogue")

UNAVAILABLE = "__debezium_unavailable_value"
"""Stands for a long value that an update has not changed, in a list for a long array, unless the
table has ``REPLICA IDENTITY FULL``."""

PAUSE_S = 5.0


def item_of_change(key: bytes | None, value: bytes | None) -> Item | None:
    """Return what a change event says of an item, None if it is about no single one.

    Parameters
    ----------
    key, value
        As Debezium writes them; no value is the tombstone that follows a deletion.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is no change event of the table.
    """
    if value is None:
        return _deletion(key)
    event = _payload(value)
    match event["op"]:
        case "c" | "u" | "r":  # created, updated, read by a snapshot
            row = dict(event["after"])
            if any(value in (UNAVAILABLE, [UNAVAILABLE]) for value in row.values()):
                raise ValueError("a value is not in it: ALTER TABLE ... REPLICA IDENTITY FULL")
            return item_of(row)
        case "d":
            return _deletion(key)
        case "t":
            log.warning("the table was truncated; `nextclick catalogue sync` deletes its items")
    return None


def _deletion(key: bytes | None) -> Item:
    return Item(str(_payload(key or b"")["id"]), deleted=True)


def _payload(raw: bytes) -> dict[str, Any]:
    """Return the event, or the key, without its schema."""
    record: dict[str, Any] = json.loads(raw)
    return record["payload"] if "schema" in record else record


def items_of(messages: Sequence[Message]) -> list[Item]:
    """Return the items of change events, in their order; what is none is logged and left out."""
    items = []
    for message in messages:
        if message.error() is not None:
            raise KafkaException(message.error())
        try:
            item = item_of_change(message.key(), message.value())
        except (ValueError, KeyError, TypeError) as e:
            where = message.topic(), message.partition(), message.offset()
            log.warning("%s[%s]@%s is left out: %r", *where, e)
            continue
        if item is not None:
            items.append(item)
    return items


def follow(consumer: Consumer, client: Client, stop: threading.Event) -> None:
    """Write changes as they come, until ``stop`` is set."""
    while not stop.is_set():
        messages = consumer.consume(CALL_ITEMS, timeout=0.5)
        items = items_of(messages)
        if items and not patiently(partial(write, client, items), stop):
            return
        if messages:
            consumer.commit(asynchronous=False)


def patiently(call: Callable[[], int], stop: threading.Event) -> bool:
    """Call until the server answers; return False if ``stop`` is set before that."""
    while not stop.is_set():
        try:
            log.info("%d products written", call())
        except (UnavailableError, OverloadedError, DeadlineExceededError) as e:
            log.warning("%s; tried again in %.0f s", e, PAUSE_S)
            stop.wait(PAUSE_S)
        else:
            return True
    return False


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    options = argparse.ArgumentParser(description="Debezium's events of products to the catalogue")
    options.add_argument("--server", default="localhost:50051", help="host:port")
    options.add_argument("--kafka", help="bootstrap servers; default: NEXTCLICK_KAFKA")
    options.add_argument("--topic", default="shop.public.products")
    given = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    consumer = Consumer(
        {
            **client_config(load(Settings, kafka=given.kafka)),
            "group.id": "catalogue",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([given.topic])
    try:
        with client_of(given.server) as client:
            follow(consumer, client, stop)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
