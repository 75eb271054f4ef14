"""A cluster's topics beside those that are declared (`nextclick.topics`): made and compared.

What a cluster may choose for itself, its copies of each record, follows from its brokers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from cli.errors import CommandError
from connections.kafka_admin import Admin
from connections.kafka_faults import is_refusal
from nextclick.limits import DAY_MS
from nextclick.topics import TOPICS, Topic, topic
from settings.kafka_rights import CREATE, DESCRIBE, DESCRIBE_CONFIGS, TOPIC, Right

ANSWER_S = 5.0
CREATED_S = 30.0

COPIES = 3
"""Replicas of each partition, where there are as many brokers."""

OVERHEAD_BYTES = 4_096
"""Of a record and its batch, beyond the value: a key of 320 bytes, headers, framing."""

PARTITIONS, REPLICAS, IN_SYNC = "partitions", "replication", "min.insync.replicas"
LARGEST = "max.message.bytes"


class Held(NamedTuple):
    """A topic as the cluster holds it: partitions, the fewest replicas of one, and settings."""

    partitions: int
    replicas: int
    config: Mapping[str, str]

    @property
    def kept(self) -> str:
        """How long records stay, in the words of `Topic.kept`."""
        policies = self.config.get("cleanup.policy", "").split(",")
        parts = ["newest per key"] if "compact" in policies else []
        if "delete" in policies:
            days = _number(self.config.get("retention.ms", "")) / DAY_MS
            parts.append("for ever" if days == math.inf else f"{days:.3g} days")
            gib = _number(self.config.get("retention.bytes", "")) * self.partitions / (1 << 30)
            if gib != math.inf:
                parts.append(f"{gib:.3g} GiB")
        return ", ".join(parts)


class Difference(NamedTuple):
    """Where a topic is not as declared, and what follows from it."""

    topic: str
    setting: str
    found: str
    wanted: str
    consequence: str

    @property
    def told(self) -> str:
        """What differs, in words."""
        return f"{self.setting} is {self.found or 'not set'}, not {self.wanted}"


class Cluster(NamedTuple):
    """What a cluster has of a tenant's topics.

    Parameters
    ----------
    brokers
        How many there are.
    held
        The topics that are there, by their full names.
    """

    brokers: int
    held: Mapping[str, Held]

    @property
    def copies(self) -> int:
        """Replicas that each partition should have."""
        return min(COPIES, max(self.brokers, 1))


def in_sync(copies: int) -> int:
    """Return how many of the copies of a record must be there before it is acknowledged."""
    return max(min(copies, COPIES) - 1, 1)


def declared(tenant: str) -> dict[str, Topic]:
    """Return the declared topics by the names that they have for a tenant."""
    return {topic(name, tenant): entry for name, entry in TOPICS.items()}


def look(admin: Admin, tenant: str) -> Cluster:
    """Return what the cluster has of the tenant's topics.

    Raises
    ------
    KafkaFaultError
        If it does not answer, or refuses.
    """
    metadata = admin.list_topics(timeout=ANSWER_S)
    there = [name for name in declared(tenant) if name in metadata.topics]
    _check_absent(admin, [name for name in declared(tenant) if name not in metadata.topics])
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
    held = {}
    for resource, future in (admin.describe_configs(resources) if there else {}).items():
        what = Right(TOPIC, resource.name, DESCRIBE_CONFIGS).told
        config = {n: entry.value or "" for n, entry in admin.wait(future, what, ANSWER_S).items()}
        partitions = metadata.topics[resource.name].partitions
        replicas = min((len(part.replicas) for part in partitions.values()), default=0)
        held[resource.name] = Held(len(partitions), replicas, config)
    return Cluster(len(metadata.brokers), held)


def _check_absent(admin: Admin, names: list[str]) -> None:
    """Raise `KafkaFaultError` if a topic is not listed because we have no right to see it."""
    described = admin.describe_topics(TopicCollection(names)) if names else {}
    for name, future in described.items():
        try:
            admin.wait(future, Right(TOPIC, name, DESCRIBE).told, ANSWER_S)
        except KafkaException as e:
            if is_refusal(e.args[0]):
                raise


def create(admin: Admin, tenant: str = "", copies: int | None = None) -> list[str]:
    """Create the topics that are not there yet; those that are stay as they are.

    Parameters
    ----------
    admin, tenant
        The cluster, and whose topics.
    copies
        Replicas of each partition; None: as many as the cluster allows, up to `COPIES`.

    Returns
    -------
    The names of the new ones.

    Raises
    ------
    CommandError
        If the cluster refuses one.
    """
    cluster = look(admin, tenant)
    copies = copies or cluster.copies
    new = [
        NewTopic(
            name,
            entry.partitions,
            copies,
            config=entry.config | {IN_SYNC: str(in_sync(copies))},
        )
        for name, entry in declared(tenant).items()
        if name not in cluster.held
    ]
    created = []
    for name, future in (admin.create_topics(new) if new else {}).items():
        try:
            admin.wait(future, Right(TOPIC, name, CREATE).told, CREATED_S)
            created.append(name)
        except KafkaException as e:
            if is_refusal(e.args[0]):
                raise
            if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # by another one, just now
                raise CommandError(
                    f"Kafka cannot create the topic {name}: {e.args[0].str()}"
                ) from e
    return created


def missing(cluster: Cluster, tenant: str) -> list[str]:
    """Return the topics that are not there."""
    return [name for name in declared(tenant) if name not in cluster.held]


def differences(cluster: Cluster, tenant: str) -> Iterator[Difference]:
    """Yield where the topics that are there are not as declared."""
    for name, entry in declared(tenant).items():
        if name in cluster.held:
            yield from _of_topic(name, entry, cluster)


def records(admin: Admin, name: str, partitions: int) -> int:
    """Return the offsets from a topic's beginning to its end: its records, if not compacted."""
    ends: list[int] = []
    what = Right(TOPIC, name, DESCRIBE).told
    for spec in (OffsetSpec.earliest, OffsetSpec.latest):
        asked = {TopicPartition(name, part): spec() for part in range(partitions)}  # type: ignore[no-untyped-call]
        found = admin.list_offsets(asked, request_timeout=ANSWER_S)
        answers = [admin.wait(future, what, ANSWER_S) for future in found.values()]
        ends.append(sum(answer.offset for answer in answers))
    return ends[1] - ends[0]


