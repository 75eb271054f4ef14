"""Topics that change under a replica: they get partitions, or are deleted and made anew."""

import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from cli.stack import kafka, topics
from nextclick import Item, encode_item
from nextclick.topics import ITEMS, topic
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.replica import snapshot
from server.replica.log_reader import LogReader
from server.replica.replica import Replica
from settings.server import ServerSettings
from tests.integration.conftest import eventually

LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)


@pytest.fixture
def tenant(stack):
    """Topics of a tenant of its own: the stack's keep their partitions."""
    name = f"changed{uuid.uuid4().hex[:6]}"
    topics.create(kafka.admin_client(stack.kafka_settings), name)
    return name


def reading(stack, tenant, replica):
    reader = LogReader(replica, ServerSettings(kafka=stack.kafka, tenant=tenant))
    reader.start()
    return reader


def done(futures):
    for future in futures.values():
        future.result(60)


def test_partitions_that_come_and_topics_made_anew_are_followed(stack, producer, tenant, tmp_path):
    """Part of the catalogue was left out without a word, after a restart all that was new."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    items = topic(ITEMS, tenant)

    def put(item_id, partition):
        producer.list_topics(items, timeout=60)  # otherwise it hears of new partitions later
        producer.produce(items, encode_item(Item(item_id)), item_id, partition=partition)
        assert producer.flush(60) == 0

    def known(item_id):
        return eventually(lambda: replica.catalogue.get(item_id), bool, item_id)

    replica = Replica(Engine(LIMITS, sample=0, remote=True))
    reader = reading(stack, tenant, replica)
    for n in range(3):
        put(f"first{n}", 0)
    known("first2")
    done(admin.create_partitions([NewPartitions(items, 6)]))
    eventually(lambda: (items, 5) in replica.positions, bool, "the new partitions are read")
    put("grown", 5)
    known("grown")
    eventually(lambda: replica.lag_records, lambda lag: lag == 0, "nothing is left to be read")
    assert reader.stop()
    snapshot.write(replica, tmp_path)

    done(admin.delete_topics([items]))
    eventually(
        lambda: items in admin.list_topics(timeout=60).topics, lambda there: not there, "it is gone"
    )
    topics.create(kafka.admin_client(stack.kafka_settings), tenant)
    for n in range(5):
        put(f"anew{n}", 0)
    replica = snapshot.read(tmp_path, LIMITS)
    assert replica.positions[items, 0] == 3
    reader = reading(stack, tenant, replica)
    for n in range(5):
        known(f"anew{n}")
    assert replica.positions[items, 0] == 5
    assert reader.stop()
