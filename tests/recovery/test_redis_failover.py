"""A failover by Sentinel, with TLS and users, while the store writes and a server reads."""

import pytest
import redis

from cli.stack.process import START_S, stop, wait_until
from connections.redis import masters_of
from server.replica.redis_view import UNREAD, Question, RedisView
from tests.recovery.session_log import SessionLog, stored, wait_for_all
from tests.redis_servers import PASSWORD, Secured, Server, free_ports, program_with_tls

IDS = [f"s{n}" for n in range(100)]

REPLICA = f"user replica on >{PASSWORD} -@all +psync +replconf +ping"

SENTINEL = (
    f"user sentinel on >{PASSWORD} allchannels -@all +multi +slaveof +ping +exec +subscribe "
    "+config|rewrite +role +publish +info +client|setname +client|kill +script|kill"
)

OF_SENTINELS = (
    f"user nextclick on >{PASSWORD} -@all +sentinel|masters",
    f"user peers on >{PASSWORD} allchannels +@all",
    "user default off",
    "sentinel sentinel-user peers",
    f"sentinel sentinel-pass {PASSWORD}",
)


class Watched:
    """A master and a replica, which three Sentinels watch."""

    def __init__(self, folder):
        self._folder, self._program = folder, program_with_tls()
        self._secured, self._ports = Secured(folder, REPLICA, SENTINEL), free_ports()
        self.servers, self.sentinels = [], []
        for of_replica in (False, True):
            self._add_server(of_replica)
        for _ in range(3):
            self._add_sentinel()
        wait_until(self._known, START_S, "Sentinels that know each other and the replica")

    def _add_server(self, of_replica):
        port = next(self._ports)
        lines = [*self._secured.lines(port), f"aclfile {self._secured.users}"]
        lines += ["masteruser replica", f"masterauth {PASSWORD}", "repl-diskless-sync-delay 0"]
        if of_replica:
            lines.append(f"replicaof 127.0.0.1 {self.servers[0].port}")
        server = Server(self._folder / f"redis-{port}", self._program, port, *lines)
        self.servers.append(server)
        server.wait(self.client(server))

    def _add_sentinel(self):
        port = next(self._ports)
        lines = [
            *self._secured.lines(port),
            f"sentinel monitor shop 127.0.0.1 {self.servers[0].port} 2",
            "sentinel down-after-milliseconds shop 3000",
            "sentinel auth-user shop sentinel",
            f"sentinel auth-pass shop {PASSWORD}",
            *OF_SENTINELS,
        ]
        folder = self._folder / f"sentinel-{port}"
        server = Server(folder, self._program, port, *lines, options=["--sentinel"])
        self.sentinels.append(server)
        server.wait(self.client(server, "peers"))

    def _known(self):
        told = [self.client(s, "peers").sentinel_masters()["shop"] for s in self.sentinels]
        return all(of["num-slaves"] == 1 and of["num-other-sentinels"] == 2 for of in told)

    def client(self, server, user="admin"):
        return self._secured.client(server.port, user, socket_timeout=5)

    def settings(self, user):
        sentinels = ",".join(f"127.0.0.1:{server.port}" for server in self.sentinels)
        return self._secured.settings(
            1,  # the URL's host and port are not those of any server
            user,
            redis_sentinels=sentinels,
            redis_service="shop",
            redis_sentinel_user="nextclick",
            redis_sentinel_password_file=str(self._secured.password),
        )

    def detach_replica(self):
        """Let the replica fall behind: the master takes it no longer."""
        master, replica = map(self.client, self.servers)
        master.execute_command("ACL", "SETUSER", "replica", "off")
        master.execute_command("CLIENT", "KILL", "TYPE", "replica")
        behind = lambda: replica.info("replication")["master_link_status"] == "down"  # noqa: E731
        wait_until(behind, START_S, "a replica without its master")

    def stop(self):
        stop([server.child for server in (*self.sentinels, *self.servers)])


@pytest.fixture
def watched(tmp_path):
    watched = Watched(tmp_path)
    yield watched
    watched.stop()


def test_nothing_is_lost_by_a_failover(watched, monkeypatch):
    """The replica that takes over lacks the last writes: they are written again from the log."""
    log, settings = SessionLog(), watched.settings("nextclick-store")
    view = RedisView(watched.settings("nextclick-server"), "", 1_000)
    view.start()
    try:
        with stored(log, settings, monkeypatch):
            click_all(log)
            wait_for_all(log, settings)
            wait_until(lambda: versions(view) == {1}, START_S, "the server's read")
            watched.detach_replica()
            click_all(log)
            wait_for_all(log, settings)
            assert versions(view) == {2}
            old, new = watched.servers
            old.kill()
            assert versions(view) == {None}, "the answer says that it was not read"
            while not is_master(settings, new):
                log.click("s0")
                versions(view)
            click_all(log)
            wait_for_all(log, settings)
            assert log.reread >= len(IDS)
            wait_until(lambda: len(versions(view) - {None}) > 1, START_S, "the server's read")
            old.start()
            replicates = lambda: is_replica(watched.client(old))  # noqa: E731
            wait_until(replicates, START_S, "the old master as a replica")
            click_all(log)
            wait_for_all(log, settings)
    finally:
        view.close()


def click_all(log):
    for session_id in IDS:
        log.click(session_id)


def versions(view):
    """The versions that a server reads, None where it says that it could not."""
    found = view.read([Question(session_id) for session_id in IDS])
    return {None if s == UNREAD else s.record.version for s in found}


def is_master(settings, server):
    masters = masters_of(settings, timeout_s=1, connect_timeout_s=1)
    try:
        masters.refresh()
    except redis.RedisError:
        return False
    return list(masters.clients) == [f"127.0.0.1:{server.port}"]


def is_replica(client):
    try:
        return client.info("replication")["role"] == "slave"
    except redis.RedisError:
        return False
