"""What a replica asks of the broker beside records: ends of partitions, the topics, if it lives.

Over a connection of its own, so the answers do not depend on whether anybody reads the log at the
moment. Nothing waits here: a question is asked, and its answer taken once it has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple

import orjson
from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from connections.kafka_admin import Admin
from settings.kafka import KafkaSettings
from settings.kafka_rights import Role

Place = tuple[str, int]

SILENT_US = 5_000_000
"""A broker that has been silent for this long is considered down: it is asked twice a second."""

TIMEOUT_S = 5.0


class TopicNow(NamedTuple):
    """A topic as it is: ``topic_id`` is another one once it has been deleted and made anew."""

    topic_id: str
    partitions: int


class Broker:
    """Asks the broker.

    Parameters
    ----------
    settings
        Where Kafka is.
    topics
        Names of the topics to describe.
    """

    def __init__(self, settings: KafkaSettings, topics: Iterable[str]) -> None:
        self._topics = list(topics)
        self._ends: dict[TopicPartition, Future[Any]] = {}
        self._described: dict[str, Future[Any]] = {}
        self.up = True
        """Whether it has answered lately."""
        statistics = {"statistics.interval.ms": 500, "stats_cb": self._on_statistics}
        self._admin = Admin(settings, **statistics)

    def poll(self) -> None:
        """Renew `up`."""
        self._admin.poll(0)

    def _on_statistics(self, statistics: str) -> None:
        brokers = orjson.loads(statistics)["brokers"].values()
        self.up = any(b["state"] == "UP" and b["rxidle"] < SILENT_US for b in brokers)

    def describe(self) -> dict[str, TopicNow]:
        """Return all of the topics; waits for the answer.

        Raises
        ------
        KafkaFaultError
            If one does not exist, or the broker does not answer or refuses.
        """
        self.ask_topics()
        described, self._described = self._described, {}
        return {
            name: _topic(self._admin.wait(future, f"DESCRIBE on the topic {name}"))
            for name, future in described.items()
        }

    def shortfall(self, role: Role, tenant: str) -> str:
        """Return the rights that a role lacks, in a sentence; waits, see `Admin.shortfall`."""
        return self._admin.shortfall(role, tenant)

    def ask_topics(self) -> None:
        """Ask for the topics."""
        self._described = self._admin.describe_topics(
            TopicCollection(self._topics), request_timeout=TIMEOUT_S
        )

    def topics(self) -> dict[str, TopicNow]:
        """Return those topics that exist, once the answer has come; otherwise nothing."""
        described = self._described
        if not described or not all(future.done() for future in described.values()):
            return {}
        self._described = {}
        return {
            name: _topic(future.result())
            for name, future in described.items()
            if not future.exception()
        }

    def ask_ends(self, places: Iterable[Place]) -> None:
        """Ask for the ends of partitions, unless the last answer has not come yet."""
        if not self._ends:
            latest = {TopicPartition(*place): OffsetSpec.latest() for place in places}
            self._ends = self._admin.list_offsets(latest, request_timeout=TIMEOUT_S)

    def ends(self) -> dict[Place, int]:
        """Return the offset after the last record of each partition, once the answer has come."""
        asked = self._ends
        if not asked or not all(future.done() for future in asked.values()):
            return {}
        self._ends = {}
        return {
            (p.topic, p.partition): int(future.result().offset)
            for p, future in asked.items()
            if not future.exception()
        }


def _topic(described: Any) -> TopicNow:
    return TopicNow(str(described.topic_id), len(described.partitions))
