"""The most memory that a replica takes, by what takes it."""

from __future__ import annotations

from online_models.content.basis import BASIS_BYTES
from online_models.content.vectors import FIT_BYTES, ROW_BYTES
from online_models.memory.layout import Limits
from online_models.sources.context_popularity import MOST_BYTES as CONTEXT_BYTES
from online_models.state_tables import max_bytes
from server.replica.catalogue_entries import MOST_BYTES
from server.replica.early_vectors import MOST_EARLY
from server.replica.held_vectors import MOST_HELD
from server.replica.log_reader import QUEUE_KB
from server.replica.profiles import ENTRY_BYTES as PROFILE_ENTRY_BYTES
from server.replica.profiles import MOST_ASKED, MOST_PROFILES
from server.replica.profiles import RECORD_BYTES as PROFILE_RECORD_BYTES
from server.replica.replica import Role
from server.replica.users import ENTRY_BYTES as USER_ENTRY_BYTES
from server.replica.users import MOST_USERS
from server.replica.users import RECORD_BYTES as USER_RECORD_BYTES

PROCESS_BYTES = 330_000_000
"""Python, libraries and compiled kernels."""

SESSION_BYTES = 640
"""Of a session beside its row in the tables: ids of session and user of 16 bytes each, its place in
the log, and what finds it by either id."""

RECORD_BYTES = 200
"""Of an item's record in the catalogue; measure that of your shop."""

ENTRY_BYTES = 200
"""Of an item beside its record and its rows."""

FACTS_BYTES = 100
"""Of what conditions find an item by, with two categories; 340 with five facts and two numbers.
Each further fact takes some 10 bytes, one that no other item has 300 more, each number 100."""

INDEX_BYTES = 2 * 768 + 256
"""Of an item in the vector index: vector and links twice, since a rebuild makes a new one beside
the old one, and the vector to which the delta is compared."""

CONTENT_BYTES = ROW_BYTES + 2 * (768 + 262)
"""Of an item's content: its terms; its vector and its links in the index, twice, since another
basis makes all of them anew."""

EARLY_BYTES, HELD_BYTES = 570, 520
"""Of a record of `vectors` that came before its item had a row; of one that an emitter holds."""

KNOWN_BYTES = 9_000
"""Of what answers need of a user who has asked: some 50 items, 20 purchases."""

FITTING_BYTES = 2 * BASIS_BYTES + FIT_BYTES
"""Of two bases, and of a fit, if items have as many terms as there may be."""

ONLY_LEARNERS = ("token_vectors", "token_sums", "replay_features")
"""Tables that a replica never touches: its pages of them take no memory."""


def most_bytes(
    limits: Limits,
    role: Role = Role.SERVER,
    record_bytes: int = RECORD_BYTES,
    max_users: int = MOST_USERS,
    max_profiles: int = MOST_PROFILES,
) -> dict[str, int]:
    """Return the most bytes that each part of a replica takes, whose sum is its process's memory.

    Parameters
    ----------
    limits
        Items and sessions of the models.
    role
        A server has an index, an emitter holds vectors.
    record_bytes
        Bytes of an item's record in the catalogue.
    max_users
        The most users in memory.
    max_profiles
        The most profiles in memory.
    """
    server = role is Role.SERVER
    return {
        "process": PROCESS_BYTES,
        "models": max_bytes(limits, but=ONLY_LEARNERS),
        "sessions": limits.max_sessions * SESSION_BYTES,
        "catalogue": limits.max_items * (record_bytes + ENTRY_BYTES + FACTS_BYTES),
        "contexts": CONTEXT_BYTES,
        "users": max_users * (USER_RECORD_BYTES + USER_ENTRY_BYTES),
        "profiles": max_profiles * (PROFILE_RECORD_BYTES + PROFILE_ENTRY_BYTES)
        + MOST_ASKED * KNOWN_BYTES,
        "index": limits.max_items * INDEX_BYTES if server else 0,
        "content": limits.max_items * CONTENT_BYTES + FITTING_BYTES,
        "held vectors": 0 if server else MOST_HELD * HELD_BYTES,
        "queues": 2 * MOST_BYTES + MOST_EARLY * EARLY_BYTES + 1_024 * QUEUE_KB,
    }
