"""How far a consumer group is behind the ends of its topics."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition


def group_lag(kafka: str, group: str, topics: Sequence[str]) -> int | None:
    """Return the records of topics that a group has not committed; None if unknown."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 2})
    try:
        parts = [
            TopicPartition(name, partition)
            for name in topics
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
