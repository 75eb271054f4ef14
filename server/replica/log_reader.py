"""Reads the log into a replica, in slices that let waiting requests go first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connections.kafka import client_config
from connections.kafka_admin import fault
from connections.kafka_faults import fault_of
from nextclick.codec import DeadLetterReason, InvalidEventError
from nextclick.topics import DEAD_LETTERS, FETCH_WAIT_MS, PATIENT_FETCH_BYTES, topic
from records.errors import RecordError
from records.limited import check_size
from records.refused import FAILED, INVALID, TOO_LARGE, Refused
from server import metrics
from server.replica.assignment import Assignment
from server.replica.broker import Broker, Place, TopicNow
from server.replica.followed_topics import FOLLOWED
from server.replica.history import start_of_last
from server.replica.lag_meter import LagMeter
from server.replica.log_watch import LogWatch
from server.replica.replica import Replica, Role
from settings.kafka_rights import DESCRIBE, GROUP, READ, REPLICAS, ROLES, TOPIC, Right
from settings.server import ServerSettings

log = logging.getLogger("nextclick.log_reader")

QUEUE_KB = 32_768
"""Kilobytes of records that Kafka's client reads ahead."""

POLL, POLL_BYTES = 500, 2 << 20
"""Messages and bytes after which a poll ends: a few milliseconds of work."""

AT_ONCE = 8
"""Messages that Kafka's client hands over in one call, for which it holds the GIL while it copies
them: 500 of 64 kB took 15 ms, 8 of the largest that `ranker` allows take half of one."""

SMALL_BYTES = 1_024
"""A larger message may hold the lock for a millisecond: a slice begins with it."""

MAX_HEADERS = 16
"""Headers of a dead letter that are looked at; its reason is the first."""

RETRY_S = 0.5

REASONS = {reason.encode(): reason.value for reason in DeadLetterReason}


