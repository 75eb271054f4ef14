"""Each method of the services is a method of both clients, which drops nothing and may be locked.

What the calls send and return in particular is in `test_client.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

import nextclick
from nextclick import AsyncClient, Client, calls
from tests.unit.nextclick.every_call import EVERY_CALL, METHODS, empty_response
from tests.unit.nextclick.fake_server import Fake, serving

LEFT_OUT = {
    "FeatureService/GetFeatures: vectors.values.number": "a feature that has texts has no number",
    "EventService/PutEvents: accepted": "PutResult.accepted counts over all attempts",
    "UserService/GetProfiles: profiles.profile.incarnation": "orders the job's records",
    "UserService/GetProfiles: profiles.profile.merged.session_id": "how far the job has read",
    "UserService/GetProfiles: profiles.profile.merged.incarnation": "how far the job has read",
    "UserService/GetProfiles: profiles.profile.merged.version": "how far the job has read",
    "UserService/GetProfiles: profiles.profile.merged.appended_ms": "how far the job has read",
}
"""Fields of responses that no result carries, and why."""

ASYNC = {
    "Generator[Recommendation, None, None]": "AsyncGenerator[Recommendation, None]",
    "Iterable[str | RecommendRequest]": (
        "Iterable[str | RecommendRequest] | AsyncIterable[str | RecommendRequest]"
    ),
    "Client": "AsyncClient",
}
"""Types that differ between the clients."""


def test_every_method_of_the_services_can_be_called(client: Any, fake: Fake) -> None:
    """If it failed, a method would be served that no backend in Python can call."""
    assert set(EVERY_CALL) == set(METHODS)
    for name, call in EVERY_CALL.items():
        fake.answers = [empty_response(name)]
        call(client)
        assert fake.methods[-1] == f"/nextclick.v1.{name}"


@pytest.mark.parametrize("name", EVERY_CALL)
def test_every_call_carries_the_token(client_type: Any, fake: Fake, name: str) -> None:
    """If it failed, a locked server would refuse its own backends, or not say why."""
    fake.answers = [empty_response(name)]
    with serving(fake, token="secret") as target:
        with client_type(target, token="secret", timeout_s=60.0) as client:
            EVERY_CALL[name](client)
        assert len(fake.requests) == 1
        with (
            client_type(target, timeout_s=60.0) as client,
            pytest.raises(nextclick.InvalidRequestError, match="token"),
        ):
            EVERY_CALL[name](client)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("token", ["secret\n", "sec ret", " secret", "s\u00e9cret", "secret\x00"])
def test_what_cannot_be_a_token_is_refused_and_not_quoted(client_type: Any, token: str) -> None:
    """If it failed, a token that was read with its line's end would be in logs, and why in none."""
    with pytest.raises(nextclick.InvalidRequestError, match="strip what was read") as raised:
        client_type("127.0.0.1:1", token=token)
    assert token.strip() not in str(raised.value)


@pytest.mark.parametrize("name", EVERY_CALL)
def test_every_field_of_a_response_reaches_the_caller(
    client_type: Any, fake: Fake, target: str, name: str
) -> None:
    """If it failed, the server would tell something that the client keeps to itself."""

    def result(response: Message) -> Any:
        fake.answers = [response]
        return EVERY_CALL[name](client)

    response = empty_response(name)
    _fill(response)
    with client_type(target, timeout_s=60.0, retries=0) as client:
        same = {
            f"{name}: {path}"
            for path, one, other in _pairs(response)
            if result(one) == result(other)
        }
    assert same == {left_out for left_out in LEFT_OUT if left_out.startswith(f"{name}:")}


def test_both_clients_have_the_same_methods() -> None:
    """If it failed, a service could not move from threads to asyncio by adding `await`."""
    blocking, asynchronous = _methods(Client), _methods(AsyncClient)
    assert list(blocking) == list(asynchronous)
    for name, signature in blocking.items():
        other = asynchronous[name]
        expected = [p.replace(annotation=_async(p)) for p in signature.parameters.values()]
        assert list(other.parameters.values()) == expected, name
        assert other.return_annotation == ASYNC.get(
            signature.return_annotation, signature.return_annotation
        ), name
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_each_call_is_declared_once_under_its_method_s_name() -> None:
    """If it failed, the clients could drift apart in what they send."""
    declared = {
        name
        for name, value in vars(calls).items()
        if inspect.isfunction(value) and value.__module__ == calls.__name__ and name[0] != "_"
    }
    # Events have retries of their own, in `nextclick.batch`.
    assert declared == set(_methods(Client)) - {"close", "put_events"}


def _methods(client: type[Any]) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method) for name, method in vars(client).items() if name[0] != "_"
    }


def _async(parameter: inspect.Parameter) -> Any:
    return ASYNC.get(parameter.annotation, parameter.annotation)


ZERO_ONE_OTHER = {
    FieldDescriptor.CPPTYPE_STRING: ("", "a", "b"),
    FieldDescriptor.CPPTYPE_BOOL: (False, False, True),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2),
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, 0.5, 0.25),
    FieldDescriptor.CPPTYPE_DOUBLE: (0.0, 0.5, 0.25),
}
"""The default of a type and two different values; integers have 0, 1 and 0."""


def _values(field: FieldDescriptor) -> tuple[Any, Any, Any]:
    return ZERO_ONE_OTHER.get(field.cpp_type, (0, 1, 0))


def _map_values(field: FieldDescriptor) -> tuple[Any, Any, Any] | None:
    """Return `_values` of what a map holds; None if the field is no map."""
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    return _values(entry.fields_by_name["value"])


def _fill(message: Message) -> None:
    """Set every field, lists and maps to one entry."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        repeated = field.label == FieldDescriptor.LABEL_REPEATED
        if (held := _map_values(field)) is not None:
            value["a"] = held[1]
        elif field.message_type is not None:
            _fill(value.add() if repeated else value)
        elif repeated:
            value.append(_values(field)[1])
        else:
            setattr(message, field.name, _values(field)[1])


def _pairs(message: Message) -> Iterator[tuple[str, Message, Message]]:
    """Yield, for each field at any depth, its path and two messages that differ in it alone."""
    for field in message.DESCRIPTOR.fields:
        name, value = field.name, getattr(message, field.name)
        repeated = field.label == FieldDescriptor.LABEL_REPEATED
        other = _copy(message)
        place = getattr(other, name)
        if (held := _map_values(field)) is not None:
            place["a"] = held[2]
        elif field.message_type is not None:
            for path, *inner in _pairs(value[0] if repeated else value):
                outer = [_copy(message), _copy(message)]
                for whole, part in zip(outer, inner, strict=True):
                    into = getattr(whole, name)
                    (into[0] if repeated else into).CopyFrom(part)
                yield f"{name}.{path}", outer[0], outer[1]
            continue
        elif repeated:
            place[0] = _values(field)[2]
        else:
            setattr(other, name, _values(field)[2])
            if field.has_presence:
                unset, zero = _copy(message), _copy(message)
                unset.ClearField(name)
                setattr(zero, name, _values(field)[0])
                yield f"{name} (unset)", unset, zero
        yield name, message, other


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
