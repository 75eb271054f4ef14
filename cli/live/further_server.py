"""A further server of a stack, to compare it with another one."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cli.stack import apps
from cli.stack.layout import Ports
from cli.stack.process import START_S, stop, wait_until
from cli.stack.stack import Stack


@contextmanager
def further_server(
    stack: Stack, name: str, settings: Mapping[str, str], authority: Path | None = None
) -> Iterator[str]:
    """Run a server that reads the log of a stack; gives its address once it is SERVING.

    Parameters
    ----------
    stack
        Of Kafka and Redis.
    name
        Of the process, its folder and its log.
    settings
        Variables, before those of the stack's own server.
    authority
        Certificate that its own is checked by; None: it is plain.
    """
    ports = replace(Ports.free(), kafka=stack.ports.kafka, redis=stack.ports.redis)
    context = ssl.create_default_context(cafile=authority) if authority else None
    url = f"{'https' if authority else 'http'}://127.0.0.1:{ports.http}/healthz"

    def serving() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=apps.STATUS_S, context=context):
                return True
        except OSError:
            return False

    child = apps.start_server(
        stack.home, ports, bound=True, tenant=stack.tenant, name=name, more=settings
    )
    log = stack.home.log(name)
    try:
        wait_until(serving, START_S, f"the {name} server SERVING", [(child, log)])
        yield f"127.0.0.1:{ports.grpc}"
    finally:
        stop([child], grace_s=60)
