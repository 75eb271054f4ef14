"""Users as records: what is taken, what is refused, in which words."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from nextclick import InvalidEventError, InvalidRequestError, User, decode_user, encode_user
from nextclick.calls import put_users
from nextclick.convert import user_from_proto, user_to_proto
from nextclick.limits import MAX_ATTRIBUTES, MAX_ID_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS
from nextclick.v1 import user_service_pb2

FULL = User("ü-1", {"plan": "gold", "language": "de"}, ("new", "berlin"), consent=False)


def record(**fields: Any) -> bytes:
    return orjson.dumps({"v": 1, "user_id": "u"} | fields)


@pytest.mark.parametrize("user", [User("u"), FULL, User("gone", deleted=True)])
def test_a_user_survives_its_record(user: User) -> None:
    """If it failed, servers and jobs would know another user than was put."""
    assert decode_user(encode_user(user)) == user


def test_a_user_survives_its_message() -> None:
    """If it failed, PutUsers or GetUsers would lose a field."""
    assert user_from_proto(user_to_proto(FULL)) == FULL
    assert {f.name for f in user_service_pb2.User.DESCRIPTOR.fields} == {
        f.name for f in dataclasses.fields(User)
    } - {"deleted"}


def test_consent_that_is_not_said_is_given() -> None:
    """If it failed, a user whose language was put would lose the profile."""
    assert user_from_proto(user_service_pb2.User(user_id="u")).consent is True
    assert user_from_proto(user_service_pb2.User(user_id="u", consent=False)).consent is False
    assert decode_user(record()).consent is True
    assert decode_user(record(consent=False)).consent is False


def test_a_record_has_the_documented_form() -> None:
    """If it failed, jobs in other languages would not find the refusal of a profile."""
    assert orjson.loads(encode_user(FULL)) == {
        "v": 1,
        "user_id": "ü-1",
        "state": "active",
        "attributes": {"plan": "gold", "language": "de"},
        "segments": ["new", "berlin"],
        "consent": False,
    }
    assert orjson.loads(encode_user(User("u", deleted=True)))["state"] == "deleted"


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"user_id": ""}, ["user_id"]),
        ({"user_id": "x" * (MAX_ID_BYTES + 1)}, ["user_id"]),
        ({"attributes": {str(n): "" for n in range(MAX_ATTRIBUTES + 1)}}, ["attributes"]),
        ({"attributes": {"plan": 7}}, ["attributes.plan"]),
        ({"attributes": ["plan"]}, ["attributes"]),
        ({"segments": ["s"] * (MAX_SEGMENTS + 1)}, ["segments"]),
        ({"segments": ["a", "x" * (MAX_SEGMENT_BYTES + 1), ""]}, ["segments[1]", "segments[2]"]),
        ({"segments": "new"}, ["segments"]),
        ({"consent": "no"}, ["consent"]),
        ({"consent": 0, "state": "away"}, ["consent", "state"]),
    ],
)
def test_all_faults_are_named(fields: dict[str, Any], faulty: list[str]) -> None:
    """If it failed, "no" would pass as consent, or a caller would look for the mistake."""
    with pytest.raises(InvalidEventError) as caught:
        decode_user(record(**fields))
    assert [fault.field for fault in caught.value.faults] == faulty


def test_the_longest_user_is_taken() -> None:
    """If it failed, a user within all documented limits would be refused."""
    longest = User(
        "x" * MAX_ID_BYTES,
        {f"{n:064}": "v" * 256 for n in range(MAX_ATTRIBUTES)},
        tuple(f"{n:064}" for n in range(MAX_SEGMENTS)),
    )
    assert decode_user(encode_user(longest)) == longest


def test_the_client_names_faulty_users_by_their_places() -> None:
    """If it failed, one of a thousand users would have to be looked for."""
    with pytest.raises(InvalidRequestError) as caught:
        put_users([User("a"), User("", segments=("",)), User("gone", deleted=True)])
    assert [fault.field for fault in caught.value.faults] == [
        "users[1].user_id",
        "users[1].segments[0]",
        "users[2].deleted",
    ]
