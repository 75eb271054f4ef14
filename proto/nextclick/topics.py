"""The topics, declared once; names of keys and headers; the settings that producers share."""

from __future__ import annotations

from typing import NamedTuple

from nextclick.limits import (
    DAY_MS,
    MAX_AGE_MS,
    MAX_COMMAND_BYTES,
    MAX_EXAMPLE_BYTES,
    MAX_IMPRESSION_BYTES,
    MAX_LEARNER_BYTES,
    MAX_PROFILE_BYTES,
    MAX_RECORD_BYTES,
    MAX_SCORE_BYTES,
    MAX_SESSION_BYTES,
    MAX_VECTORS_BYTES,
    PROFILE_LIFE_MS,
    SESSION_STEPS,
)

MEBIBYTE = 1 << 20

EVENTS = "events"
ITEMS = "items"
USERS = "users"
SESSIONS = "sessions"
PROFILES = "profiles"
IMPRESSIONS = "impressions"
DEAD_LETTERS = "dead-letters"
EXAMPLES = "examples"
VECTORS = "vectors"
RANKER = "ranker"
COMMANDS = "commands"
SCOREBOARD = "scoreboard"

VECTORS_MODEL, RANKER_MODEL = "vectors", "ranker"
"""Keys of the topics `ranker` and `commands`."""

REPLAY_HEADER = "replay"
"""Marks records of a replayed history: their timestamps may be old."""


