"""The example of a catalogue from Debezium's change events, through a real broker.

The events are made here, in the forms that Debezium's documentation has for PostgreSQL.
"""

import contextlib
import json
import signal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from nextclick import Item
from tests.catalogue.conftest import EXAMPLES, LIMIT_S, eventually, example

TOPIC = "shop.public.products"


@pytest.fixture(scope="module")
def produce(shop):
    """A function that writes a change event."""
    shop.admin.create_topics([NewTopic(TOPIC, 2)])[TOPIC].result(60)
    producer = Producer({"bootstrap.servers": shop.kafka})

    def produce(number, value, *, schema=False):
        key = {"id": number}
        if schema:
            key, value = ({"schema": {"type": "struct"}, "payload": p} for p in (key, value))
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(TOPIC, raw, json.dumps(key).encode())
        producer.flush(LIMIT_S)

    return produce


def row(n, title="Shoe", **more):
    made = {
        "id": n,
        "title": f"{title} {n}",
        "brand": "Acme",
        "categories": ["Shoes", "Sale"],
        "stock": n,
        "kind": "product",
        "summary": "A shoe.",
        "price": "9.90",
        "year": None,
        "image_url": "https://shop.example/shoe.jpg",
        "page_url": "",
        "sold_from": "2026-11-28T03:00:00.5Z",
        "sold_until": None,
        "embedding": [0.5, -2.0],
        "updated_at": "2026-11-27T03:00:00.123456Z",
        "deleted_at": None,
    }
    return made | more


def event(op, before=None, after=None):
    source = {"connector": "postgresql", "name": "shop", "schema": "public", "table": "products"}
    return {
        "before": before,
        "after": after,
        "source": source,
        "op": op,
        "ts_ms": 1_764_212_400_000,
    }


def item(n, title="Shoe"):
    return Item(
        str(n),
        categories=("Shoes", "Sale"),
        attributes={"brand": "Acme"},
        title=f"{title} {n}",
        kind="product",
        description="A shoe.",
        numbers={"price": 9.9},
        image_url="https://shop.example/shoe.jpg",
        available_from_ms=1_795_834_800_500,
        embedding=(0.5, -2.0),
    )


@contextlib.contextmanager
def following(shop):
    """Run the example; what it has logged is in the list at the end."""
    said = []
    process = example("from_debezium.py", "--kafka", shop.kafka, "--server", shop.target)
    try:
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=LIMIT_S)
        said.append(log)
    assert process.returncode == 0, log


def committed(shop):
    """How many events the example has done with."""
    consumer = Consumer({"bootstrap.servers": shop.kafka, "group.id": "catalogue"})
    parts = consumer.committed([TopicPartition(TOPIC, p) for p in range(2)], timeout=60)
    consumer.close()
    return sum(max(part.offset, 0) for part in parts)


@pytest.mark.parametrize("schema", [False, True], ids=["without schemas", "with schemas"])
def test_changes_become_items_and_deletions(shop, produce, schema):
    """A snapshot's rows, creations, updates, deletions with their tombstones, and soft ones."""
    base = 100 if schema else 0
    read, created, gone, sold_out, back = (base + n for n in range(1, 6))
    for n in (read, gone, sold_out, back):
        produce(n, event("r", after=row(n)), schema=schema)
    produce(created, event("c", after=row(created)), schema=schema)
    produce(read, event("u", row(read), row(read, "Hat")), schema=schema)
    produce(gone, event("d", before={"id": gone}), schema=schema)
    produce(gone, None)
    at = "2026-11-28T03:00:00Z"
    produce(sold_out, event("u", None, row(sold_out, deleted_at=at)), schema=schema)
    produce(back, event("d", before={"id": back}), schema=schema)
    produce(back, event("c", after=row(back, "Tie")), schema=schema)
    wanted = {
        str(read): item(read, "Hat"),
        str(created): item(created),
        str(gone): None,
        str(sold_out): None,
        str(back): item(back, "Tie"),
    }
    with following(shop):
        eventually(lambda: wanted.items() <= shop.items.items())


def test_an_event_that_is_none_costs_no_other(shop, produce):
    """A faulty record would keep all changes after it from the catalogue."""
    produce(201, b"no JSON")
    produce(201, {"op": "c"})
    produce(201, event("u"))
    produce(202, event("u", None, row(202, title="x" * 1_100)))
    produce(203, event("u", None, row(203) | {"title": "__debezium_unavailable_value"}))
    produce(204, event("t"))
    for n in range(210, 220):  # in both partitions
        produce(n, event("c", after=row(n)))
    with following(shop) as said:
        eventually(lambda: {str(n) for n in range(210, 220)} <= set(shop.active))
    assert not {"201", "202", "203"} & set(shop.items)
    for words in ("product 202 is left out: title", "REPLICA IDENTITY FULL", "truncated"):
        assert words in said[0]


def test_a_consumer_goes_on_where_it_was_ended(shop, produce):
    """What the server has taken is not written again, and nothing that came meanwhile is lost."""
    produce(301, event("c", after=row(301)))
    with following(shop):
        eventually(lambda: "301" in shop.active)
    done, records = committed(shop), shop.records()
    produce(302, event("c", after=row(302)))
    with following(shop):
        eventually(lambda: "302" in shop.active)
    assert committed(shop) == done + 1
    assert shop.records() == records + 1


def test_both_examples_make_the_same_item_of_a_row(monkeypatch):
    """A shop may begin with one, and go on with the other."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from from_debezium import item_of_change  # noqa: PLC0415 - is beside the examples only
    from products import item_of  # noqa: PLC0415

    value = json.dumps(event("u", None, row(7))).encode()
    assert item_of_change(b'{"id": 7}', value) == item_of(row(7)) == item(7)


@pytest.mark.parametrize("column", ["title", "categories"])
def test_a_value_that_an_update_lacks_is_not_taken_for_one(monkeypatch, column):
    """The item would lose it; Debezium says so in a list where the column is an array."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from from_debezium import UNAVAILABLE, item_of_change  # noqa: PLC0415 - as above

    lacks = UNAVAILABLE if column == "title" else [UNAVAILABLE]
    value = json.dumps(event("u", None, row(7) | {column: lacks})).encode()
    with pytest.raises(ValueError, match="REPLICA IDENTITY FULL"):
        item_of_change(b'{"id": 7}', value)
