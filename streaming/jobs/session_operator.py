"""The Flink operator around `sessionize.process`: a record and its key's state in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import StateTtlConfig, ValueStateDescriptor

from nextclick.topics import DEAD_LETTERS, SESSIONS, topic
from streaming.jobs.flink import raw_record
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, RatingThresholds, process

MAX_DETAIL = 1_000
"""Characters of a dead letter's detail that its header keeps."""


class Sessionize(KeyedProcessFunction):
    """Turns raw events into session records and dead letters."""

    def __init__(self, tenant: str, ratings: RatingThresholds, ttl_hours: int) -> None:
        self._sessions = topic(SESSIONS, tenant)
        self._dead_letters = topic(DEAD_LETTERS, tenant)
        self._ratings = ratings
        self._ttl_hours = ttl_hours

    def open(self, runtime_context: RuntimeContext) -> None:
        """Declare the state; it expires by processing time after its last change."""
        descriptor = ValueStateDescriptor("session", Types.PICKLED_BYTE_ARRAY())
        descriptor.enable_time_to_live(
            StateTtlConfig.new_builder(Time.hours(self._ttl_hours)).build()
        )
        self._state = runtime_context.get_state(descriptor)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Process one record (see ``Records.recordType``)."""
        raw = raw_record(value)
        before = self._state.value()
        after, outcome = process(before, raw, self._ratings)
        if isinstance(outcome, DeadLetter):
            yield Row(self._dead_letters, raw.key, raw.value, headers(outcome, raw))
            return
        self._state.update(after)
        yield Row(self._sessions, outcome.session_id.encode(), outcome.record, "")


def headers(letter: DeadLetter, raw: RawRecord) -> str:
    """Return the headers of a dead letter as lines of ``name=value``."""
    detail = letter.detail[:MAX_DETAIL].encode("utf-8", "replace").decode()
    fields: dict[str, Any] = {
        "reason": letter.reason,
        "detail": " ".join(detail.split()),
        "topic": raw.topic,
        "partition": raw.partition,
        "offset": raw.offset,
    }
    return "\n".join(f"{name}={value}" for name, value in fields.items())
