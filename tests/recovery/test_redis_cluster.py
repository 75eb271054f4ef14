"""A cluster of three masters as the session store writes it, and as servers read it."""

import pytest
from redis.crc import key_slot

from cli.stack import redis as redis_server
from cli.stack.process import START_S, wait_until
from nextclick.topics import redis_session_key, redis_store_key
from nextclick.v1.session_pb2 import SessionRecord
from server.replica.redis_view import UNREAD, Question, RedisView
from settings.redis import RedisSettings
from tests.recovery.session_log import SessionLog, stored, wait_for_all
from tests.redis_servers import Cluster

IDS = [f"s{n}" for n in range(300)]


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path, redis_server.program())
    yield cluster
    cluster.stop()


@pytest.fixture
def settings(cluster):
    url = f"redis://127.0.0.1:{cluster.servers[0].port}"
    return RedisSettings(redis=url, redis_cluster=True)


@pytest.fixture
def log():
    log = SessionLog()
    click_all(log)
    return log


def click_all(log):
    for session_id in IDS:
        log.click(session_id)


def slot_of(session_id):
    return key_slot(redis_session_key(session_id).encode())


def marks(cluster):
    """How many of the store's hashes each master has."""
    return [len(cluster.client(s).keys(redis_store_key() + "*")) for s in cluster.servers]


def version(stored):
    return stored.record.version if stored.record else 0


def test_sessions_lie_in_any_slot_and_each_master_has_positions(
    cluster, settings, log, monkeypatch
):
    """Positions on one master alone would say nothing of what the others have lost."""
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
        assert marks(cluster) == [1, 1, 1]
        assert all(cluster.client(server).dbsize() > 50 for server in cluster.servers)
    with stored(log, settings, monkeypatch):
        log.click("another")
        wait_for_all(log, settings)
    assert log.reread == 0, "it went on where it was"


@pytest.mark.parametrize("number", range(3))
def test_a_master_that_comes_back_empty_is_filled_again(
    cluster, settings, log, monkeypatch, number
):
    """The others have all that they had, the positions too."""
    emptied = cluster.servers[number]
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
        emptied.kill()
        click_all(log)
        emptied.start()
        wait_until(lambda: log.reread >= len(IDS), START_S, "the log being read again")
        wait_for_all(log, settings)
    assert marks(cluster) == [1, 1, 1]


def test_slots_move_while_the_store_writes(cluster, settings, log, monkeypatch):
    """To a new master, which has no mark yet, with sessions and with the store's own key."""
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
        new = cluster.add()
        own = key_slot(redis_store_key().encode())
        for slot in (own, *map(slot_of, IDS[:20])):
            source = cluster.begin_to_move(slot, new)
            click_all(log)
            wait_for_all(log, settings)
            cluster.move_keys(slot, source, new)
            click_all(log)
            log.click(f"new in {slot}")
            wait_for_all(log, settings)
            cluster.end_to_move(slot, new)
        click_all(log)
        wait_for_all(log, settings)
        assert log.reread == 0, "nothing was lost"
        assert marks(cluster) == [1, 1, 1, 1]
        new.kill()
        new.start()
        wait_for_all(log, settings)
        assert log.reread > 0


def test_a_server_reads_from_all_masters_and_goes_on_without_one(
    cluster, settings, log, monkeypatch
):
    """A third of the visitors is read without Redis, and the answer says so; the others are not."""
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
    view = RedisView(settings, "", 1_000)
    view.check()
    questions = [Question(session_id) for session_id in IDS]
    assert [version(stored) for stored in view.read(questions)] == [1] * len(IDS)
    away = cluster.servers[1]
    lost = {session_id for session_id in IDS if cluster.owner(slot_of(session_id)) is away}
    away.kill()
    for _ in range(2):
        found = view.read(questions)
        assert {q.session_id for q, s in zip(questions, found, strict=True) if s == UNREAD} == lost
        assert view.up
        view.check()
    away.start()
    cluster.wait()
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
    view.check()
    assert [version(stored) for stored in view.read(questions)] == [1] * len(IDS)
    view.close()


def test_a_server_follows_a_slot_that_has_moved(cluster, settings, log, monkeypatch):
    """Until it knows where to, it does not take the visitor for a new one."""
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
    view = RedisView(settings, "", 1_000)
    view.check()
    slot = slot_of("s0")
    to = next(server for server in cluster.servers if server is not cluster.owner(slot))
    source = cluster.begin_to_move(slot, to)
    cluster.move_keys(slot, source, to)
    assert view.read([Question("s0")]) == [UNREAD]
    cluster.end_to_move(slot, to)
    assert view.read([Question("s0")]) == [UNREAD]
    assert view._wake.is_set(), "it looks at once"
    view.check()
    [stored_there] = view.read([Question("s0")])
    assert stored_there.record == SessionRecord.FromString(log.newest()["s0"])


def test_the_user_of_an_erased_session_is_forgotten_by_another_master(
    cluster, settings, log, monkeypatch
):
    """User and session lie in different slots: one may be erased when the other cannot be."""
    log.click("s0", user_id="jane")
    with stored(log, settings, monkeypatch):
        wait_for_all(log, settings)
        assert [c.keys("*jane*") for c in map(cluster.client, cluster.servers)].count([]) == 2
        emptied = cluster.owner(slot_of("s0"))
        emptied.kill()
        log.erase("s0")
        emptied.start()
        wait_for_all(log, settings)
    for server in cluster.servers:
        assert cluster.client(server).keys("*jane*") == []
