"""Names and settings that all programs share."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Producer

from nextclick import topics
from tests.contract.murmur2 import partition


def test_tenant_is_a_prefix_everywhere() -> None:
    """If it failed, two tenants would read each other's visitors."""
    assert topics.topic(topics.EVENTS) == "events"
    assert topics.topic(topics.EVENTS, "acme") == "acme.events"
    assert topics.redis_session_key("1") == "s:1"
    assert topics.redis_session_key("1", "acme") == "acme:s:1"
    assert topics.redis_user_key("1") == "u:1"
    assert topics.redis_user_key("1", "acme") == "acme:u:1"


def test_event_key_prefers_the_session() -> None:
    """If it failed, events of one session would be keyed, and so ordered, apart."""
    assert topics.event_key("s", "u") == "s"
    assert topics.event_key("", "u") == "u:u"


def test_every_topic_keeps_time_by_arrival() -> None:
    """If it failed, a replayed history of old clicks would be deleted within minutes."""
    assert set(topics.TOPIC_CONFIGS) == {
        *("events", "items", "sessions", "impressions", "dead-letters"),
        *("examples", "vectors", "ranker", "commands", "scoreboard"),
    }
    for config in topics.TOPIC_CONFIGS.values():
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert all(isinstance(value, str) for value in config.values())
    assert topics.TOPIC_CONFIGS["items"]["cleanup.policy"] == "compact"
    assert topics.TOPIC_CONFIGS["sessions"]["cleanup.policy"] == "compact,delete"


@pytest.fixture(scope="module")
def chosen() -> dict[str, int]:
    """Partitions that a producer of ours chose, on librdkafka's broker in this process."""
    keys = [f"s{n}" for n in range(200)] + ["u:üñí", "", "a" * 255, "11562161", "日本"]
    partitions: dict[str, int] = {}
    producer = Producer({"test.mock.num.brokers": 1, **topics.PRODUCER_CONFIG})

    def delivered(error: object, message: object) -> None:
        assert error is None
        partitions[message.key().decode()] = message.partition()  # type: ignore[attr-defined]

    for key in keys:
        producer.produce("events", json.dumps(key).encode(), key.encode(), on_delivery=delivered)
    assert producer.flush(30) == 0
    del partitions[""]  # sent anywhere: our keys are never empty
    return partitions


def test_producer_chooses_partitions_as_java_does(chosen: dict[str, int]) -> None:
    """If it failed, a session would live in two partitions: Flink's and Python's."""
    count = topics.PARTITIONS  # the mock broker's default too
    assert set(chosen.values()) == set(range(count))
    assert chosen == {key: partition(key.encode(), count) for key in chosen}
