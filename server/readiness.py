"""When a replica starts to serve."""

from __future__ import annotations

import logging
import threading
import time

from server.replica.replica import Replica

log = logging.getLogger("nextclick.server")

WITHOUT_KAFKA_S = 10.0
"""After this time, a replica with a snapshot that cannot reach Kafka serves degraded answers."""


def wait_until_ready(replica: Replica, stop: threading.Event) -> bool:
    """Wait until a replica has caught up, or has waited long enough for Kafka.

    Returns False if ``stop`` was set meanwhile.
    """
    started = time.monotonic()
    from_snapshot = replica.engine.clicks > 0
    while not replica.caught_up:
        if stop.wait(0.02):
            return False
        waited = time.monotonic() - started
        if from_snapshot and not replica.kafka_up and waited > WITHOUT_KAFKA_S:
            log.warning("Kafka is unavailable: serving from the snapshot")
            return True
    return True
