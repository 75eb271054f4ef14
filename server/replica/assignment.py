"""Which partitions are read, and from where: those of the followed topics, as many as there are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from server.replica.broker import Place, TopicNow
from server.replica.followed_topics import FollowedTopic, Partition
from server.replica.replica import Replica

log = logging.getLogger("nextclick.log_reader")


class Begin(NamedTuple):
    """Where reading a partition begins, of the offsets from ``low`` up to ``high``."""

    place: Place
    start: int
    low: int
    high: int


class Assignment:
    """Assigns partitions to a consumer, each from where its `FollowedTopic.start` says.

    Parameters
    ----------
    replica
        Its positions and topic ids are those of its snapshot at first.
    consumer
        Reads the log.
    followed
        The followed topics by name.
    dead_letters
        Name of their topic, of which only what comes from now on is read.
    history
        The most records of clicks that are read without a snapshot.
    start_of_last
        Returns where the last records of a partition begin: see `history.start_of_last`, which it
        is without the consumer.
    """

    def __init__(
        self,
        replica: Replica,
        consumer: Consumer,
        followed: Mapping[str, FollowedTopic],
        dead_letters: str,
        history: int,
        start_of_last: Callable[[TopicPartition, int, int, int], int],
    ) -> None:
        self._replica = replica
        self._consumer = consumer
        self._followed = followed
        self._dead_letters = dead_letters
        self._history = history
        self._start_of_last = start_of_last
        self.topics: dict[str, TopicNow] = {}
        """The topics as they are read."""
        self.places: set[Place] = set()
        """The partitions that are read."""
        self.behind: dict[Place, int] = {}
        """The ends that partitions had when their reading began, until they are reached."""

    def follow(self, topics: Mapping[str, TopicNow]) -> set[str]:
        """Assign those partitions that are not being read; return the topics that were made anew.

        A topic with another id than the last time it was read, before the snapshot perhaps, is
        another one under the same name: it is read from its start.

        Raises
        ------
        KafkaException
            If the broker does not tell where a partition begins and ends; nothing has changed then.
        """
        replica, ids = self._replica, self._replica.topic_ids
        anew = {name for name, now in topics.items() if ids.get(name, now.topic_id) != now.topic_id}
        known = {place: at for place, at in replica.positions.items() if place[0] not in anew}
        new = [
            (name, p)
            for name, now in topics.items()
            for p in range(now.partitions)
            if name in anew or (name, p) not in self.places
        ]
        for name in sorted({name for name, _ in new} & self.topics.keys()):
            # The consumer hears of new partitions every five minutes only, unless it asks.
            self._consumer.list_topics(name, timeout=5)
        begins = [
            self._begin(place, topics[place[0]].partitions, known.get(place))
            for place in new
            if place[0] in self._followed
        ]
        whole = replica.whole_log or not known
        for place, start, low, _ in begins:
            if self._followed[place[0]].clicks and start != known.get(place):
                whole = whole and start == low
        # Only once all of them are known: a failure before that is retried from scratch.
        self._leave(anew)
        starts = {begin.place: begin.start for begin in begins}
        replica.positions.update(starts)
        replica.topic_ids.update({name: now.topic_id for name, now in topics.items()})
        replica.whole_log = whole
        self.behind.update({b.place: b.high for b in begins if b.start < b.high})
        from_now_on = 0 if self.topics else OFFSET_END
        self._consumer.incremental_assign(
            [TopicPartition(*place, starts.get(place, from_now_on)) for place in new]
        )
        self.topics |= topics
        self.places.update(new)
        return anew

    def _begin(self, place: Place, partitions: int, position: int | None) -> Begin:
        part = TopicPartition(*place)
        low, high = self._consumer.get_watermark_offsets(part, timeout=5)
        last = partial(self._start_of_last, part, low, high, max(self._history // partitions, 1))
        found = Partition(low, high, position, last, self._replica.role)
        return Begin(place, self._followed[place[0]].start(found), low, high)

    def _leave(self, anew: set[str]) -> None:
        """Stop reading topics that were made anew, and forget how far they were read."""
        for name in sorted(anew):
            log.warning("%s was made anew: it is read from its start", name)
        gone = {place for place in self.places if place[0] in anew}
        if gone:
            self._consumer.incremental_unassign([TopicPartition(*place) for place in gone])
        self.places -= gone
        for place in [place for place in self._replica.positions if place[0] in anew]:
            del self._replica.positions[place]
            self.behind.pop(place, None)
