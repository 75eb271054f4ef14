"""The state of a replica, as ``/status`` and ``nextclick status`` show it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from nextclick.topics import SESSIONS
from server.replica import learners, scoreboard
from server.replica.replica import Replica


def describe(replica: Replica, serving: bool) -> dict[str, Any]:
    """Return the state of a replica as plain values, for JSON.

    Parameters
    ----------
    replica
        A server's replica, or that of the example emitter.
    serving
        Whether the process is doing its work: answering, or emitting examples of new clicks.
    """
    return {
        "name": replica.role.value,
        "state": "SERVING" if serving else "NOT_SERVING",
        "lag": replica.lag_records,
        "lag_ms": replica.lag_ms,
        "lags": {name: lag._asdict() for name, lag in replica.lags.items()},
        "position": sum(
            offset
            for (name, _), offset in replica.positions.copy().items()
            if name.endswith(SESSIONS)
        ),
        "version": version("nextclick"),
        "clicks": replica.engine.clicks,
        "ranking": replica.engine.ranking,
        "examples": replica.engine.examples,
        "scores": replica.engine.prequential_scores,
        "learners": {
            model: learners.describe(state) for model, state in replica.learners.copy().items()
        },
        "scoreboard": {
            model: scoreboard.describe(score) for model, score in replica.scoreboard.copy().items()
        },
        "vectors": replica.engine.with_vectors,
        "sessions": len(replica.sessions),
        "profiles": len(replica.profiles),
        "items": len(replica.engine.rows),
        "catalogue": len(replica.catalogue),
        "items_waiting": len(replica.catalogue.waiting),
        "users": len(replica.users),
        "kept_snapshots": replica.kept_snapshots,
        "refused": [refused._asdict() for refused in replica.refused.latest.copy()],
        "caught_up": replica.caught_up,
        "kafka_up": replica.kafka_up,
    }
