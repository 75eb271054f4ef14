"""No line of the log that is not for debugging names a session or a user."""

import logging
from functools import partial

import grpc
import pytest

from nextclick import User, encode_user
from nextclick.topics import SESSIONS, USERS
from nextclick.v1 import event_service_pb2, user_service_pb2
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from server.replica import log_reader
from server.services import impression_recorder, recommendation
from settings.log_lines import JsonLines
from settings.server import ServerSettings
from streaming.session_batch import Batch
from streaming.session_writer import SessionWriter
from tests.unit.server.replica.played_log import FakeBroker, FakeConsumer, Message, record, until
from tests.unit.server.transport.served import LIMIT_S, Served, now
from tests.unit.streaming.fake_redis import FakeRedis

SESSION, USER = "marked-session", "marked-user"


@pytest.fixture
def lines():
    """What the log says, as a server writes it."""
    formatter, said = JsonLines("server", ""), []

    class Kept(logging.Handler):
        def emit(self, record):
            said.append(formatter.format(record))

    ours, handler = logging.getLogger("nextclick"), Kept()
    level = ours.level
    ours.addHandler(handler)
    yield said
    ours.removeHandler(handler)
    ours.setLevel(level)


def fails(*args):
    """Fail with a text that quotes what it was given, as a lookup does."""
    raise KeyError(SESSION, USER, *args)


def answer(served, lines, monkeypatch):
    """Ask for a session's answer, and a user's; then have answers and their records fail."""

    def lost(n):
        return sum("an impression was lost" in line for line in lines) == n

    for n, visitor in enumerate(({"session_id": SESSION}, {"user_id": USER}), 1):
        request = pb.RecommendRequest(session_items=["i4"], **visitor)
        served.answers.Recommend(request, timeout=LIMIT_S)
        served.answers.BatchRecommend(pb.BatchRecommendRequest(requests=[request]), timeout=LIMIT_S)
        with monkeypatch.context() as patched:
            patched.setattr(served.shop.impressions, "put", fails)
            served.answers.Recommend(request, timeout=LIMIT_S)
            until(partial(lost, n))
        with monkeypatch.context() as patched:
            patched.setattr(served.shop.replica.engine, "recommend", fails)
            with pytest.raises(grpc.RpcError) as error:
                served.answers.Recommend(request, timeout=LIMIT_S)
            assert error.value.code() is grpc.StatusCode.INTERNAL


def put(served):
    """Put events: good ones, one that is invalid, and one that Kafka does not take."""
    good = {"type": "view", "item_id": "a", "timestamp_ms": now()}
    events = [
        event_service_pb2.Event(session_id=SESSION, **good),
        event_service_pb2.Event(user_id=USER, **good),
        event_service_pb2.Event(session_id=SESSION, type="view", timestamp_ms=1),
    ]
    request = event_service_pb2.PutEventsRequest(events=events)
    served.events.PutEvents(request, timeout=LIMIT_S)
    served.producer.gives_up = True
    served.events.PutEvents(request, timeout=LIMIT_S)


def put_and_forget_users(served):
    """Put the user, whom Kafka does not take, and one that is invalid; forget both."""
    user = user_service_pb2.User(user_id=USER, segments=[USER], attributes={"name": USER})
    faulty = user_service_pb2.User(user_id=USER, segments=[99 * USER])
    for users in ([user], [user, faulty]):
        request = user_service_pb2.PutUsersRequest(users=users)
        with pytest.raises(grpc.RpcError):
            served.users.PutUsers(request, timeout=LIMIT_S)
    forgotten = user_service_pb2.DeleteUsersRequest(user_ids=[USER])
    with pytest.raises(grpc.RpcError):
        served.users.DeleteUsers(forgotten, timeout=LIMIT_S)
    served.producer.gives_up = False
    served.users.DeleteUsers(forgotten, timeout=LIMIT_S)


def read_the_log(served, monkeypatch):
    """Read records of session and user: some that cannot be used, and some that meet a bug."""
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
    monkeypatch.setattr(log_reader, "Broker", FakeBroker)
    monkeypatch.setattr(served.shop.replica.sessions, "apply", fails)
    it = log_reader.LogReader(served.shop.replica, ServerSettings())
    unusable = SessionRecord(session_id=SESSION, version=1, user_id=99 * USER)
    it._apply_one(Message(SESSIONS, 0, 0, record(SESSION, "x")))
    it._apply_one(Message(SESSIONS, 0, 1, unusable.SerializeToString()))
    monkeypatch.setattr(served.shop.replica.users, "put", fails)
    it._apply_one(Message(USERS, 0, 0, encode_user(User(USER, segments=(USER,)))))
    it._apply_one(Message(USERS, 0, 1, encode_user(User(USER)).replace(b'"v":1', b'"v":[1]')))
    served.shop.replica.refused.report()
    assert [refused.reason for refused in served.shop.replica.refused.latest] == [
        "failed",
        "invalid",
        "failed",
        "invalid",
    ]


def store():
    """Write the session to a Redis in which its key is another program's."""
    batch = Batch()
    batch.add(0, 0, SESSION.encode(), record(SESSION, "x"))
    batch.add(0, 1, SESSION.encode(), b"\xff" + SESSION.encode())
    writer = SessionWriter(FakeRedis(foreign=1), "", 60)
    writer.begin()
    assert writer.write(batch)


def everything(lines, monkeypatch):
    """Do all that has to do with a visitor, and have it fail."""
    served = Served()
    try:
        answer(served, lines, monkeypatch)
        put(served)
        put_and_forget_users(served)
        read_the_log(served, monkeypatch)
        store()
    finally:
        served.close()


def test_no_line_but_those_for_debugging_names_a_session_or_a_user(lines, monkeypatch):
    """Logs are kept for longer, and read by more people, than an erased visitor agreed to."""
    logging.getLogger("nextclick").setLevel(logging.INFO)
    everything(lines, monkeypatch)
    said = "\n".join(lines)
    for what in (
        "Recommend failed",
        "an impression was lost",
        "passing over sessions-0 at 0: failed: KeyError",
        "passing over sessions-0 at 1",
        "passing over users-0 at 0: failed: KeyError",
        "passing over users-0 at 1",
        "DeleteUsers of 1 users: OK",
        "passing over the record 0-1",
        "left alone 1 keys",
    ):
        assert what in said
    assert "KeyError" in said
    assert [line for line in lines if "marked" in line] == []


def test_lines_for_debugging_name_the_session_of_each_call(lines, monkeypatch):
    """Who looks into one visitor's answers turns them on, and finds answers and events."""
    logging.getLogger("nextclick").setLevel(logging.DEBUG)
    for module in (recommendation, impression_recorder):
        assert module.log.isEnabledFor(logging.DEBUG)
    everything(lines, monkeypatch)
    of_session = [line for line in lines if f'"session": "{SESSION}"' in line]
    assert any("answered with 20 items" in line for line in of_session)
    assert any("put a view" in line for line in of_session)
    assert any("the last key that is not ours" in line and SESSION in line for line in lines)
