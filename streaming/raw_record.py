"""A Kafka record, as the pure functions in `streaming` take it."""

from __future__ import annotations

from typing import NamedTuple


class RawRecord(NamedTuple):
    """A record as it is stored in Kafka.

    ``topic`` is the topic's name with tenant; ``append_time_ms`` is the broker's time of arrival;
    ``replayed`` says whether the record has the header of a replayed history.
    """

    value: bytes
    key: bytes
    topic: str
    partition: int
    offset: int
    append_time_ms: int
    replayed: bool = False
