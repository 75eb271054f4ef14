"""Why an answer may not be as good as it could be."""

from __future__ import annotations

from nextclick.v1 import recommendation_service_pb2 as pb
from server.replica.redis_view import RedisView, Stored
from server.replica.replica import Replica

CATCHING_UP_MS = 10_000
"""Answers of a replica with a larger lag are marked as degraded."""


def degraded_reasons(
    replica: Replica, redis_view: RedisView, stored: Stored | None
) -> list[pb.DegradedReason]:
    """Return the reasons for an answer for which Redis was asked as ``stored`` says."""
    reasons: list[pb.DegradedReason] = []
    if not redis_view.up or (stored is not None and not stored.complete):
        reasons.append(pb.DEGRADED_REASON_REDIS_UNAVAILABLE)
    if not replica.kafka_up:
        reasons.append(pb.DEGRADED_REASON_KAFKA_UNAVAILABLE)
    elif not replica.caught_up or replica.lag_ms > CATCHING_UP_MS:
        reasons.append(pb.DEGRADED_REASON_CATCHING_UP)
    if not replica.ranker_fits:
        reasons.append(pb.DEGRADED_REASON_RANKER_MISSING)
    return reasons
