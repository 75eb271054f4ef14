"""Watches the log beside who reads it: the lag, whether Kafka answers, whether topics have changed.

A thread of its own: while the reading thread writes a snapshot, or hangs, the lag grows, and that
must be seen.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from online_models.ranking.rankings import NAMES as RANKING_NAMES
from server import metrics
from server.replica.broker import Broker, TopicNow
from server.replica.lag_meter import Lag, LagMeter
from server.replica.replica import Replica

log = logging.getLogger("nextclick.log_watch")

MEASURE_S = 0.1
"""Pause between two measurements of the lag."""

ASK_ENDS_S, ASK_TOPICS_S = 0.5, 10.0
"""Pauses between two questions to the broker: for the ends of the partitions, for the topics."""


class LogWatch:
    """Keeps the figures of a replica that tell of the log; `start` it once.

    Parameters
    ----------
    replica
        Gets `lags` and `kafka_up`.
    broker
        Is asked.
    meter
        Measures the lag.
    clicks
        Names of the topics whose records are clicks.
    """

    def __init__(self, replica: Replica, broker: Broker, meter: LagMeter, clicks: set[str]) -> None:
        self._replica = replica
        self._broker = broker
        self._meter = meter
        self._clicks = clicks
        self._stop = threading.Event()
        self._asked_ms = 0
        self._ends_due = self._topics_due = 0.0
        self.followed: Mapping[str, TopicNow] = {}
        """The topics as they are read; the reading thread sets it, last of all."""
        self.hindered = False
        """Whether the reading thread cannot begin, though the broker answers: a topic is gone."""
        self.changed: dict[str, TopicNow] = {}
        """Topics that are no longer as they are read; the reading thread takes them."""
        self._thread = threading.Thread(target=self._run, name="log watch", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(MEASURE_S):
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("watching the log failed; continuing")

    def look(self, now: float) -> None:
        """Take the broker's answers, measure, and ask again; ``now`` in monotonic seconds."""
        broker, meter, replica = self._broker, self._meter, self._replica
        broker.poll()
        replica.kafka_up = broker.up and not self.hindered
        metrics.KAFKA_UP.set(replica.kafka_up)
        if ends := broker.ends():
            meter.note_ends(ends, self._asked_ms)
        if now >= self._ends_due and replica.positions:
            self._ends_due = now + ASK_ENDS_S
            self._asked_ms = meter.now_ms()
            broker.ask_ends(list(replica.positions))
        self._compare(broker.topics())
        if now >= self._topics_due:
            self._topics_due = now + ASK_TOPICS_S
            broker.ask_topics()
        self._show(meter.measure())
        if replica.caught_up:
            replica.freshness.observe()
        _show_size(replica)

    def _compare(self, topics: dict[str, TopicNow]) -> None:
        """Note topics that have got partitions, or were made anew."""
        followed = self.followed
        changed = {n: t for n, t in topics.items() if n in followed and t != followed[n]}
        if changed:
            self.changed = changed

    def _show(self, lags: dict[str, Lag]) -> None:
        replica = self._replica
        replica.lags = lags
        replica.lag_records = sum(lag.records for lag in lags.values())
        replica.lag_ms = max((lag.ms for lag in lags.values()), default=0)
        replica.click_lag_ms = max((lags[n].ms for n in self._clicks if n in lags), default=0)
        for name, lag in lags.items():
            metrics.LAG.labels(name).set(lag.records)
        metrics.STALENESS.set(replica.click_lag_ms / 1000)


def _show_size(replica: Replica) -> None:
    """Set the gauges of what a replica holds and has learned."""
    metrics.MODEL_CLICKS.set(replica.engine.clicks)
    for model, scores in replica.engine.prequential_scores.items():
        for metric, score in scores.items():
            metrics.PREQUENTIAL_SCORE.labels(model, metric).set(score)
    metrics.VECTORS.set(replica.engine.with_vectors)
    metrics.SESSIONS.set(len(replica.sessions))
    metrics.ITEMS.set(len(replica.engine.rows))
    metrics.ITEMS_WAITING.set(len(replica.catalogue.waiting))
    metrics.USERS.set(len(replica.users))
    metrics.PROFILES.set(len(replica.profiles))
    metrics.HELD_VECTORS.set(replica.held_vectors)
    metrics.SNAPSHOTS_KEPT.set(len(replica.kept_snapshots))
    for name in RANKING_NAMES:
        metrics.ANSWERING.labels(name).set(name == replica.engine.ranking)
