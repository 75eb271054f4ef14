"""How far a consumer group is behind the ends of its topics."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connections.kafka import client_config
from nextclick.topics import topic
from settings.kafka import KafkaSettings


def group_lag(
    kafka: KafkaSettings, group: str, topics: Sequence[str], tenant: str = ""
) -> int | None:
    """Return the records of topics that a group has not committed; None if unknown.

    Group and topics are named without tenant.
    """
    consumer = Consumer({**client_config(kafka), "group.id": topic(group, tenant)})
    try:
        parts = [
            TopicPartition(name, partition)
            for name in (topic(each, tenant) for each in topics)
            for partition in consumer.list_topics(name, timeout=10).topics[name].partitions
        ]
        lag = 0
        for committed in consumer.committed(parts, timeout=10):
            low, high = consumer.get_watermark_offsets(committed, timeout=10)
            lag += high - max(committed.offset, low)
        return lag
    except KafkaException:
        return None
    finally:
        consumer.close()