class LogReader:
    """One thread that applies `FOLLOWED` to a replica; `start` it once.

    Parameters
    ----------
    replica
        The replica that the log is applied to. Nothing else changes it.
    settings
        Kafka, tenant, and how much of the log to read without a snapshot.
    between_polls
        Called on the reading thread between two polls, while the models do not change.
    pause_clicks
        Called at the same point; while it returns True, no clicks are read.
    """

    def __init__(
        self,
        replica: Replica,
        settings: ServerSettings,
        between_polls: Callable[[], None] = lambda: None,
        pause_clicks: Callable[[], bool] = lambda: False,
    ) -> None:
        self._replica = replica
        self._between_polls = between_polls
        self._pause_clicks = pause_clicks
        self._paused = False
        self._followed = {topic(followed.name, settings.tenant): followed for followed in FOLLOWED}
        self._clicks = {name for name, followed in self._followed.items() if followed.clicks}
        self._dead_letters = topic(DEAD_LETTERS, settings.tenant)
        for name, reason in product(self._followed, (TOO_LARGE, INVALID, FAILED)):
            metrics.UNREADABLE.labels(name, reason)
        self._stop = threading.Event()
        self._settings = settings
        self._role = ROLES[replica.role.value]
        self._of_group = Right(GROUP, topic(REPLICAS, settings.tenant), DESCRIBE)
        self._broker = Broker(settings, [*self._followed, self._dead_letters])
        self._meter = LagMeter(replica.positions)
        self._watch = LogWatch(replica, self._broker, self._meter, self._clicks)
        self._thread = threading.Thread(target=self._run, name="log reader", daemon=True)
        patient = replica.role is Role.EMITTER
        self._config = {
            **client_config(settings),
            "group.id": self._of_group.name,  # assigned, never committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "fetch.min.bytes": PATIENT_FETCH_BYTES if patient else 1,
            "queued.max.messages.kbytes": QUEUE_KB,
        }
        self._consumer = Consumer(self._config)
        self._assignment = Assignment(
            replica,
            self._consumer,
            self._followed,
            self._dead_letters,
            settings.history,
            self._start_of_last,
        )

    def start(self) -> None:
        """Start reading, and watching the log."""
        self._watch.start()
        self._thread.start()

    def stop(self, timeout_s: float = 60) -> bool:
        """Stop after the current poll; the replica's positions say where.

        Returns whether the thread has ended, so that the replica no longer changes.
        """
        self._stop.set()
        self._watch.stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if told := self._broker.shortfall(self._role, self._settings.tenant):
                    log.error("Kafka: %s", told)
                self._follow(self._broker.describe())
                break
            except KafkaException as e:
                log.warning("Kafka: %s; trying again", fault(e, self._settings).told)
                self._watch.hindered = True
                self._consumer.poll(0)
                self._stop.wait(RETRY_S)
        while not self._stop.is_set():
            try:
                self._pass_time()  # first: what is applied is open or not at this time
                self._apply(self._poll())
                self._retry_items()
                self._note_catching_up()
                self._between_polls()
                self._follow_changes()
                self._pause_or_resume()
            except Exception:
                # If reading stopped here, answers would silently become outdated.
                log.exception("reading the log failed; continuing")
                self._stop.wait(RETRY_S)
        self._consumer.close()

    def _follow(self, topics: Mapping[str, TopicNow]) -> None:
        """Read all partitions of topics, of those that were made anew from the start."""
        for name in self._assignment.follow(topics):
            self._meter.forget(name)
        self._watch.followed = dict(self._assignment.topics)
        self._watch.hindered = False
        self._paused = False  # partitions that are new are not

    def _follow_changes(self) -> None:
        if changed := self._watch.changed:
            self._watch.changed = {}
            self._follow(changed)

    def _start_of_last(self, part: TopicPartition, low: int, high: int, most: int) -> int:
        """Return where the last records of a partition begin; reads with a consumer of its own."""
        if high - low <= most:
            return low
        log.info("counting the last %d records of %s-%d", most, part.topic, part.partition)
        consumer = Consumer(self._config)
        try:
            return start_of_last(consumer, part, low, high, most, self._stop)
        finally:
            consumer.close()

    def _pause_or_resume(self) -> None:
        """Pause the reading of clicks, or resume it."""
        pause = self._pause_clicks()
        if pause != self._paused:
            self._paused = pause
            places = [place for place in self._assignment.places if place[0] in self._clicks]
            parts = [TopicPartition(*place) for place in places]
            (self._consumer.pause if pause else self._consumer.resume)(parts)

    def _poll(self) -> list[Message]:
        """Return the messages that have arrived; waits for the first one only."""
        first = self._consumer.poll(0.02)
        part = messages = [first] if first is not None else []
        size = 0
        while part and len(messages) < POLL:
            size += sum(map(len, part))
            if size > POLL_BYTES:
                break
            part = self._consumer.consume(AT_ONCE, timeout=0)
            messages += part
        return messages

    def _apply(self, messages: list[Message]) -> None:
        replica, done = self._replica, 0
        messages = self._count_dead_letters(messages)
        while done < len(messages) or replica.unsettled:
            with replica.slice() as until:
                first = done
                while time.perf_counter() < until:
                    if replica.unsettled:
                        self._settle()
                    elif done == len(messages) or (
                        done > first and len(messages[done]) > SMALL_BYTES
                    ):
                        break
                    else:
                        self._apply_one(messages[done])
                        done += 1
        replica.refused.report()

    def _count_dead_letters(self, messages: list[Message]) -> list[Message]:
        """Count dead letters, which needs no lock; return all other messages."""
        others = []
        for message in messages:
            if message.topic() == self._dead_letters and message.error() is None:
                metrics.DEAD_LETTERS.labels(_reason(message)).inc()
            else:
                others.append(message)
        return others

    def _settle(self) -> None:
        try:
            self._replica.settle()
        except Exception:
            # The records of this poll must still be applied.
            log.exception("an item was not put again; continuing")

    def _retry_items(self) -> None:
        """Try again to find rows for catalogue items."""
        catalogue = self._replica.catalogue
        if catalogue.waiting:
            with self._replica.slice() as until:
                self._replica.retry_items(until)
        catalogue.report()

    def _pass_time(self) -> None:
        """Let items of the catalogue open and close whose time has come."""
        now_s = int(time.time())
        if self._replica.engine.windows.due(now_s):
            with self._replica.slice() as until:
                self._replica.pass_time(now_s, until)
        else:
            self._replica.engine.now_s = now_s

    def _apply_one(self, message: Message) -> None:
        place: Place = message.topic(), message.partition()  # type: ignore[assignment]
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._note_end(place, message.offset() or 0)
            else:
                right = Right(TOPIC, place[0], READ) if place[0] else self._of_group
                log.warning("Kafka: %s", fault_of(error, self._settings, right.told).told)
            return
        key, value = message.key() or b"", message.value()
        offset: int = message.offset()  # type: ignore[assignment]
        arrived_ms = message.timestamp()[1]
        followed = self._followed[place[0]]
        # One record that cannot be used must not keep all others from being learned.
        reason = TOO_LARGE
        try:
            check_size(followed.name, key, value)
            reason = INVALID
            if followed.timed:
                followed.apply(self._replica, key, value, arrived_ms)
            else:
                followed.apply(self._replica, key, value)
        except (RecordError, InvalidEventError) as e:
            self._replica.refused.add(Refused(*place, offset, reason, str(e)))
        except Exception as e:
            refused = Refused(*place, offset, FAILED, type(e).__name__)
            self._replica.refused.add(refused, e)
        self._meter.arrived_ms[place] = arrived_ms
        self._replica.positions[place] = offset + 1
        behind = self._assignment.behind
        if behind and offset + 1 >= behind.get(place, offset + 2):
            del behind[place]

    def _note_end(self, place: Place, end: int) -> None:
        """Note that a partition has been read up to its end; its last offsets may be gaps."""
        positions = self._replica.positions
        if place in positions:
            positions[place] = max(positions[place], end)
        self._assignment.behind.pop(place, None)

    def _note_catching_up(self) -> None:
        """Note when all partitions have been read up to the ends that they had at the start."""
        replica = self._replica
        if not replica.caught_up and not self._assignment.behind:
            replica.caught_up = True
            log.info(
                "caught up: %d clicks, %d sessions", replica.engine.clicks, len(replica.sessions)
            )


def _reason(message: Message) -> str:
    """Return the reason of a dead letter."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])[:MAX_HEADERS]
    return REASONS.get(dict(headers).get("reason") or b"", metrics.UNKNOWN_REASON)