def _of_topic(name: str, entry: Topic, cluster: Cluster) -> Iterator[Difference]:
    held = cluster.held[name]
    if held.partitions != entry.partitions:
        yield Difference(
            name, PARTITIONS, str(held.partitions), str(entry.partitions),
            "any number is followed; another one divides the sessions that are open"
        )  # fmt: skip
    if held.replicas < min(cluster.copies, 2):
        yield Difference(
            name, REPLICAS, str(held.replicas), str(cluster.copies),
            "a broker whose disk is lost takes records with it"
        )  # fmt: skip
    for setting, wanted in entry.config.items():
        found = held.config.get(setting, "")
        if sorted(found.split(",")) != sorted(wanted.split(",")):
            yield Difference(name, setting, found, wanted, _consequence(setting, found, wanted))
    least = int(held.config.get(IN_SYNC) or 1)
    if consequence := _of_in_sync(least, held.replicas):
        yield Difference(name, IN_SYNC, str(least), str(in_sync(held.replicas)), consequence)
    largest = int(held.config.get(LARGEST) or 1 << 20)
    needed = (entry.max_value_bytes or 0) + OVERHEAD_BYTES
    if largest < needed:
        consequence = "its largest records are refused"
        yield Difference(name, LARGEST, str(largest), f"at least {needed}", consequence)


def _of_in_sync(least: int, copies: int) -> str:
    """Return what follows if so many copies must have a record, empty if that is well."""
    if least < in_sync(copies):
        return "acknowledged records are lost with a single broker"
    if least > copies:
        return "there are fewer copies: all writing is refused"
    return "a single broker that is away stops all writing" if least == copies > 1 else ""


def _consequence(setting: str, found: str, wanted: str) -> str:
    if setting == "cleanup.policy":
        lost = set(wanted.split(",")) - set(found.split(","))
        if "compact" in lost:
            return "what a new replica needs is deleted by age, or old values are never cleared"
        if "delete" in lost:
            return "it grows without an end"
        return "records are deleted, or cleared, that are still needed"
    if setting == "message.timestamp.type":
        return "times are the clients': a history is deleted at once, delays and lives are wrong"
    shorter = _number(found) < _number(wanted)
    return _SHORTER[setting] if shorter else _LONGER[setting]


_SHORTER = {
    "retention.ms": "who was away for longer misses records",
    "retention.bytes": "in a rush, records are deleted before they are read",
    "delete.retention.ms": "a replica that was away for longer keeps what was deleted",
    "segment.bytes": "more files are open",
}
"""What follows if a setting is smaller than declared."""

_LONGER = {
    "retention.ms": "it takes more disk, and personal data stays for longer",
    "retention.bytes": "it takes more disk",
    "delete.retention.ms": "it takes more disk",
    "segment.bytes": "it is cleared later: a new replica reads for longer",
}


def _number(value: str) -> float:
    return int(value) if value.isdigit() else math.inf  # -1: no limit
