"""EventService: validates events and writes them to Kafka.

Nothing that it acknowledges becomes a dead letter for its time: times are judged when events come,
as far as the session is known here (docs/architecture.md says how far), and again by when they
arrived in Kafka.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from nextclick.codec import Event, InvalidEventError, encode_event
from nextclick.convert import event_from_proto
from nextclick.errors import FieldFault, listed
from nextclick.limits import MAX_PUT_EVENTS
from nextclick.times import TimeFault, compared_with_arrival
from nextclick.topics import EVENTS, topic
from nextclick.v1 import event_service_pb2 as pb
from server import metrics
from server.errors import RequestError
from server.kafka.acked_producer import AckedProducer
from server.replica.replica import Replica
from server.services.event_times import EventTimes
from server.services.requests import entries, parsed
from server.stages import UNTIMED, Untimed
from settings.server import ServerSettings

log = logging.getLogger("nextclick.events")


class Events:
    """Answers PutEvents; waits until the broker has acknowledged the events, or for the timeout."""

    def __init__(
        self,
        producer: AckedProducer,
        replica: Replica,
        settings: ServerSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._producer = producer
        self._times = EventTimes(replica.sessions, settings.session_life_ms)
        self._clock = clock
        self._topic = topic(EVENTS, settings.tenant)
        self._verbose = log.isEnabledFor(logging.DEBUG)

    def put_events(self, raw: bytes, timeout_s: float | None, stages: Untimed = UNTIMED) -> bytes:
        """Answer a PutEventsRequest: write the valid events; the response's errors have others."""
        stages.enter("validate")
        found = entries(raw, "events", MAX_PUT_EVENTS)
        response = pb.PutEventsResponse()
        now_ms = int(self._clock() * 1000)
        events: dict[int, Event] = {}
        records: list[tuple[str, bytes]] = []
        for index, entry in enumerate(found):
            try:
                event = event_from_proto(parsed(pb.Event, entry))
            except RequestError as e:
                _refuse(response, index, (FieldFault("record", e.message),))
                continue
            if not event.event_id:
                event = dataclasses.replace(event, event_id=uuid.uuid4().hex)
            try:
                record = event.key, encode_event(event)
            except InvalidEventError as e:
                _refuse(response, index, e.faults)
                continue
            wrong_time = self._times.fault(event, now_ms)
            if wrong_time is not None:
                _refuse(response, index, (_of_time(wrong_time),))
                continue
            events[index] = event
            records.append(record)
        stages.enter("kafka")
        outcomes = self._producer.put(self._topic, records, timeout_s) if records else []
        stages.enter("reply")
        unacknowledged = 0
        for (index, event), outcome in zip(events.items(), outcomes, strict=True):
            time_ms, arrived_ms = event.timestamp_ms, outcome.arrived_ms
            wrong_time = compared_with_arrival(time_ms, arrived_ms) if arrived_ms else None
            if outcome.error:
                text = f"Kafka: {outcome.error}; send the event again under the same event_id"
                response.errors.add(index=index, message=text, retryable=True)
                unacknowledged += 1
            elif wrong_time is not None:
                _refuse(response, index, (_of_time(wrong_time),))
            else:
                response.accepted += 1
        metrics.EVENTS.labels("accepted").inc(response.accepted)
        metrics.EVENTS.labels("refused").inc(len(found) - unacknowledged - response.accepted)
        metrics.EVENTS.labels("not_acknowledged").inc(unacknowledged)
        if self._verbose:
            for event in events.values():
                names = {"event": event.event_id, "session": event.key, "trace": stages.trace_id}
                log.debug("put a %s", event.type, extra=names)
        if stages.facts is not None:
            stages.facts |= {
                "nextclick.events": len(found),
                "nextclick.events.accepted": response.accepted,
            }
        return response.SerializeToString()


def _of_time(fault: TimeFault) -> FieldFault:
    return FieldFault("timestamp_ms", fault.detail)


def _refuse(response: pb.PutEventsResponse, index: int, faults: Sequence[FieldFault]) -> None:
    """Add an event that will not be sent again as it is."""
    found = [pb.FieldFault(field=f.field, description=f.description) for f in faults]
    response.errors.add(index=index, faults=found, message=listed(faults))
