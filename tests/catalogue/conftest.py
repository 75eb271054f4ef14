"""Real parts: a broker, a server that writes to it, and a PostgreSQL, each where it is needed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cli.catalogues.held import read_catalogue
from cli.stack import kafka, topics
from cli.stack.layout import PROJECT, Home, Ports
from cli.stack.process import stop
from nextclick.topics import ITEMS
from server.kafka.acked_producer import AckedProducer
from settings.server import ServerSettings
from tests.unit.server.transport.served import Served

EXAMPLES = PROJECT / "examples" / "catalogue"
LIMIT_S = 120.0
"""For what takes moments: a test that reaches it fails."""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


def eventually(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Shop:
    """A broker, and a server that puts what it is sent there."""

    def __init__(self, folder):
        self.home, ports = Home(folder), Ports.free()
        self.kafka = f"127.0.0.1:{ports.kafka}"
        self._broker = kafka.start(self.home, ports, bound=True)
        kafka.wait(self.home, ports, self._broker)
        self.settings = kafka.settings_of(self.home, ports)
        self.admin = kafka.admin_client(self.settings)
        topics.create(self.admin)
        self._producer = AckedProducer(ServerSettings(kafka=self.kafka))
        self._served = Served(producer=self._producer)
        self.target = f"127.0.0.1:{self._served.port}"

    @property
    def items(self):
        """What the catalogue has, by id; deleted items are None."""
        return {name: item for some in read_catalogue(self.settings) for name, item in some}

    @property
    def active(self):
        """Items that are not deleted."""
        return {name: item for name, item in self.items.items() if item is not None}

    def records(self):
        """How many records the topic has."""
        return topics.records(self.admin, ITEMS, 4)

    def close(self):
        self._served.close()
        self._producer.close()
        stop([self._broker])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of its own for each file of tests."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.close()


class Database:
    """A PostgreSQL that listens on a socket in its folder only."""

    def __init__(self, binaries):
        self._binaries = Path(binaries)
        self._user = None
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if os.geteuid() == 0:  # as which PostgreSQL refuses to run
            self._user = "postgres"
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-U", "shop", "-E", "UTF8", "--no-sync")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-t", "120", "-o", options, "-l", log, "start")
        self.environment = {
            "PGHOST": str(self.folder),
            "PGUSER": "shop",
            "PGDATABASE": "postgres",
        }

    def close(self):
        data = str(self.folder / "data")
        self._run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    def _run(self, program, *args):
        done = subprocess.run(
            [str(self._binaries / program), *args],
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def binaries():
    """The folder of PostgreSQL's programs; None if there is none."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    places = [Path(found).resolve(), *debian] if found else debian
    return next((place.parent for place in places if (place.parent / "pg_ctl").exists()), None)


@pytest.fixture(scope="module")
def database():
    """A database without tables; skipped where PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra dev)")
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    database = Database(found)
    yield database
    database.close()


def example(name, *args, environment=None):
    """Start an example as people do, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *args],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
