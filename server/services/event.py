"""EventService: validates events and writes them to Kafka."""

from __future__ import annotations

import dataclasses
import uuid

from nextclick.codec import InvalidEventError, encode_event
from nextclick.convert import event_from_proto
from nextclick.errors import FieldFault
from nextclick.limits import MAX_PUT_EVENTS
from nextclick.topics import EVENTS, topic
from nextclick.v1 import event_service_pb2 as pb
from server import metrics
from server.errors import RequestError
from server.kafka.acked_producer import AckedProducer


class Events:
    """Answers PutEvents; waits until the broker has acknowledged the events, or for the timeout."""

    def __init__(self, producer: AckedProducer, tenant: str) -> None:
        self._producer = producer
        self._topic = topic(EVENTS, tenant)

    def put_events(
        self, request: pb.PutEventsRequest, timeout_s: float | None
    ) -> pb.PutEventsResponse:
        """Write the valid events of a request; the others are in the response's errors."""
        n = len(request.events)
        if not 1 <= n <= MAX_PUT_EVENTS:
            fault = FieldFault("events", f"has {n} events; send 1 to {MAX_PUT_EVENTS} in one call")
            raise RequestError("", [fault])
        response = pb.PutEventsResponse()
        places: list[int] = []
        records: list[tuple[str, bytes]] = []
        for index, message in enumerate(request.events):
            event = event_from_proto(message)
            if not event.event_id:
                event = dataclasses.replace(event, event_id=uuid.uuid4().hex)
            try:
                records.append((event.key, encode_event(event)))
                places.append(index)
            except InvalidEventError as e:
                faults = [pb.FieldFault(field=f.field, description=f.description) for f in e.faults]
                response.errors.add(index=index, faults=faults, message=str(e))
        outcomes = self._producer.put(self._topic, records, timeout_s) if records else []
        for index, error in zip(places, outcomes, strict=True):
            if error:
                message_text = f"Kafka: {error}; send the event again under the same event_id"
                response.errors.add(index=index, message=message_text, retryable=True)
            else:
                response.accepted += 1
        metrics.EVENTS.labels("accepted").inc(response.accepted)
        metrics.EVENTS.labels("refused").inc(n - len(records))
        metrics.EVENTS.labels("not_acknowledged").inc(len(records) - response.accepted)
        return response
