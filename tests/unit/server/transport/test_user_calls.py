"""The calls of UserService over gRPC."""

import grpc
import pytest

from nextclick import User, decode_user, encode_user
from nextclick.v1 import user_service_pb2 as pb
from tests.unit.server.transport.served import LIMIT_S

FULL = pb.User(user_id="u", attributes={"plan": "gold"}, segments=["new"], consent=False)


def test_users_are_written_and_read(served):
    """What a caller puts must reach the topic, and come back from a replica that has read it."""
    put = pb.PutUsersRequest(users=[FULL, pb.User(user_id="v")])
    assert served.users.PutUsers(put, timeout=LIMIT_S).accepted == 2
    (topic, key, value), _ = served.producer.records
    assert (topic, key) == ("users", "u")
    assert decode_user(value) == User("u", {"plan": "gold"}, ("new",), consent=False)
    asked = pb.GetUsersRequest(user_ids=["unknown", "u"])
    assert not served.users.GetUsers(asked, timeout=LIMIT_S).users
    served.shop.replica.apply_user(b"u", value)
    assert list(served.users.GetUsers(asked, timeout=LIMIT_S).users) == [FULL]


def test_users_are_forgotten(served):
    """A deletion must be a record that the jobs read, too."""
    served.shop.replica.apply_user(b"u", encode_user(User("u")))
    request = pb.DeleteUsersRequest(user_ids=["u", "unknown"])
    assert served.users.DeleteUsers(request, timeout=LIMIT_S).accepted == 2
    (_, _, value), _ = served.producer.records
    assert decode_user(value) == User("u", deleted=True)
    served.shop.replica.apply_user(b"u", value)
    asked = pb.GetUsersRequest(user_ids=["u"])
    assert not served.users.GetUsers(asked, timeout=LIMIT_S).users


def test_faults_name_the_user(served):
    """In a batch of a thousand, the faulty one must be found; the others are not written."""
    users = [pb.User(user_id="a"), pb.User(segments=["x" * 65])]
    with pytest.raises(grpc.RpcError) as error:
        served.users.PutUsers(pb.PutUsersRequest(users=users), timeout=LIMIT_S)
    assert "users[1].user_id" in error.value.details()
    assert "users[1].segments[0]: has 65 bytes" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.users.DeleteUsers(pb.DeleteUsersRequest(user_ids=["a", ""]), timeout=LIMIT_S)
    assert "user_ids[1]:" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.users.GetUsers(pb.GetUsersRequest(user_ids=["x" * 257]), timeout=LIMIT_S)
    assert "user_ids[0]: has 257 bytes" in error.value.details()
    assert served.producer.records == []


@pytest.mark.parametrize(
    ("user", "told"),
    [
        (pb.User(), "users[1].user_id: is missing; send 1 to 256 bytes"),
        (pb.User(user_id="ü" * 129), "users[1].user_id: has 258 bytes; send at most 256"),
        (pb.User(user_id="a\0b"), "users[1].user_id: must not contain the character NUL"),
        (
            pb.User(user_id="u", attributes={f"k{n}": "" for n in range(33)}),
            "users[1].attributes: has 33 entries; send at most 32",
        ),
        (
            pb.User(user_id="u", attributes={"": "x"}),
            "users[1].attributes (a key): is missing; send 1 to 64 bytes",
        ),
        (
            pb.User(user_id="u", attributes={"k" * 65: "x"}),
            "users[1].attributes (a key): has 65 bytes; send at most 64",
        ),
        (
            pb.User(user_id="u", attributes={"plan": "x" * 257}),
            "users[1].attributes.plan: has 257 bytes; send at most 256",
        ),
        (
            pb.User(user_id="u", attributes={"plan": "a\0"}),
            "users[1].attributes.plan: must not contain the character NUL",
        ),
        (
            pb.User(user_id="u", segments=["s"] * 17),
            "users[1].segments: has 17 entries; send at most 16",
        ),
        (pb.User(user_id="u", segments=["new", ""]), "users[1].segments[1]: is missing"),
        (
            pb.User(user_id="u", attributes={f"k{n}": "\1" * 256 for n in range(32)}),
            None,
        ),
        (
            pb.User(
                user_id="u",
                attributes={f"{n:02}" + "\1" * 62: "\1" * 256 for n in range(32)},
                segments=["\1" * 64] * 16,
            ),
            "users[1].record: has",
        ),
    ],
)
def test_each_bad_field_is_refused_with_its_reason(served, user, told):
    """In the words of the field, of which one is enough to find it; and nobody is written."""
    request = pb.PutUsersRequest(users=[pb.User(user_id="good"), user])
    if told is None:
        assert served.users.PutUsers(request, timeout=LIMIT_S).accepted == 2
        return
    with pytest.raises(grpc.RpcError) as error:
        served.users.PutUsers(request, timeout=LIMIT_S)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert told in error.value.details()
    assert served.producer.records == []


@pytest.mark.parametrize("n", [0, 1_001])
def test_so_many_users_are_put_in_one_call(served, n):
    """None is a caller's bug, and what parses a million of them keeps all answers waiting."""
    request = pb.PutUsersRequest(users=[pb.User(user_id="u")] * n)
    with pytest.raises(grpc.RpcError) as error:
        served.users.PutUsers(request, timeout=LIMIT_S)
    assert "users: has" in error.value.details()
    assert "send 1 to 1000 in one call" in error.value.details()
    assert served.producer.records == []


def test_unacknowledged_users_are_to_be_sent_again(served):
    """A refusal of a profile that got lost must not look like one that was taken."""
    served.producer.gives_up = True
    with pytest.raises(grpc.RpcError) as error:
        served.users.PutUsers(pb.PutUsersRequest(users=[FULL]), timeout=LIMIT_S)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "1 of 1 users" in error.value.details()
    assert "u" not in error.value.details().split()
