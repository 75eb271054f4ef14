"""What the pure functions in `streaming` return: what a job publishes, hands over, or waits for."""

from __future__ import annotations

from typing import NamedTuple

from streaming.raw_record import RawRecord


class Output(NamedTuple):
    """A record to publish.

    ``topic`` is the topic's name without tenant; an empty ``value`` is a tombstone; ``headers`` are
    lines of ``name=value``.
    """

    topic: str
    key: bytes
    value: bytes
    headers: str = ""


class Handover(NamedTuple):
    """A record for the job's next operator, and the text that it is keyed by there."""

    key: str
    record: RawRecord


class Wake(NamedTuple):
    """Look at the key again at a time on Flink's clock, and not at the one named before."""

    at_ms: int
    instead_of_ms: int = 0
