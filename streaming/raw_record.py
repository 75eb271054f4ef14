"""A Kafka record as the pure functions of this room take it."""

from __future__ import annotations

from typing import NamedTuple


class RawRecord(NamedTuple):
    """A record as it lies in Kafka.

    ``topic`` is its name with the tenant; ``append_time_ms`` is the broker's time of arrival;
    ``replayed`` says that it carries the header of a replayed history.
    """

    value: bytes
    key: bytes
    topic: str
    partition: int
    offset: int
    append_time_ms: int
    replayed: bool = False
