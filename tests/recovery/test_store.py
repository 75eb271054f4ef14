"""The session store's writes, on each kind of Redis: versions, erasure, the loss of data."""

from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import redis
from prometheus_client import REGISTRY

from cli.stack import redis as redis_server
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from connections.redis import masters_of
from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.session_pb2 import SessionRecord, Step
from settings.redis import RedisSettings
from streaming.session_batch import Batch
from streaming.session_writer import SessionWriter
from tests.redis_servers import Cluster, Secured, Server, free_ports, program_with_tls


class Redis(NamedTuple):
    """A Redis: what the test looks at it with, and how the store reaches it."""

    admin: Any
    settings: RedisSettings


@contextmanager
def one_server(folder):
    """The Redis of `nextclick up`."""
    home, ports = Home(folder), Ports.free()
    child = redis_server.start(home, ports, bound=True)
    redis_server.wait(home, ports, child)
    url = f"redis://127.0.0.1:{ports.redis}/0"
    yield Redis(redis.Redis(port=ports.redis), RedisSettings(redis=url))
    stop([child])


@contextmanager
def with_tls_and_users(folder):
    """The store's user has the rights that docs/security.md names, and no others."""
    program, secured, port = program_with_tls(), Secured(folder), next(free_ports())
    lines = (*secured.lines(port), f"aclfile {secured.users}")
    server = Server(folder / "redis", program, port, *lines)
    server.wait(admin := secured.client(port))
    yield Redis(admin, secured.settings(port))
    stop([server.child])


@contextmanager
def as_a_cluster(folder):
    cluster = Cluster(folder, redis_server.program())
    port = cluster.servers[0].port
    settings = RedisSettings(redis=f"redis://127.0.0.1:{port}", redis_cluster=True)
    yield Redis(redis.RedisCluster("127.0.0.1", port), settings)
    cluster.stop()


