"""Names of topics, keys and headers, and the settings that producers and topics share."""

from __future__ import annotations

EVENTS = "events"
ITEMS = "items"
SESSIONS = "sessions"
IMPRESSIONS = "impressions"
DEAD_LETTERS = "dead-letters"
EXAMPLES = "examples"
VECTORS = "vectors"
RANKER = "ranker"
COMMANDS = "commands"
SCOREBOARD = "scoreboard"

VECTORS_MODEL, RANKER_MODEL = "vectors", "ranker"
"""Keys of the topics `ranker` and `commands`."""

PARTITIONS = 4

REPLAY_HEADER = "replay"
"""Marks records of a replayed history: their timestamps may be old."""

_DAY_MS = 24 * 3600 * 1000
_DELETE = {"cleanup.policy": "delete"}

TOPIC_CONFIGS: dict[str, dict[str, str]] = {
    EVENTS: {**_DELETE, "retention.ms": str(7 * _DAY_MS)},
    ITEMS: {
        "cleanup.policy": "compact",
        # A replica that was away for a month must still learn of deletions.
        "delete.retention.ms": str(31 * _DAY_MS),
    },
    SESSIONS: {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(30 * _DAY_MS),
        # A replica restored from an old snapshot must still learn of erasures.
        "delete.retention.ms": str(31 * _DAY_MS),
        # Only closed segments are compacted: smaller ones keep what a new replica reads short.
        "segment.bytes": str(128 * 1024 * 1024),
    },
    IMPRESSIONS: {**_DELETE, "retention.ms": str(7 * _DAY_MS)},
    DEAD_LETTERS: {**_DELETE, "retention.ms": str(14 * _DAY_MS)},
    EXAMPLES: {**_DELETE, "retention.ms": str(2 * _DAY_MS)},
    VECTORS: {"cleanup.policy": "compact", "delete.retention.ms": str(31 * _DAY_MS)},
    # Whole weights, once a second: small segments, so that compaction keeps up.
    RANKER: {"cleanup.policy": "compact", "segment.bytes": str(16 * 1024 * 1024)},
    COMMANDS: {**_DELETE, "retention.ms": str(7 * _DAY_MS)},
    SCOREBOARD: {**_DELETE, "retention.ms": str(30 * _DAY_MS)},
}
for _config in TOPIC_CONFIGS.values():
    # Retention judges by arrival: a history from 2014 stays.
    _config["message.timestamp.type"] = "LogAppendTime"

PRODUCER_CONFIG: dict[str, str | int | bool] = {
    # The partitioner of Java's and Flink's clients; librdkafka's own default differs, and
    # a session would live in two partitions.
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 2,
}

FETCH_WAIT_MS = 100
"""How long a fetch waits at the broker for a first record: it returns with that at once, so this
delays nothing, while 10 ms kept the broker of a silent shop at a fifth of a core."""

PATIENT_FETCH_BYTES = 65_536
"""What learns and scores lets a fetch wait for so much, `FETCH_WAIT_MS` at most: a fetch for each
click would be a third of the broker's work, and nobody waits for those."""


def topic(name: str, tenant: str = "") -> str:
    """Return the name of a topic for a tenant."""
    return f"{tenant}.{name}" if tenant else name


def event_key(session_id: str, user_id: str) -> str:
    """Return the record key of an event: the session, else ``u:<user_id>``."""
    return session_id or f"u:{user_id}"


def redis_session_key(session_id: str, tenant: str = "") -> str:
    """Return the Redis key of a session's `SessionRecord`."""
    return f"{tenant}:s:{session_id}" if tenant else f"s:{session_id}"


def redis_user_key(user_id: str, tenant: str = "") -> str:
    """Return the Redis key of the id of a user's current session."""
    return f"{tenant}:u:{user_id}" if tenant else f"u:{user_id}"
