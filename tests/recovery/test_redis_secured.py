"""Redis with TLS and users: whom our processes speak to, and what they may do there."""

import logging

import psutil
import pytest
import redis

from cli.doctor import checkup
from cli.stack import redis as redis_of_stack
from cli.stack import secured_redis
from cli.stack.authority import Authority
from cli.stack.checkup import State
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from connections.redis import masters_of
from nextclick.topics import redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from server.replica.redis_view import UNREAD, Question, RedisView, Stored
from settings.redis import RedisSettings
from tests.redis_servers import (
    PASSWORD,
    Cluster,
    Secured,
    Server,
    free_ports,
    program_with_tls,
)

ROLES = tuple(secured_redis.RIGHTS)
SERVER, STORE = "nextclick-server", "nextclick-store"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    program, secured = program_with_tls(), Secured(tmp_path_factory.mktemp("redis"))
    secured.port = next(free_ports())
    lines = (*secured.lines(secured.port), f"aclfile {secured.users}")
    server = Server(secured.users.parent / "server", program, secured.port, *lines)
    server.wait(secured.client(secured.port))
    yield secured
    stop([server.child])


def probed(settings):
    """Read a session, as a client of some settings."""
    masters = masters_of(settings, timeout_s=5, connect_timeout_s=5)
    try:
        [reply] = masters.send([(redis_session_key("s"), ("HGET", redis_session_key("s"), "x"))])
        return reply
    finally:
        masters.close()


def refused(settings):
    """Why a client of some settings gets no connection; its password is not among the reasons."""
    with pytest.raises(redis.ConnectionError) as error:
        probed(settings)
    assert PASSWORD not in str(error.value)
    return str(error.value)


def test_a_server_reads_over_tls_with_the_least_rights(secured):
    """The rights of docs/security.md are enough."""
    record = SessionRecord(session_id="s", version=3)
    admin = secured.client(secured.port)
    admin.hset(redis_session_key("s"), "record", record.SerializeToString())
    view = RedisView(secured.settings(secured.port, SERVER), "", 5_000)
    view.check()
    assert view.read([Question("s")]) == [Stored("s", record)]
    view.close()


@pytest.mark.parametrize("user", [SERVER, STORE])
def test_users_have_no_further_rights(secured, user):
    """Whoever has their password can neither empty Redis nor look for visitors, nor leave it."""
    client = secured.client(secured.port, user)
    assert client.hget("nextclick:s:none", "record") is None
    for denied in (
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("HGET", "another:key", "record"),
        *([("DEL", "nextclick:s:s")] if user == SERVER else []),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*denied)


def test_a_server_whose_certificate_is_not_to_be_trusted_gets_no_password(secured, tmp_path):
    """Whoever is in between would have it, and all sessions."""
    assert probed(secured.settings(secured.port)) is None
    other = Authority(tmp_path, "other").certificate
    assert "CERTIFICATE_VERIFY_FAILED" in refused(
        secured.settings(secured.port, redis_ca_file=str(other))
    )
    assert "IP address mismatch" in refused(secured.settings(secured.port, host="127.0.0.2"))


def test_our_own_certificate_is_asked_for(secured):
    """Without it the server ends the connection; what we say names no password."""
    without = {"redis_certificate_file": "", "redis_key_file": ""}
    refused(secured.settings(secured.port, **without))


def test_a_password_that_was_replaced_is_used_from_the_next_connection_on(secured, tmp_path):
    """Restarting every server for it would be an outage, so that nobody would replace it."""
    password = tmp_path / "password"
    password.write_text("not yet known")
    settings = secured.settings(secured.port, redis_password_file=str(password))
    of_server = secured.settings(secured.port, SERVER, redis_password_file=str(password))
    view = RedisView(of_server, "", 5_000)
    view.check()
    assert view.read([Question("s")]) == [UNREAD]
    assert "WRONGPASS" in refused(settings) or "invalid username-password" in refused(settings)
    password.write_text(PASSWORD)
    view.check()
    assert view.read([Question("s")]) != [UNREAD]
    password.unlink()
    with pytest.raises(SystemExit, match=r"NEXTCLICK_REDIS_PASSWORD_FILE: .* cannot be read"):
        probed(settings)
    view.close()


