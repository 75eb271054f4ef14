"""A record that a job publishes, as the pure functions in `streaming` return it."""

from __future__ import annotations

from typing import NamedTuple


class Output(NamedTuple):
    """A record to publish.

    ``topic`` is the topic's name without tenant; an empty ``value`` is a tombstone; ``headers`` are
    lines of ``name=value``.
    """

    topic: str
    key: bytes
    value: bytes
    headers: str = ""
