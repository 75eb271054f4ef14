"""Our own processes: the session store, the server and the example emitter."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from cli.server_client import page
from cli.stack import kafka, redis
from cli.stack.layout import PYTHON_PATH, Child, Home, Ports
from cli.stack.process import BEHIND, START_S, STREAM, spawn, wait_until
from settings.base import variables
from settings.load import load
from settings.server import ServerSettings

STATUS_S = 10
"""For a status page, on busy cores too; a process that is down refuses at once."""

EMITTER = "emitter"


def environment(home: Home, ports: Ports, role: str, tenant: str = "") -> dict[str, str]:
    """Return the settings of our processes; those of another Kafka or Redis are none of theirs.

    A role is one of `settings.kafka_rights`.
    """
    of_redis = "store" if role == "store" else "server"
    return {
        **variables(kafka.settings_of(home, ports, role)),
        **variables(redis.settings_of(home, ports, of_redis)),
        "NEXTCLICK_TENANT": tenant,
        "NEXTCLICK_GRPC_PORT": str(ports.grpc),
        "NEXTCLICK_HTTP_PORT": str(ports.http),
        "NEXTCLICK_STORE_HTTP_PORT": str(ports.store_http),
        "PYTHONPATH": PYTHON_PATH,
    }


UNGUARDED = dict.fromkeys(
    [
        "NEXTCLICK_TOKENS_FILE",
        "NEXTCLICK_TLS_CERTIFICATE_FILE",
        "NEXTCLICK_TLS_KEY_FILE",
        "NEXTCLICK_TLS_CLIENT_CA_FILE",
        "NEXTCLICK_TOKEN_FILE",
        "NEXTCLICK_SERVER_CA_FILE",
        "NEXTCLICK_CLIENT_CERTIFICATE_FILE",
        "NEXTCLICK_CLIENT_KEY_FILE",
    ],
    "",
)
"""Settings without tokens and TLS, for stacks of which nobody but their command knows."""


def start_store(home: Home, ports: Ports, *, bound: bool, tenant: str = "") -> Child:
    """Start the session store."""
    argv = [sys.executable, "-m", "streaming.store"]
    env = environment(home, ports, "store", tenant)
    return spawn("store", argv, home.log("store"), env, bound=bound, niceness=STREAM)


def start_server(
    home: Home,
    ports: Ports,
    *,
    bound: bool,
    tenant: str = "",
    name: str = "server",
    more: Mapping[str, str] | None = None,
) -> Child:
    """Start a server replica, at real-time priority unless a setting says otherwise.

    A further one has another ``name``, for its folder and its log; ``more`` are other settings, or
    in the place of these.
    """
    argv = [sys.executable, "-m", "server"]
    env = environment(home, ports, "server", tenant) | {
        "NEXTCLICK_EMIT_EXAMPLES": "false",
        "NEXTCLICK_DATA_DIR": str(home.path(name)),
    }
    if "realtime" not in load(ServerSettings).model_fields_set:
        env["NEXTCLICK_REALTIME"] = "true"
    return spawn(name, argv, home.log(name), env | dict(more or {}), bound=bound)


def start_emitter(home: Home, ports: Ports, *, bound: bool, tenant: str = "") -> Child:
    """Start the example emitter: the replica that writes examples for the ranker."""
    before = home.root / "follower"
    if before.is_dir() and not (home.root / EMITTER).exists():
        before.rename(home.root / EMITTER)  # data of the version before
    argv = [sys.executable, "-m", "server"]
    env = environment(home, ports, "emitter", tenant) | {
        "NEXTCLICK_EMIT_EXAMPLES": "true",
        "NEXTCLICK_HTTP_PORT": str(ports.emitter_http),
        "NEXTCLICK_DATA_DIR": str(home.path(EMITTER)),
    }
    return spawn(EMITTER, argv, home.log(EMITTER), env, bound=bound, niceness=BEHIND)


def serving(ports: Ports) -> bool:
    """Whether the server's health says SERVING: it has caught up with the log and answers calls."""
    try:
        page(ports.http, "/healthz", STATUS_S)
        return True
    except OSError:  # includes HTTP errors: 503 while it is NOT_SERVING
        return False


def wait_serving(home: Home, ports: Ports, child: Child) -> None:
    """Wait until the server is ready; its first start may compile the kernels for a minute."""
    log = home.log(child.name)
    wait_until(lambda: serving(ports), START_S, "the server SERVING", [(child, log)])


def server_status(ports: Ports) -> dict[str, Any]:
    """Return the server's status, empty if it does not answer."""
    return _status(ports.http)


def emitter_status(ports: Ports) -> dict[str, Any]:
    """Return the example emitter's status, empty if it does not answer."""
    return _status(ports.emitter_http)


def _status(port: int) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads(page(port, "/status", STATUS_S))
        return status
    except (OSError, ValueError):
        return {}
