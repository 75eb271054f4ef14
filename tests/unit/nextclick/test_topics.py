"""Names and settings that all programs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from nextclick import topics
from nextclick.codec import DeadLetterReason, InvalidEventError, decode_event, decode_item
from tests.contract.murmur2 import partition


def test_tenant_is_a_prefix_everywhere() -> None:
    """If it failed, two tenants would read each other's visitors."""
    assert topics.topic(topics.EVENTS) == "events"
    assert topics.topic(topics.EVENTS, "acme") == "acme.events"
    assert topics.redis_session_key("1") == "nextclick:s:1"
    assert topics.redis_session_key("1", "acme") == "nextclick:acme:s:1"
    assert topics.redis_user_key("1") == "nextclick:u:1"
    assert topics.redis_user_key("1", "acme") == "nextclick:acme:u:1"
    assert topics.redis_store_key() == "nextclick:store"
    assert topics.redis_store_key("acme") == "nextclick:acme:store"


def test_event_key_prefers_the_session() -> None:
    """If it failed, events of one session would be keyed, and so ordered, apart."""
    assert topics.event_key("s", "u") == "s"
    assert topics.event_key("", "u") == "u:u"


def test_every_topic_keeps_time_by_arrival() -> None:
    """If it failed, a replayed history of old clicks would be deleted within minutes."""
    for declared in topics.TOPICS.values():
        assert declared.config["message.timestamp.type"] == "LogAppendTime"


def test_topics_keep_what_they_are_declared_to() -> None:
    """If it failed, a broker would delete what a new replica is built from."""
    assert topics.TOPICS["items"].config["cleanup.policy"] == "compact"
    assert "retention.ms" not in topics.TOPICS["items"].config
    sessions = topics.TOPICS["sessions"].config
    assert sessions["cleanup.policy"] == "compact,delete"
    assert sessions["retention.ms"] == str(30 * 24 * 3600 * 1000)
    assert sessions["segment.bytes"] == str(1 << 27)
    assert topics.TOPICS["examples"].config["cleanup.policy"] == "delete"
    for declared in topics.TOPICS.values():
        assert all(isinstance(value, str) for value in declared.config.values())


def test_partitions_are_those_of_the_topic_with_or_without_tenant() -> None:
    """If it failed, the topics of a tenant would be read in part."""
    assert topics.partitions("sessions") == topics.partitions("acme.eu.sessions") == range(4)


@pytest.mark.parametrize(("name", "decode"), [("events", decode_event), ("items", decode_item)])
def test_readers_refuse_values_larger_than_declared(
    name: str, decode: Callable[[bytes], object]
) -> None:
    """If it failed, one record could fill the memory of a job or a replica."""
    most = topics.TOPICS[name].max_value_bytes
    assert most is not None
    with pytest.raises(InvalidEventError, match="bytes of JSON") as caught:
        decode(b" " * (most + 1))
    assert caught.value.reason == DeadLetterReason.TOO_LARGE


def test_no_two_topics_have_one_name() -> None:
    """If it failed, a later declaration would silently replace an earlier one."""
    assert len(topics.TOPICS) == len(topics._DECLARED)


def test_the_table_of_the_documentation_is_what_is_declared() -> None:
    """If it failed, operators would size and back up other topics than there are."""
    text = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows[: len(topics.TOPICS)] == [
        f"| `{t.name}` | {t.key} | {t.kept} | {t.value} |" for t in topics.TOPICS.values()
    ]
    assert {t.partitions for t in topics.TOPICS.values()} == {4}
    assert "All have four partitions and broker time" in text


def test_a_topic_that_is_bounded_in_bytes_is_so_at_the_broker() -> None:
    """If it failed, examples would fill the disk: at 200 clicks a second 37 GB in two days."""
    config = topics.TOPICS[topics.EXAMPLES].config
    assert config["cleanup.policy"] == "delete"
    open_segments = int(config["segment.bytes"]) * topics.TOPICS[topics.EXAMPLES].partitions
    assert int(config["retention.bytes"]) * topics.TOPICS[topics.EXAMPLES].partitions == 4 << 30
    assert open_segments <= 1 << 28, "what is beyond the limit until a segment is closed"


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
    count = topics.TOPICS["events"].partitions  # the mock broker's default too
    assert set(chosen.values()) == set(range(count))
    assert chosen == {key: partition(key.encode(), count) for key in chosen}
