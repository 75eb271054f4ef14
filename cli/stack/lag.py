"""How far a consumer group is behind the end of a topic."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition


def group_lag(kafka: str, group: str, topic: str) -> int | None:
    """Return the records of a topic that a group has not committed; None if unknown."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 2})
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        parts = [TopicPartition(topic, p) for p in found]
        lag = 0
        for committed in consumer.committed(parts, timeout=10):
            low, high = consumer.get_watermark_offsets(committed, timeout=10)
            lag += high - max(committed.offset, low)
        return lag
    except KafkaException:
        return None
    finally:
        consumer.close()