KINDS = {"one server": one_server, "TLS and users": with_tls_and_users, "cluster": as_a_cluster}


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with KINDS[request.param](tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(server):
    server.admin.flushall()
    return server.admin


@pytest.fixture
def new_writer(server):
    """Makes the writer of a store that has just started."""

    def new(tenant=""):
        masters = masters_of(server.settings, timeout_s=5, connect_timeout_s=5)
        return SessionWriter(masters, tenant, expiry_s=1_000)

    return new


@pytest.fixture
def writer(client, new_writer):
    writer = new_writer()
    assert writer.positions("t") == {}
    writer.begin()
    return writer


def keys(client, pattern="*"):
    """All keys, but for those where a cluster has the positions of further masters."""
    return [key for key in every_key(client, pattern) if b"store:" not in key]


def every_key(client, pattern="*"):
    nodes = {"target_nodes": "primaries"} if isinstance(client, redis.RedisCluster) else {}
    return client.keys(pattern, **nodes)


def record(version, session_id="s", user_id="", at=0, incarnation=0, appended_ms=0):
    return SessionRecord(
        session_id=session_id,
        version=version,
        user_id=user_id,
        last_timestamp_ms=at,
        incarnation=incarnation,
        appended_ms=appended_ms or incarnation,
    ).SerializeToString()


def batch(*values, start=0):
    out = Batch()
    for offset, value in enumerate(values, start):
        key = b"s" if value is None else SessionRecord.FromString(value).session_id.encode()
        out.add(0, offset, key, value)
    return out


def version(client, session_id="s"):
    raw = client.hget(redis_session_key(session_id), "record")
    return SessionRecord.FromString(raw).version if raw else None


def test_the_newest_record_of_a_batch_is_written_with_its_position(client, writer, new_writer):
    """The position follows the data: whatever crashes between them, nothing is passed over."""
    assert writer.write(batch(record(1), record(2), record(3)))
    assert version(client) == 3
    assert client.ttl(redis_session_key("s")) > 0
    again = new_writer()
    assert again.positions("t") == {0: 3}


def test_an_older_version_never_replaces_a_newer_one(client, writer):
    """The log repeats itself after a restart of the job; readers must not go back in time."""
    writer.write(batch(record(5)))
    writer.write(batch(record(3), record(4), start=1))
    assert version(client) == 5
    writer.write(batch(record(9), record(7), start=3))
    assert version(client) == 9


def test_a_session_that_returns_replaces_the_visit_before(client, writer):
    """A new life begins at version 1; its clicks would be missing until it has as many."""
    writer.write(batch(record(8, incarnation=100)))
    writer.write(batch(record(1, incarnation=1_700_000_000_000), start=1))
    assert version(client) == 1
    writer.write(batch(record(9, incarnation=100), start=2))
    assert version(client) == 1
    writer.write(
        batch(record(2, incarnation=1_700_000_000_001), record(9, incarnation=100), start=3)
    )
    assert version(client) == 2


def test_lives_that_were_divided_anew_go_on(client, writer):
    """After `up --from-nothing` with another life of state, visitors stayed as they had been."""
    writer.write(batch(record(2, incarnation=900, appended_ms=901)))
    writer.write(batch(record(9, incarnation=100, appended_ms=901), start=1))
    assert version(client) == 2
    writer.write(batch(record(10, incarnation=100, appended_ms=902), start=2))
    assert version(client) == 10
    writer.write(batch(record(2, incarnation=900, appended_ms=901), start=3))
    assert version(client) == 10
    writer.write(batch(record(4, incarnation=900, appended_ms=903), start=4))
    assert version(client) == 4


def test_what_the_version_before_has_written_is_replaced(client, writer):
    """Its hashes have no incarnation, which is that of the records that it knew."""
    client.hset(redis_session_key("s"), mapping={"version": 8, "record": record(8)})
    writer.write(batch(record(7)))
    assert version(client) == 8
    writer.write(batch(record(1, incarnation=100), start=1))
    assert version(client) == 1


def test_a_user_points_to_the_latest_session(client, writer):
    """Traffic that knows the user only finds the session that is going on."""
    writer.write(batch(record(1, "a", "u", at=10), record(1, "b", "u", at=20)))
    assert client.hget(redis_user_key("u"), "record") == b"b"
    writer.write(batch(record(2, "a", "u", at=15), start=2))
    assert client.hget(redis_user_key("u"), "record") == b"b"


def test_a_tombstone_erases_and_a_later_record_returns(client, writer):
    """Who asks to be erased is erased from the shared view as well."""
    writer.write(batch(record(2)))
    writer.write(batch(None, start=1))
    assert version(client) is None
    writer.write(batch(record(4), None, start=2))
    assert version(client) is None
    writer.write(batch(None, record(1), start=4))
    assert version(client) == 1


def test_a_tombstone_erases_what_points_to_the_session(client, writer):
    """The user's id, and that they were here, stayed in Redis for another 30 days."""
    writer.write(batch(record(1, user_id="jane", at=10)))
    writer.write(batch(None, start=1))
    assert keys(client, "*jane*") == []
    writer.write(batch(record(1, user_id="jane", at=10), record(1, "t", "jane", at=20), start=2))
    writer.write(batch(None, start=4))
    assert client.hget(redis_user_key("jane"), "record") == b"t"
    client.set(redis_session_key("s"), "another program's")
    assert writer.write(batch(None, start=5))
    assert client.get(redis_session_key("s")) == b"another program's"


def test_a_wiped_redis_is_noticed_by_the_next_write(client, writer, new_writer):
    """What was written before is gone: the store must begin again, and say so."""
    writer.write(batch(record(1)))
    client.flushall()
    assert not writer.write(batch(record(2), start=1))
    again = new_writer()
    again.positions("t")
    again.begin()
    assert again.write(batch(record(1), record(2)))
    assert version(client) == 2


def test_a_restored_redis_is_mended_from_where_it_stands(client, writer):
    """A dump, or a replica that took over, has old sessions, and positions that fit them."""
    writer.write(batch(record(1)))
    dumped = {key: client.dump(key) for key in every_key(client)}
    later = batch(record(2), record(1, "t"), start=1)
    assert writer.write(later)
    assert writer.in_step()
    client.flushall()
    for key, value in dumped.items():
        client.restore(key, 0, value)
    assert not writer.in_step()
    assert not writer.write(batch(record(3, "x"), start=3))
    assert writer.positions("t") == {0: 1}
    assert writer.write(later)
    assert version(client) == 2
    assert version(client, "t") == 1
    assert writer.positions("t") == {0: 3}


def test_a_write_whose_reply_was_lost_is_written_again(client, writer):
    """A timeout says nothing of whether Redis has the batch; it is no loss."""
    before = writer._marks, writer._next
    assert writer.write(batch(record(1)))
    writer._marks, writer._next = before
    assert writer.write(batch(record(1)))
    assert version(client) == 1


FOREIGN_KEYS = {
    "string": lambda client, key: client.set(key, "shop"),
    "list": lambda client, key: client.rpush(key, "shop"),
    "hash": lambda client, key: client.hset(key, mapping={"name": "shop", "version": "2"}),
    "words": lambda client, key: client.hset(key, mapping={"record": "shop", "version": "new"}),
}


@pytest.mark.parametrize("kind", FOREIGN_KEYS)
def test_keys_of_another_program_neither_stop_a_batch_nor_change(client, writer, kind):
    """One such key stopped the store for good, or was overwritten and expired."""
    for key in (redis_session_key("s"), redis_user_key("u")):
        FOREIGN_KEYS[kind](client, key)
    before = {key: client.dump(key) for key in keys(client, "*[su]:*")}
    counted = lambda: REGISTRY.get_sample_value("nextclick_store_foreign_keys_total")  # noqa: E731
    counted_before = counted()
    mine = batch(record(1, user_id="u"), record(1, "mine", "v"))
    assert writer.write(mine)
    assert writer.write(batch(None, start=2))
    assert {key: client.dump(key) for key in before} == before
    assert {client.ttl(key) for key in before} == {-1}
    assert counted() - counted_before == 2 + 1, "two in the first batch, one in the second"
    assert version(client, "mine") == 1
    assert client.hget(redis_user_key("v"), "record") == b"mine"
    assert writer.positions("t") == {0: 3}


def test_bytes_that_are_no_record_are_passed_over(client, writer, new_writer):
    """A foreign record on the topic must not stop the store."""
    out = Batch()
    out.add(2, 7, b"x", b"\xff\xff\xff")
    out.add(2, 8, b"x", record(1) + b" " * 100_000)
    out.add(2, 9, b"x", SessionRecord(session_id="s", steps=[Step()] * 51).SerializeToString())
    assert not out.entries
    assert writer.write(out)
    assert new_writer().positions("t") == {2: 10}


def test_a_tenant_has_keys_of_its_own(client, new_writer):
    """Isolation is by prefix: one tenant's store never touches another's keys."""
    writer = new_writer("shop")
    writer.positions("t")
    writer.begin()
    out = Batch("shop")
    out.add(0, 0, b"s", record(1, user_id="u"))
    writer.write(out)
    assert sorted(keys(client)) == [
        b"nextclick:shop:s:s",
        b"nextclick:shop:store",
        b"nextclick:shop:u:u",
    ]


@pytest.mark.parametrize("server", ["one server"], indirect=True)
def test_a_full_redis_keeps_the_latest_sessions_and_the_positions(client, writer, new_writer):
    """A robot's sessions would take all memory, or stop the store, for as long as they live."""
    limit = client.config_get("maxmemory")["maxmemory"]
    assert int(limit) > 0
    assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-ttl"
    client.config_set("maxmemory", client.info("memory")["used_memory"] + (1 << 20))
    try:
        n = 10_000
        for first in range(0, n, 100):
            ids = [f"robot{k}" for k in range(first, first + 100)]
            writer.write(batch(*(record(1, session_id) for session_id in ids), start=first))
        assert client.info("stats")["evicted_keys"] > 0
        assert client.dbsize() < n
        assert version(client, f"robot{n - 1}") == 1
        assert new_writer().positions("t") == {0: n}
    finally:
        client.config_set("maxmemory", limit)
