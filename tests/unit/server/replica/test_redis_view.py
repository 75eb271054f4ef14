"""Redis as requests see it: away, hanging and back, without a request that waits for it."""

import socket
import threading
import time
from collections import deque

from prometheus_client import REGISTRY

from nextclick.v1.session_pb2 import SessionRecord
from server.replica.redis_view import UNREAD, Question, RedisView, Stored
from settings.redis import RedisSettings


class Stub:
    """Speaks just enough of Redis's protocol, and can fall silent; counts what it is sent."""

    def __init__(self, value=b""):
        self.value, self.silent, self.commands = value, False, 0
        self.refuses, self.connections = b"", 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self._server.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        while data := connection.recv(65_536):
            self.commands += 1
            if self.silent:
                continue
            value = b"$%d\r\n%s\r\n" % (len(self.value), self.value)
            if self.refuses:
                value = b"-%s\r\n" % self.refuses
            connection.sendall(value * data.count(b"HGET"))


def view_of(stub, timeout_ms=10_000):
    view = RedisView(RedisSettings(redis=stub.url), "", timeout_ms)
    view.check()
    return view


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def not_asked():
    labels = {"outcome": "not_asked"}
    return REGISTRY.get_sample_value("nextclick_redis_reads_total", labels) or 0


def read(view, *questions):
    return view.read(questions or [Question("s")])


def asks(view):
    [stored] = read(view)
    return stored.complete


def test_a_session_is_read_as_the_store_wrote_it():
    """The two sides of Redis must agree on key and form."""
    record = SessionRecord(session_id="s", version=3)
    view = view_of(Stub(record.SerializeToString()))
    assert read(view) == [Stored("s", record)]


def test_many_visitors_are_read_in_two_round_trips():
    """A batch of unknown visitors must not cost a round trip for each."""
    stub = Stub(b"s")
    view = view_of(stub)
    stub.commands = 0
    asked = [Question(f"s{n}") for n in range(50)] + [Question("", "user"), Question("t", "user")]
    found = read(view, *asked)
    assert [stored.session_id for stored in found] == [f"s{n}" for n in range(50)] + ["s", "s"]
    assert all(stored.complete for stored in found)
    assert stub.commands <= 2 * len(asked) / 10


def test_a_key_of_another_kind_is_no_session():
    """In a shared Redis, another program's list under our key must not switch Redis off for all."""
    stub = Stub()
    stub.refuses = b"WRONGTYPE Operation against a key holding the wrong kind of value"
    view = view_of(stub)
    assert read(view, Question("s"), Question("", "u")) == [Stored("s"), Stored("")]
    assert view.up


def test_what_redis_refuses_to_tell_is_not_taken_for_nothing():
    """A visitor whose slot has moved would be taken for a new one, and no answer would say so."""
    stub = Stub()
    view = view_of(stub)
    stub.refuses = b"MOVED 1 127.0.0.1:1"
    assert read(view, Question("s"), Question("", "u")) == [UNREAD, UNREAD]
    assert view.up, "it answers: the others are asked"


def test_a_user_without_the_right_to_read_is_told(caplog):
    """It looked like a Redis that knows nobody."""
    stub = Stub()
    stub.refuses = b"NOPERM this user has no permissions to run the 'hget' command"
    view = view_of(stub)
    assert read(view) == [UNREAD]
    assert "Redis: this user has no permissions to run" in caplog.text


def test_a_request_never_makes_a_connection():
    """With TLS and a user that takes longer than a request may wait."""
    stub = Stub(SessionRecord(session_id="s").SerializeToString())
    view = view_of(stub)
    made = stub.connections
    for _ in range(20):
        assert asks(view)
    assert stub.connections == made
    [ready] = view._ready.values()
    in_use, ready._ready = ready._ready, deque()
    assert not asks(view)
    assert stub.connections == made
    ready._ready = in_use
    assert asks(view)
    stub.silent = True
    ready._timeout_s = 0.001
    assert not asks(view)
    stub.silent = False
    assert not asks(view)
    assert stub.connections == made
    view.check()
    assert stub.connections > made


def test_bytes_that_are_no_record_are_no_session():
    """Another program's value under our key must not break an answer."""
    assert read(view_of(Stub(b"\xff\xff\xff"))) == [Stored("s")]


def test_a_server_starts_while_redis_is_away():
    """Constructors do not connect: a dead cache must not keep a replica from starting."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    view = RedisView(RedisSettings(redis=f"redis://127.0.0.1:{port}/0"), "", 50)
    assert read(view) == [UNREAD]
    view.check()
    assert read(view) == [UNREAD]


def test_requests_do_not_wait_for_a_redis_that_hangs_and_ask_again_when_it_is_back():
    """One request may find out; the others go on without Redis until the watch sees it back."""
    stub = Stub(SessionRecord(session_id="s", version=1).SerializeToString())
    view = view_of(stub, 1_000)
    assert asks(view)
    stub.silent = True
    assert not asks(view)
    before = not_asked()
    for _ in range(100):
        assert not asks(view)
    assert not_asked() - before == 100
    up = lambda: REGISTRY.get_sample_value("nextclick_redis_up")  # noqa: E731
    view.start()
    stub.silent = False
    wait_for(lambda: asks(view) and up() == 1)
    stub.silent = True
    wait_for(lambda: not view.up and up() == 0)
    view.close()


def test_why_redis_does_not_answer_is_logged_once(caplog):
    """A wrong password looked like a server that knows nobody."""
    view = RedisView(RedisSettings(), "", 1_000)
    for why in ("", "WRONGPASS", "WRONGPASS", ""):
        view._tell(why)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "Redis: WRONGPASS; answers go on without it. NEXTCLICK_REDIS says where it is",
        "Redis answers again",
    ]
