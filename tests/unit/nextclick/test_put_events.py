"""Sending events: what is tried again, under which id, and what the caller learns."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

import nextclick
from nextclick import Event, FieldFault
from nextclick.v1 import event_service_pb2 as event_pb
from tests.unit.nextclick.fake_server import Fake

CLICK = Event(type="click", item_id="a", timestamp_ms=1_700_000_000_000, session_id="s")


def test_unavailable_is_retried_under_one_event_id(client: Any, fake: Fake) -> None:
    """If it failed, a click sent through a server's restart would be lost or count twice."""
    down = grpc.StatusCode.UNAVAILABLE
    fake.answers = [down, down, event_pb.PutEventsResponse(accepted=2)]
    result = client.put_events([CLICK, CLICK])
    assert result == nextclick.PutResult(2, ())
    ids = [[event.event_id for event in request.events] for request in fake.requests]
    assert len(ids) == 3
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 2
    assert all(ids[0])


def test_only_unacknowledged_events_are_sent_again(client: Any, fake: Fake) -> None:
    """If it failed, one slow partition would make a backend send everything twice, or lose it."""
    first = event_pb.PutEventsResponse(
        accepted=1,
        errors=[
            event_pb.EventError(index=0, message="broker", retryable=True),
            event_pb.EventError(
                index=2, message="x", faults=[event_pb.FieldFault(field="f", description="d")]
            ),
        ],
    )
    fake.answers = [first, event_pb.PutEventsResponse(accepted=1)]
    result = client.put_events(
        [Event("click", item, 1_700_000_000_000, "s", event_id=item) for item in "abc"]
    )
    assert [[e.event_id for e in r.events] for r in fake.requests] == [["a", "b", "c"], ["a"]]
    assert result.accepted == 2
    (error,) = result.errors
    assert (error.index, error.faults, error.retryable) == (2, (FieldFault("f", "d"),), False)


def test_events_that_the_broker_never_takes_come_back_with_their_id(
    client_type: Any, fake: Fake, target: str
) -> None:
    """If it failed, a backend could not send them again without counting some twice."""
    fake.answers = [
        event_pb.PutEventsResponse(
            accepted=0, errors=[event_pb.EventError(index=0, message="broker", retryable=True)]
        )
    ]
    with client_type(target, timeout_s=60.0, retries=1) as client:
        result = client.put_events([CLICK])
    assert (result.accepted, len(fake.requests)) == (0, 2)
    (error,) = result.errors
    assert error.retryable
    assert error.event.event_id == fake.requests[0].events[0].event_id != ""


def test_server_lost_between_attempts_leaves_a_result(client: Any, fake: Fake) -> None:
    """If it failed, events that were taken would be reported as failed."""
    fake.answers = [
        event_pb.PutEventsResponse(
            accepted=1, errors=[event_pb.EventError(index=1, message="broker", retryable=True)]
        ),
        grpc.StatusCode.INTERNAL,
    ]
    result = client.put_events([CLICK, CLICK])
    assert result.accepted == 1
    assert [(e.index, e.retryable) for e in result.errors] == [(1, True)]


def test_faulty_events_are_named_and_the_others_sent(client: Any, fake: Fake) -> None:
    """If it failed, one bad event would hold up a batch, or go out to be a dead letter."""
    fake.answers = [event_pb.PutEventsResponse(accepted=1)]
    result = client.put_events([Event("", "", 0, session_id="s"), CLICK])
    assert result.accepted == 1
    assert [f.field for f in result.errors[0].faults] == ["type", "item_id", "timestamp_ms"]
    assert [len(request.events) for request in fake.requests] == [1]


@pytest.mark.parametrize("count", [0, 1_001])
def test_batches_out_of_range_are_refused(client: Any, fake: Fake, count: int) -> None:
    """If it failed, the server would refuse them after the way there."""
    with pytest.raises(nextclick.InvalidRequestError, match="send 1 to 1000"):
        client.put_events([CLICK] * count)
    assert fake.requests == []


def test_ids_can_be_given_before(client: Any, fake: Fake) -> None:
    """If it failed, events sent again after an error would count twice."""
    events = nextclick.with_event_ids([CLICK, Event("view", "b", 5, "s", event_id="mine")])
    fake.answers = [event_pb.PutEventsResponse(accepted=2)]
    client.put_events(events)
    client.put_events(events)
    ids = [[event.event_id for event in request.events] for request in fake.requests]
    assert ids[0] == ids[1] == [events[0].event_id, "mine"]


def test_server_that_never_answers_is_an_error(client_type: Any, fake: Fake, target: str) -> None:
    """If it failed, a batch with one faulty event would hide that the server is away."""
    fake.answers = [grpc.StatusCode.UNAVAILABLE]
    with (
        client_type(target, timeout_s=60.0, retries=1) as client,
        pytest.raises(nextclick.UnavailableError),
    ):
        client.put_events([CLICK, Event("", "a", 5, "s")])