class Topic(NamedTuple):
    """A topic: what lies on it, how long, and how much of it is read.

    Parameters
    ----------
    name
        Its name without tenant.
    key, value
        What records are keyed by and what they hold, as the table in docs/architecture.md has it.
    retention_days
        Records are deleted after so long; None: only when a newer one of their key comes.
    compacted
        Whether the newest record of each key stays, until `retention_days`.
    retention_gib
        Gibibytes of the topic; the oldest records are deleted beyond it. None: as many as come.
    tombstone_days
        Days that a tombstone stays, the broker's own one where None: a replica that was away for
        a month must still learn of deletions.
    segment_bytes
        Only closed segments are compacted, or deleted: smaller ones keep short what a new replica
        reads, and make a topic's limit in bytes hold.
    partitions
        Its partitions.
    max_value_bytes
        The largest value that readers take; None: as large as the broker takes it.
    read_last
        Newest records of a partition that a replica reads at its start; None: all.
    """

    name: str
    key: str
    value: str
    retention_days: int | None = None
    retention_gib: int | None = None
    compacted: bool = False
    tombstone_days: int | None = None
    segment_bytes: int | None = None
    partitions: int = 4
    max_value_bytes: int | None = None
    read_last: int | None = None

    @property
    def kept(self) -> str:
        """How long records stay, in words."""
        parts = ["newest per key"] if self.compacted else []
        if self.retention_days is not None:
            parts.append(f"{self.retention_days} days")
        if self.retention_gib is not None:
            parts.append(f"{self.retention_gib} GiB")
        return ", ".join(parts)

    @property
    def config(self) -> dict[str, str]:
        """Settings of the topic at the broker."""
        policies = ["compact"] if self.compacted else []
        config = {}
        if self.retention_days is not None:
            policies.append("delete")
            config["retention.ms"] = str(self.retention_days * DAY_MS)
            gib = self.retention_gib
            config["retention.bytes"] = str(-1 if gib is None else (gib << 30) // self.partitions)
        if self.tombstone_days is not None:
            config["delete.retention.ms"] = str(self.tombstone_days * DAY_MS)
        if self.segment_bytes is not None:
            config["segment.bytes"] = str(self.segment_bytes)
        config["cleanup.policy"] = ",".join(policies)
        # Retention judges by arrival: a history from 2014 stays.
        config["message.timestamp.type"] = "LogAppendTime"
        return config


_DECLARED = (
    Topic(
        EVENTS,
        key="session key",
        value="one event, JSON",
        retention_days=MAX_AGE_MS // DAY_MS,
        max_value_bytes=MAX_RECORD_BYTES,
    ),
    Topic(
        ITEMS,
        key="item id",
        value='a catalogue item, JSON; a deletion is `{"state": "deleted"}`',
        compacted=True,
        tombstone_days=31,
        max_value_bytes=MAX_RECORD_BYTES,
    ),
    Topic(
        USERS,
        key="user id",
        value='what callers say of a user, JSON; a deletion is `{"state": "deleted"}`',
        compacted=True,
        tombstone_days=31,
        max_value_bytes=MAX_RECORD_BYTES,
    ),
    Topic(
        SESSIONS,
        key="session id",
        value=f"`SessionRecord`: version, counts, the last {SESSION_STEPS} steps",
        retention_days=30,
        compacted=True,
        tombstone_days=31,
        segment_bytes=128 * MEBIBYTE,
        max_value_bytes=MAX_SESSION_BYTES,
    ),
    Topic(
        PROFILES,
        key="user id",
        value="`Profile`: what a user did in earlier sessions",
        retention_days=PROFILE_LIFE_MS // DAY_MS,
        compacted=True,
        tombstone_days=31,
        segment_bytes=128 * MEBIBYTE,
        max_value_bytes=MAX_PROFILE_BYTES,
    ),
    Topic(
        IMPRESSIONS,
        key="session id",
        value="`Impression`: what was answered",
        retention_days=7,
        max_value_bytes=MAX_IMPRESSION_BYTES,
    ),
    Topic(
        EXAMPLES,
        key="session id",
        value="`Example`: a sampled click as a case, its candidates and features",
        retention_days=2,
        retention_gib=4,
        segment_bytes=64 * MEBIBYTE,  # only closed ones are deleted
        max_value_bytes=MAX_EXAMPLE_BYTES,
    ),
    Topic(
        VECTORS,
        key="item id",
        value="`ItemVectors`: an item's context and target vector",
        compacted=True,
        tombstone_days=31,
        max_value_bytes=MAX_VECTORS_BYTES,
    ),
    Topic(
        RANKER,
        key="model",
        value="`LearnerState`: where a learner stands; the ranker's weights",
        compacted=True,
        segment_bytes=16 * MEBIBYTE,  # whole weights, twice a second
        max_value_bytes=MAX_LEARNER_BYTES,
    ),
    Topic(
        COMMANDS,
        key="model",
        value="`LearnerCommand`: pause, resume, roll back",
        retention_days=7,
        max_value_bytes=MAX_COMMAND_BYTES,
    ),
    Topic(
        SCOREBOARD,
        key="ranking",
        value="`Score`: rolling hit rate, MRR, NDCG, coverage, CTR, drift, calibration",
        retention_days=30,
        read_last=50,  # each record replaces those before it
        max_value_bytes=MAX_SCORE_BYTES,
    ),
    Topic(
        DEAD_LETTERS,
        key="original key",
        value="original bytes; headers `reason`, `detail`, `topic`, `partition`, `offset`",
        retention_days=14,
        read_last=0,
    ),
)

TOPICS = {declared.name: declared for declared in _DECLARED}
"""Every topic, by its name without tenant."""

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
"""Learners and the score job fetch in batches of this size, or smaller ones after `FETCH_WAIT_MS`:
a fetch for each click would be a third of the broker's work, and nobody waits for those readers."""


def topic(name: str, tenant: str = "") -> str:
    """Return the name of a topic for a tenant."""
    return f"{tenant}.{name}" if tenant else name


def partitions(name: str) -> range:
    """Return the partitions of a topic; its name may begin with a tenant."""
    return range(TOPICS[name.rpartition(".")[2]].partitions)


def event_key(session_id: str, user_id: str) -> str:
    """Return the record key of an event: the session, else ``u:<user_id>``."""
    return session_id or f"u:{user_id}"


def redis_session_key(session_id: str, tenant: str = "") -> str:
    """Return the Redis key of a session's `SessionRecord`."""
    return f"{_redis_prefix(tenant)}s:{session_id}"


def redis_user_key(user_id: str, tenant: str = "") -> str:
    """Return the Redis key of the id of a user's current session."""
    return f"{_redis_prefix(tenant)}u:{user_id}"


def redis_profile_key(user_id: str, tenant: str = "") -> str:
    """Return the Redis key of a user's `Profile`."""
    return f"{_redis_prefix(tenant)}p:{user_id}"


def redis_store_key(tenant: str = "", of: str = SESSIONS) -> str:
    """Return the Redis key of the session store's positions in the log, in one of its topics."""
    return f"{_redis_prefix(tenant)}store" + ("" if of == SESSIONS else f"-{of}")


def _redis_prefix(tenant: str) -> str:
    return f"nextclick:{tenant}:" if tenant else "nextclick:"