def test_no_line_of_the_log_has_the_password(secured, caplog):
    """Logs go further than secrets may."""
    caplog.set_level(logging.DEBUG)
    for changed in ({"user": "nobody"}, {"redis_ca_file": ""}):
        view = RedisView(secured.settings(secured.port, **changed), "", 5_000)
        view.check()
        view.close()
    assert "answers go on without it" in caplog.text
    assert PASSWORD not in caplog.text


def test_the_doctor_looks_with_the_rights_of_its_user(secured):
    """A user that may not ask for settings is no fault; one that may not read is."""
    masters = masters_of(secured.settings(secured.port, SERVER), 5, 5)
    [finding] = checkup.of_redis(masters, "")
    assert finding.state == State.OK
    assert "does not tell its settings" in finding.found
    [finding] = checkup.of_redis(masters_of(secured.settings(secured.port, "admin"), 5, 5), "")
    assert "maxmemory 0" in finding.found
    secured.client(secured.port).execute_command("ACL", "SETUSER", "other", "on", f">{PASSWORD}")
    [finding] = checkup.of_redis(masters_of(secured.settings(secured.port, "other"), 5, 5), "")
    assert finding.state == State.FAULT
    assert "no permissions" in finding.found


def test_the_nodes_of_a_cluster_are_checked_by_their_addresses(tmp_path):
    """The library drops that check for clusters: any certificate of the authority would do."""
    program, secured = program_with_tls(), Secured(tmp_path)
    lines = (*secured.lines(), f"aclfile {secured.users}", "tls-cluster yes")
    cluster = Cluster(tmp_path, program, *lines, username="admin", password=PASSWORD, **secured.tls)
    try:
        settings = secured.settings(cluster.servers[0].port, STORE, redis_cluster=True)
        assert _reads(settings)
        other = secured.authority.issue("redis", hosts=("elsewhere.example",))
        assert other.certificate == secured.certificate, "it is in the place of the other one"
        for server in cluster.servers:
            cluster.client(server).config_set("tls-cert-file", str(other.certificate))
        with pytest.raises(redis.ConnectionError, match="mismatch"):
            _reads(settings)
    finally:
        cluster.stop()


def _reads(settings: RedisSettings) -> bool:
    masters = masters_of(settings, timeout_s=5, connect_timeout_s=5)
    masters.refresh()
    keys = [redis_session_key(f"s{n}") for n in range(50)]
    assert len({masters.of(key) for key in keys}) == 3
    return masters.send([(key, ("HGET", key, "record")) for key in keys]) == [None] * 50


def test_the_redis_of_a_secured_stack_has_a_user_for_each_role(tmp_path):
    """`demo --secured` would show answers without Redis, or the rights of everybody."""
    program_with_tls()  # skips without
    home, ports, authority = Home(tmp_path), Ports.free(), Authority(tmp_path)
    secured_redis.secure(home, authority.certificate, *authority.issue("redis"))
    key = redis_session_key("s")
    write, read = (key, ("HSET", key, "record", "x")), (key, ("HGET", key, "record"))
    child = redis_of_stack.start(home, ports, bound=True)
    try:
        redis_of_stack.wait(home, ports, child)
        store, server = (
            masters_of(redis_of_stack.settings_of(home, ports, role), 5, 5)
            for role in ("store", "server")
        )
        assert store.send([write]) == [1]
        [answer, refusal] = server.send([read, write])
        assert answer == b"x"
        assert isinstance(refusal, redis.exceptions.NoPermissionError)
        for masters in (store, server):
            masters.close()
        command = " ".join(psutil.Process(child.pid).cmdline())
        passwords = [(home.root / "secrets" / "redis" / role).read_text() for role in ROLES]
        assert not any(password in command for password in passwords)
    finally:
        stop([child])
